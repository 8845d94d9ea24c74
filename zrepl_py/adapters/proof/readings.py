"""Which readings are open, so that the next page of one need not begin at its start?

A reading holds its snapshot open: nothing can destroy it meanwhile, and nothing stays behind when
this process ends. One that nobody asked for five minutes is let go.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zrepl_py.adapters.host.digesttree import TreeReading
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.digestsealed import SealedReading
from zrepl_py.adapters.zfs.digestvolume import VolumeReading
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.core.proof_digest import Record
from zrepl_py.core.proof_page import Reading
from zrepl_py.errors import Passing, Standing
from zrepl_py.model.proof import Form, Page, Position
from zrepl_py.ports.clock import ClockPort

IDLE_SECONDS = 300.0
LOOK_SECONDS = 30.0
MOST = 4
"""Open at once; the one that was not asked for longest goes."""


@dataclass
class _Open:
    reading: Reading
    close: Callable[[], None]
    acls: bool
    """As it was asked for."""
    asked_at: float


@dataclass(frozen=True)
class _Key:
    snapshot: str
    guid: int


class Readings:
    """All open readings of this process. One page at a time."""

    def __init__(self, clock: ClockPort) -> None:
        self._clock = clock
        self._open: dict[_Key, _Open] = {}
        self._turn = threading.Lock()
        self._watched = False

    def read_page(
        self, snapshot: str, guid: int, after: Position, *, form: Form, acls: bool, listed: bool
    ) -> Page:
        """See ProofPort."""
        if not self._turn.acquire(timeout=60):
            raise Passing("busy", f"Another copy is being read while {snapshot} should be.")
        try:
            self._drop_idle()
            key = _Key(snapshot, guid)
            known = self._open.pop(key, None)
            if known is not None and (known.reading.at != after or known.acls != acls):
                known.close()
                known = None
            if known is None:
                if not self._watched:
                    self._watched = True
                    threading.Thread(target=self._watch, name="idle", daemon=True).start()
                known = self._begin(snapshot, guid, after, form=form, acls=acls)
            try:
                page = known.reading.next_page(listed=listed)
            except BaseException:
                known.close()
                raise
            if page.ended:
                known.close()
            else:
                known.asked_at = self._clock.monotonic()
                self._open[key] = known
            return page
        finally:
            self._turn.release()

    def let_go(self, snapshot: str) -> None:
        """See ProofPort."""
        with self._turn:
            for key in [k for k in self._open if k.snapshot == snapshot]:
                self._open.pop(key).close()

    def let_go_below(self, dataset: str) -> None:
        """No reading of any snapshot of this dataset stays open."""
        with self._turn:
            for key in [k for k in self._open if k.snapshot.partition("@")[0] == dataset]:
                self._open.pop(key).close()

    def _watch(self) -> None:
        """In a thread of its own: nobody may ask again for long."""
        while True:
            self._clock.sleep(LOOK_SECONDS)
            with self._turn:
                self._drop_idle()

    def _drop_idle(self) -> None:
        now = self._clock.monotonic()
        for key, known in list(self._open.items()):
            if now - known.asked_at > IDLE_SECONDS or len(self._open) > MOST:
                self._open.pop(key).close()

    def _begin(self, snapshot: str, guid: int, after: Position, *, form: Form, acls: bool) -> _Open:
        wanted = {Form.TREE: ("acltype",), Form.VOLUME: ("volsize",), Form.SEALED: ()}
        seen = observe_values(snapshot, ("guid", *wanted[form]))
        if seen["guid"] != str(guid):
            raise Standing(
                "snapshot-missing",
                f"{snapshot} has not the guid {guid} any more.",
                "Ask again: the newest common snapshot is another one now.",
            )
        now = self._clock.monotonic()
        if form is Form.SEALED:
            records = SealedReading(snapshot, after).records()
            return _Open(Reading(records, after, acls), lambda: _close(records, -1), acls, now)
        if form is Form.VOLUME:
            if not seen["volsize"].isdecimal() or seen["volsize"] == "0":
                raise _kept(snapshot)
            records = VolumeReading(snapshot, int(seen["volsize"]), after).records()
            return _Open(Reading(records, after, acls), lambda: _close(records, -1), acls, now)
        shown = acls and seen["acltype"] in ("posix", "posixacl")
        dataset, _, name = snapshot.partition("@")
        try:
            top = MountedSnapshot(dataset, name).open()
        except Standing as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno == errno.EBUSY:
                raise _kept(snapshot) from error
            raise
        records = TreeReading(top, after, acls=shown).records()
        return _Open(Reading(records, after, shown), lambda: _close(records, top), acls, now)


def _kept(snapshot: str) -> Standing:
    return Standing(
        "snapshot-unreachable",
        f"{snapshot} cannot be opened: OpenZFS keeps it to itself. It does so with a snapshot that "
        "was mended with `zfs receive -c`.",
        "A newer snapshot can be compared, when there is one; `zr drill` can restore this one.",
    )


def _close(records: Iterator[Record], top: int) -> None:
    close = getattr(records, "close", None)
    if close is not None:
        close()
    if top >= 0:
        os.close(top)


def observe_values(name: str, properties: tuple[str, ...]) -> dict[str, str]:
    """Properties of a dataset or snapshot, as ZFS shows them. Errors: those of `zfs get`."""
    argv = ["zfs", "get", "-Hp", "-o", "property,value", ",".join(properties), "--", name]
    ended = run(argv)
    if ended.code != 0:
        raise judge_command("send" if "@" in name else "list", ended, name)
    return dict(line.split("\t", 1) for line in ended.out.splitlines())
