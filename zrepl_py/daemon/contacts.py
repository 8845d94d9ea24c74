"""Does the other node live? Since when was it not heard, and why?

A source asks each of its targets for a sign of life every few seconds, apart from calls and
streams, which may wait long for a pool. A target does not ask back: it knows when it last heard of
each source, and when something of it last arrived. Nothing here decides what is sent or called
safe; a target that answers again only ends the waiting of what failed before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from zrepl_py.daemon.agenda import Agenda
from zrepl_py.errors import ZrError
from zrepl_py.events import Event
from zrepl_py.model.site import Node
from zrepl_py.ports.clock import ClockPort

Tell = Callable[..., None]
ASK_SECONDS = 2.0
AGAIN_SECONDS = 1.0
"""After a sign that did not come."""
SILENT_SECONDS = 5.0
"""A target whose last sign is older than this does not answer: a restart is no silence."""
UNHEARD_SECONDS = 8.0
"""The same of a source, which asks in its own time."""


def _ignore(name: str) -> None:
    pass


class Sign(Protocol):
    """The way to a target."""

    def seek_sign(self) -> str:
        """Returns when it has given a sign of life: a word that its daemon keeps until it ends.
        Raises ZrError within a few seconds."""

    def quiet_seconds(self) -> float:
        """Since something else last moved on the way there."""


@dataclass
class Contact:
    """One node, as it is heard. Moments are monotonic."""

    began: float
    """Since when it should be heard."""
    heard: float | None = None
    boot: str | None = None
    """Which daemon it was that gave the last sign."""
    error: ZrError | None = None
    """Why the last sign did not come."""
    told: float | None = None
    """Since when it was told to be silent."""

    def silent_seconds(self, now: float, patience_seconds: float) -> float | None:
        """For how long nothing was heard of it; None while that is no silence."""
        quiet = now - (self.began if self.heard is None else self.heard)
        return quiet if quiet > patience_seconds else None

    def state(self, now: float, patience_seconds: float) -> str:
        """`answers`, `silent`, or `unknown`: not heard yet."""
        if self.silent_seconds(now, patience_seconds) is not None:
            return "silent"
        return "unknown" if self.heard is None else "answers"


@dataclass
class Contacts:
    """Everybody that this node sends to or keeps replicas of. `agenda`: for nothing else, a thread
    for each target; its monitor is held by whoever reads here."""

    clock: ClockPort
    agenda: Agenda
    tell: Tell
    targets: Mapping[str, Sign]
    """Name → the way there."""
    answered: Callable[[str], None]
    """answered(target): after a silence."""
    restarted: Callable[[str], None] = _ignore
    """restarted(target): another daemon answers than before; it knows nothing of what was said."""
    sources: Mapping[str, Node] = field(default_factory=dict)
    """Name → whose replicas may be kept here."""
    expected: frozenset[str] = frozenset()
    """Those of them that a policy lets send; others count once they were heard."""
    twice: Callable[[], Sequence[str]] = tuple
    """Names of nodes that two machines say they are."""
    heard: Callable[[], Mapping[str, float]] = dict
    """Node uuid → the monotonic moment at which it was last heard."""
    arrived: dict[str, float] = field(default_factory=dict)
    """Node uuid → when something of it was last journalled here, by the clock of that time."""
    _known: dict[str, Contact] = field(default_factory=dict)
    _asked: dict[str, Contact] = field(default_factory=dict)

    def start(self) -> None:
        """Ask, and watch, until the agenda is stopped."""
        now = self.clock.monotonic()
        self._asked = {name: Contact(now) for name in self.targets}
        self._known = {name: Contact(now) for name in self.sources}
        for name in self.targets:
            self.agenda.ask(("sign", name), lambda name=name: self.ask(name))  # type: ignore[misc]
        if self.sources:
            self.agenda.ask("sources", self._watch_sources, AGAIN_SECONDS)

    def note_arrived(self, source: str) -> None:
        """Something of the node with this uuid is journalled here now."""
        self.arrived[source] = self.clock.now()

    def ask(self, name: str) -> None:
        """Ask one target for a sign of life, once; tells what changed, and asks again later."""
        error: ZrError | None = None
        boot: str | None = None
        try:
            boot = self.targets[name].seek_sign()
        except ZrError as failed:
            error = failed
        with self.agenda.monitor:
            now, contact = self.clock.monotonic(), self._asked[name]
            contact.error = error
            if error is None:
                contact.heard = now
            elif contact.heard is not None:
                contact.heard = max(contact.heard, now - self.targets[name].quiet_seconds())
            over = self._judge(name, contact, SILENT_SECONDS)
            if over:
                self.answered(name)
            before, contact.boot = contact.boot, boot or contact.boot
            if before is not None and before != contact.boot:
                self.restarted(name)
        pause = ASK_SECONDS if error is None else AGAIN_SECONDS
        self.agenda.ask(("sign", name), lambda: self.ask(name), pause)

    def _watch_sources(self) -> None:
        with self.agenda.monitor:
            self.look_at_sources()
        self.agenda.ask("sources", self._watch_sources, AGAIN_SECONDS)

    def look_at_sources(self) -> None:
        """Tell what changed. Call it with the monitor."""
        heard = self.heard()
        for name in self._concerned(heard):
            self._judge(name, self._known[name], UNHEARD_SECONDS)

    def _concerned(self, heard: Mapping[str, float]) -> list[str]:
        """Sources from which something is to be expected; what was heard of them is noted."""
        for name, node in self.sources.items():
            known = self._known[name]
            known.heard = heard.get(node.uuid, known.heard)
        return sorted(
            name
            for name, node in self.sources.items()
            if name in self.expected
            or self._known[name].heard is not None
            or node.uuid in self.arrived
        )

    def _judge(self, name: str, contact: Contact, patience_seconds: float) -> bool:
        """Tell where it fell silent, or answers again; True for the latter."""
        now = self.clock.monotonic()
        quiet = contact.silent_seconds(now, patience_seconds)
        if quiet is not None and contact.told is None:
            contact.told = now - quiet
            error = contact.error
            why = {"reason": error.reason, "message": str(error)} if error else {}
            since, seconds = self._at(now - quiet), round(quiet)
            self.tell(Event.PEER_SILENT, peer=name, since=since, seconds=seconds, **why)
        elif quiet is None and contact.told is not None:
            seconds = round(now - contact.told)
            contact.told = None
            self.tell(Event.PEER_ANSWERS, peer=name, seconds=seconds)
            return True
        return False

    def is_silent(self, target: str) -> bool:
        """It does not answer now."""
        contact = self._asked.get(target)
        now = self.clock.monotonic()
        return contact is not None and contact.state(now, SILENT_SECONDS) == "silent"

    def describe_targets(self) -> list[dict[str, Any]]:
        """See docs/reference/status.md."""
        now = self.clock.monotonic()
        described = []
        for name, contact in sorted(self._asked.items()):
            quiet = contact.silent_seconds(now, SILENT_SECONDS)
            error = contact.error if quiet is not None else None
            described.append(
                {
                    "target": name,
                    "state": contact.state(now, SILENT_SECONDS),
                    "heard_at": None if contact.heard is None else self._at(contact.heard),
                    "silent_seconds": None if quiet is None else round(quiet),
                    "error": describe_error(error),
                }
            )
        return described

    def describe_sources(self) -> list[dict[str, Any]]:
        """See docs/reference/status.md."""
        now, described = self.clock.monotonic(), []
        for name in self._concerned(self.heard()):
            contact, arrived = self._known[name], self.arrived.get(self.sources[name].uuid)
            quiet = contact.silent_seconds(now, UNHEARD_SECONDS)
            described.append(
                {
                    "source": name,
                    "state": contact.state(now, UNHEARD_SECONDS),
                    "heard_at": None if contact.heard is None else self._at(contact.heard),
                    "silent_seconds": None if quiet is None else round(quiet),
                    "arrived_at": None if arrived is None else _render(arrived),
                    "arrived_seconds": None
                    if arrived is None
                    else max(0, round(self.clock.now() - arrived)),
                }
            )
        return described

    def _at(self, moment: float) -> str:
        """A monotonic moment, by the clock that people read."""
        return _render(self.clock.now() - (self.clock.monotonic() - moment))


def _render(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def describe_error(error: ZrError | None) -> dict[str, str] | None:
    """As it stands in every answer of `zr status --json`."""
    if error is None:
        return None
    return {"kind": type(error).__name__, "reason": error.reason, "message": str(error)}
