"""Which of a node's daemons is listened to? One: a copy of its machine is not.

Two machines with one identity, as a virtual machine that was copied and started: both prove that
they are beta. A daemon draws a nonce when it starts (`Hello.boot`). A new nonce is a restart where
nothing of the earlier one is heard any more, and a second machine where the earlier one goes on
speaking. The one that was here first stays; unknown is unsafe, so the other one is turned away
until the first has fallen silent.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.ports.clock import ClockPort

QUIET_SECONDS = 8.0
"""Who was not heard for so long may be gone: who lives speaks every two seconds."""
SETTLE_SECONDS = 10.0
"""For so long two starts may be met without a second machine: last words that nobody read yet."""
FRESH_SECONDS = 60.0
"""A second one that has not come for so long is not told of any more."""
KEPT = 8


class Speaker(Protocol):
    """A connection that the other node made."""

    @property
    def heard_at(self) -> float:
        """The monotonic moment at which something last came."""

    def sever(self) -> None:
        """End it; from any thread."""


@dataclass
class _Other:
    """A start that was turned away."""

    first: float
    last: float
    sure: bool = False
    """It is a second machine; told."""


@dataclass
class _Known:
    """A node."""

    boot: str
    """The start that is listened to."""
    speakers: dict[Speaker, str] = field(default_factory=dict)
    """Its connections → of which start."""
    past: dict[str, float] = field(default_factory=dict)
    """Starts before this one → when they were succeeded."""
    others: dict[str, _Other] = field(default_factory=dict)

    def speaks(self, now: float) -> bool:
        """The one that is listened to is there."""
        mine = (speaker for speaker, boot in self.speakers.items() if boot == self.boot)
        return any(now - speaker.heard_at <= QUIET_SECONDS for speaker in mine)

    def follow(self, boot: str, now: float) -> None:
        """It was restarted."""
        self.past = dict([*self.past.items(), (self.boot, now)][-KEPT:])
        self.boot = boot
        self.past.pop(boot, None)
        self.others.pop(boot, None)

    def return_to(self, boot: str, now: float) -> None:
        """It never ended: what succeeded it is the second one."""
        second, self.boot = self.boot, boot
        self.past.pop(boot)
        self.others[second] = _Other(now, now, sure=True)
        for speaker, whose in self.speakers.items():
            if whose == second:
                speaker.sever()

    def turn_away(self, boot: str, now: float) -> _Other:
        """While the one that is listened to is there."""
        fresh = {b: o for b, o in self.others.items() if now - o.last <= FRESH_SECONDS}
        self.others = dict(list(fresh.items())[-KEPT:])
        other = self.others.setdefault(boot, _Other(now, now))
        other.last = now
        return other


class Starts:
    """Of all other nodes, for all connections of this one. Any thread may call."""

    def __init__(self, clock: ClockPort, tell: Callable[[Event, Mapping[str, str]], None]) -> None:
        self._clock, self._tell = clock, tell
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def check(self, node: str, name: str, boot: str, speaker: Speaker | None = None) -> None:
        """Return where this start of the node is listened to; a `boot` of "" is no daemon's.

        `speaker`: the connection, where the other node made it; it counts until `leave`.
        Passing(node-twice) while it may be a restart, Refused(node-twice) when it is none.
        """
        if not boot:
            return
        error, news = self._judge(node, name, boot, speaker)
        if news:
            self._tell(Event.NODE_TWICE, {"node": node, "peer": name})
        if error is not None:
            raise error

    def leave(self, node: str, speaker: Speaker) -> None:
        """That connection has ended."""
        with self._lock:
            if (known := self._known.get(node)) is not None:
                known.speakers.pop(speaker, None)

    def twice(self) -> frozenset[str]:
        """uuids of the nodes of which there are two."""
        with self._lock:
            since = self._clock.monotonic() - FRESH_SECONDS
            return frozenset(
                node
                for node, known in self._known.items()
                if any(other.sure and other.last >= since for other in known.others.values())
            )

    def _judge(
        self, node: str, name: str, boot: str, speaker: Speaker | None
    ) -> tuple[ZrError | None, bool]:
        """(why it is turned away, whether that there are two is news)."""
        with self._lock:
            now = self._clock.monotonic()
            known = self._known.setdefault(node, _Known(boot))
            if speaker is not None:
                known.speakers[speaker] = boot
            if boot == known.boot:
                return None, False
            if not known.speaks(now):
                known.follow(boot, now)
                return None, False
            if now - known.past.get(boot, now) > SETTLE_SECONDS:
                known.return_to(boot, now)
                return None, True
            other = known.turn_away(boot, now)
            if now - other.first <= SETTLE_SECONDS and not other.sure:
                return _delay(name), False
            news, other.sure = not other.sure, True
            return _refusal(name), news


def _delay(name: str) -> Passing:
    return Passing(
        "node-twice",
        f"{name} was heard a moment ago, from before its last start. It is listened to again when "
        f"nothing more comes of that.",
    )


def _refusal(name: str) -> Refused:
    return Refused(
        "node-twice",
        f"Two machines say that they are {name}. The one that was heard first is listened to, this "
        f"one is not: it may be a copy of it.",
        "Switch off the copy. If both are wanted, one of them needs an identity of its own: "
        "`zr init` with an empty state directory there, then `zr pair`.",
    )
