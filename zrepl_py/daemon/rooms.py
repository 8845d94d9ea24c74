"""How much room has each pool, what waits in it, and what is told before anything gives way?

Remembers a day of looks, one a minute; what gives way is decided by core/caps.py. Runs within the
engines of Source. Each worsening is told once, until there is enough room again.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from zrepl_py.core.caps import NEWEST, GivesWay, is_below, judge_room
from zrepl_py.core.times import render_instant
from zrepl_py.daemon.lanes import Tell
from zrepl_py.daemon.loss import render_span
from zrepl_py.events import Event
from zrepl_py.model.observation import PoolView
from zrepl_py.model.policy import Limits, Policy
from zrepl_py.ports.clock import ClockPort

DAY_SECONDS = 86_400
SOON_SECONDS = 3 * DAY_SECONDS
SOON_PERCENT = 5
"""It is said so early: so many points above the mark, or so long before it is reached."""
RATE_SECONDS = 600
"""What was seen for a shorter time says nothing of how fast a pool fills."""
LONG_SECONDS = 3600
"""What waits for longer is said, also where there is room enough."""


class State(IntEnum):
    """Each worse than the one before it."""

    ENOUGH = 0
    SOON = 1
    WAITING = 2
    """What waits for a target gives way."""
    DENSE = 3
    """And what only rules want that keep every snapshot."""


class Queue(NamedTuple):
    """What waits for one target."""

    snapshots: int
    since: int
    """When the oldest of them was taken, seconds since 1970."""
    most: int
    """Of one dataset."""


@dataclass
class Room:
    """What is known of one group's pool."""

    view: PoolView
    waiting: Mapping[str, Queue]
    away: bool = False
    """So much waits, or for so long, that a target must be away: not just what is on its way."""
    state: State = State.ENOUGH
    told: State = State.ENOUGH
    """The worst that was told since there was enough."""
    samples: deque[tuple[float, int]] = field(
        default_factory=lambda: deque(maxlen=DAY_SECONDS // 60)
    )
    """(monotonic moment, bytes free)"""

    @property
    def loss_per_second(self) -> float | None:
        """Bytes that the pool lost per second; None: not seen for long enough."""
        if not self.samples:
            return None
        (since, before), (now, free) = self.samples[0], self.samples[-1]
        return (before - free) / (now - since) if now - since >= RATE_SECONDS else None

    def reaches_in_seconds(self, percent: int) -> float | None:
        """When less than this share will be free, at this rate; None: not known, or never."""
        loss = self.loss_per_second
        left = self.view.free_bytes - self.view.size_bytes * percent / 100
        if left <= 0:
            return 0.0
        return None if loss is None or loss <= 0 else left / loss


class Rooms:
    """The room of every group of this node."""

    def __init__(self, clock: ClockPort, tell: Tell) -> None:
        self._clock, self._tell = clock, tell
        self._known: dict[tuple[str, str], Room] = {}

    def note(
        self, key: tuple[str, str], policy: Policy, view: PoolView, waiting: Mapping[str, Queue]
    ) -> GivesWay:
        """A fresh look: what gives way now. Tells what is news."""
        if not view.size_bytes:
            return GivesWay.NOTHING  # suspended: nothing is known of it
        room = self._known.setdefault(key, Room(view, waiting))
        room.view, room.waiting = view, waiting
        now = self._clock.now()
        room.away = any(q.most > NEWEST or now - q.since > LONG_SECONDS for q in waiting.values())
        room.samples.append((self._clock.monotonic(), view.free_bytes))
        gives_way = judge_room(view, policy.limits)
        room.state = _judge_state(room, policy.limits, gives_way)
        if room.state > room.told:
            event = Event.SPACE_SOON if room.state is State.SOON else Event.SPACE_THINS
            room.told = room.state
            facts = self.describe(key, policy)
            self._tell(event, group=key[0], pool=key[1], **(facts or {}))
        elif room.told and room.state is State.ENOUGH:
            room.told = State.ENOUGH
            self._tell(Event.SPACE_ENOUGH, group=key[0], pool=key[1], free_bytes=view.free_bytes)
        return gives_way

    def describe(self, key: tuple[str, str], policy: Policy) -> dict[str, Any] | None:
        """`room` of a group in docs/reference/status.md; None before the first look."""
        room = self._known.get(key)
        if room is None:
            return None
        loss = room.loss_per_second
        begins = room.reaches_in_seconds(find_mark(room, policy.limits))
        return {
            "free_bytes": room.view.free_bytes,
            "size_bytes": room.view.size_bytes,
            "bytes_per_day": None if loss is None else round(loss * DAY_SECONDS),
            "state": room.state.name.lower(),
            "begins_seconds": None if begins is None else round(begins),
            "waiting": [
                {"target": target, "snapshots": queue.snapshots, "since": _render_utc(queue.since)}
                for target, queue in sorted(room.waiting.items())
            ],
            "message": render_room(room, policy) if room.away or room.state else None,
        }


def find_mark(room: Room, limits: Limits) -> int:
    """Below which share of the pool something would give way next, or snapshots stop."""
    if not limits.thin_percent:
        return limits.min_free_percent
    if room.away and not is_below(room.view, limits.thin_percent):
        return limits.thin_percent
    return limits.min_free_percent + (room.state is not State.DENSE)


def render_room(room: Room, policy: Policy) -> str:
    """What a person reads: what waits, how fast the pool fills, what gives way and when."""
    limits, zone = policy.limits, ZoneInfo(policy.timezone)
    parts = [
        f"{queue.snapshots} {'snapshot waits' if queue.snapshots == 1 else 'snapshots wait'} for "
        f"{target}, the oldest of {render_instant(queue.since, zone)[:16].replace('T', ' ')}."
        for target, queue in sorted(room.waiting.items())
        if room.away
    ]
    free = 100 * room.view.free_bytes // max(1, room.view.size_bytes)
    loss = room.loss_per_second
    rate = ""
    if loss is not None and loss > 0:
        rate = f" and loses {_render_size(loss * DAY_SECONDS)} a day"
    parts.append(f"Pool {room.view.name} has {free} % free{rate}.")
    mark = find_mark(room, limits)
    begins = room.reaches_in_seconds(mark)
    soon = "" if begins is None else f", at this rate in about {render_span(round(begins))}"
    if room.state is State.DENSE:
        parts.append("Now also what only keep_last, keep_within or no rule wants is thinned.")
    elif room.state is State.WAITING:
        parts.append(f"Below {limits.thin_percent} % what waits and no rule here wants is thinned.")
    if mark == limits.min_free_percent:
        parts.append(f"Below {mark} % no snapshots are taken{soon}.")
    elif room.state is not State.WAITING:
        what = "what waits" if room.away else "what is kept of every minute"
        parts.append(f"Below {mark} % {what} will be thinned{soon}.")
    return " ".join(parts)


def _judge_state(room: Room, limits: Limits, gives_way: GivesWay) -> State:
    if gives_way is GivesWay.DENSE:
        return State.DENSE
    if gives_way is GivesWay.WAITING and room.away:
        return State.WAITING
    mark = find_mark(room, limits)
    begins = room.reaches_in_seconds(mark)
    # Once said, it is over only when it is over clearly: an estimate wavers.
    sure = 1 if room.told else 0
    near = is_below(room.view, mark + SOON_PERCENT + sure)
    near = near or (begins is not None and begins < SOON_SECONDS * (1 + sure))
    return State.SOON if near else State.ENOUGH


def _render_utc(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _render_size(size_bytes: float) -> str:
    for size, unit in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes / 1024:.0f} KiB"
