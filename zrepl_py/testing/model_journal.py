"""A journal in memory, whose machine can lose power. Which question: what is left after a crash?

`append` writes and then syncs, as the real one does; a power loss between the two leaves a record
that may or may not be there afterwards, and was never acknowledged. With `syncs=False` it is a
journal that lies (a deliberate bug for the simulator to find).
"""

import json
import threading
from collections.abc import Iterator, Mapping

from zrepl_py.adapters.journal_lines import NO_HASH, RESERVED, Line, render_line
from zrepl_py.errors import Bug
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.journal import Json

_Kept = bytes | Mapping[str, Json]
"""A line, or the record itself."""


class PowerLostError(Exception):
    """The machine went off in the middle of an append: nobody above may catch this."""


class ModelJournal:
    """JournalPort in memory; survives `crash` as a disk does."""

    def __init__(
        self,
        clock: ClockPort,
        *,
        syncs: bool = True,
        keep_lines: int | None = None,
        as_values: bool = False,
    ) -> None:
        """`keep_lines`: of more, the oldest go, as the real one drops its oldest segments.
        `as_values`: records are kept as they were given, without lines that would be rendered and
        read, and a number stands for the hash: for a simulator that looks at neither."""
        self._clock = clock
        self._as_values = as_values
        self._count = 0
        self._syncs = syncs
        self._keep_lines = keep_lines
        self.dropped = False
        """The oldest lines are gone."""
        self._mutex = threading.Lock()
        self._synced: list[tuple[str, _Kept]] = []
        """(kind, line), oldest first."""
        self._unsynced: list[tuple[str, _Kept]] = []
        self._parsed: dict[bytes, Line] = {}
        """Lines that were read before: they never change."""
        self._lose_power_at: int | None = None
        self._prev = NO_HASH

    def append(self, kind: str, fields: Mapping[str, Json]) -> str:
        """See JournalPort. Raises PowerLostError where `lose_power_after` said so."""
        with self._mutex:
            line, digest = self._render(kind, fields)
            self._unsynced.append((kind, line))
            if self._lose_power_at is not None:
                self._lose_power_at -= 1
                if self._lose_power_at < 0:
                    raise PowerLostError(kind)
            self._prev = digest
            if self._syncs:
                self._sync()
            return digest

    def records(self, kind: str | None = None) -> Iterator[Mapping[str, Json]]:
        """See JournalPort."""
        with self._mutex:
            everything = self._synced + self._unsynced
            records = [self._record(kept) for known, kept in everything if kind in (None, known)]
        yield from records

    def lose_power_after(self, appends: int) -> None:
        """The append after so many further ones is written, but power goes before its sync."""
        self._lose_power_at = appends

    def crash(self, *, keep_unsynced: int = 0) -> None:
        """The machine went off and came back: of the un-fsynced tail, the first few may be left."""
        with self._mutex:
            self._synced += self._unsynced[:keep_unsynced]
            self._unsynced = []
            self._lose_power_at = None
            self._prev = str(self._record(self._synced[-1][1])["hash"]) if self._synced else NO_HASH

    def _render(self, kind: str, fields: Mapping[str, Json]) -> tuple[_Kept, str]:
        if not self._as_values:
            return render_line(kind, self._clock.now(), self._prev, fields)
        if RESERVED & fields.keys() or any(v != v for v in fields.values() if type(v) is float):
            raise Bug("journal-field", f"A record of kind {kind} is none.")
        self._count += 1
        digest = str(self._count)
        return {"kind": kind, "at": self._clock.now(), "hash": digest, **fields}, digest

    def _record(self, kept: _Kept) -> Mapping[str, Json]:
        return self._parse(kept).record() if isinstance(kept, bytes) else kept

    def _parse(self, line: bytes) -> Line:
        known = self._parsed.get(line)
        if known is None:
            value = json.loads(line)  # memory damages nothing, so no hash is compared
            kind, at, prev, digest = (value.pop(key) for key in ("kind", "at", "prev", "hash"))
            known = self._parsed[line] = Line(kind, at, prev, digest, value)
        return known

    def _sync(self) -> None:
        self._synced += self._unsynced
        self._unsynced = []
        if self._keep_lines is not None and len(self._synced) > 2 * self._keep_lines:
            self._synced = self._synced[-self._keep_lines :]
            self._parsed.clear()
            self.dropped = True
