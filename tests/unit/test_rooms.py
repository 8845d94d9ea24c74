"""What is told of room, and when: before anything gives way, once, and that it is over."""

from typing import Any

from tests.simulation.loop import Loop, NodeClock
from zrepl_py.core.audit.service import judge_status
from zrepl_py.core.caps import GivesWay
from zrepl_py.daemon.rooms import Queue, Rooms
from zrepl_py.events import Event
from zrepl_py.model.observation import PoolView
from zrepl_py.model.policy import Limits, Policy, Selection

from .cli_support import group, status

KEY = ("p", "tank")
GIB = 1 << 30
START = 1_790_000_000


class _Watched:
    """A pool of 100 GiB that loses so much an hour."""

    def __init__(self, free: float, limits: Limits | None = None) -> None:
        self.loop = Loop()
        self.told: list[tuple[Event, dict[str, Any]]] = []
        self.rooms = Rooms(
            NodeClock(self.loop, START), lambda event, **fields: self.told.append((event, fields))
        )
        self.free = free
        self.policy = Policy(
            "p",
            "alpha",
            Selection(("tank/**",)),
            60,
            ("beta",),
            limits=limits or Limits(),
            timezone="Europe/Berlin",
        )

    def look(self, hours: float, lost: float, waiting: int = 0) -> GivesWay:
        """After so many hours, in which so many GiB went."""
        self.loop.now += hours * 3600
        self.free -= lost
        queues = {"beta": Queue(waiting, START, waiting)} if waiting else {}
        view = PoolView("tank", 1, "ONLINE", 100 * GIB, round(self.free * GIB))
        return self.rooms.note(KEY, self.policy, view, queues)

    @property
    def words(self) -> list[str]:
        """The events."""
        return [event.value for event, _ in self.told]

    @property
    def facts(self) -> dict[str, Any]:
        """What status says."""
        facts = self.rooms.describe(KEY, self.policy)
        assert facts is not None
        return facts


def test_it_is_told_days_before_with_when_it_would_begin() -> None:
    watched = _Watched(60)
    watched.look(0, 0)
    assert watched.facts["message"] is None
    for _ in range(20):
        assert watched.look(1, 0.5, 60) is GivesWay.NOTHING
    assert watched.words == ["space-soon"]
    fields = watched.told[0][1]
    assert fields["begins_seconds"] < 3 * 86_400 + 3600
    assert fields["bytes_per_day"] == 12 * GIB
    assert fields["waiting"][0]["target"] == "beta"
    assert "60 snapshots wait for beta, the oldest of 2026-09-21 " in fields["message"]
    assert "loses 12.0 GiB a day" in fields["message"]
    assert "Below 15 % what waits will be thinned, at this rate in about" in fields["message"]


def test_each_worsening_is_told_once_and_then_that_there_is_room() -> None:
    watched = _Watched(16)
    for _ in range(3):
        watched.look(0.1, 0, 70)
    assert watched.look(0.1, 2, 70) is GivesWay.WAITING
    watched.look(0.1, -2, 70)
    watched.look(0.1, 2, 70)
    assert watched.look(0.1, 4, 70) is GivesWay.DENSE
    assert watched.words == ["space-soon", "space-thins", "space-thins"]
    assert watched.facts["state"] == "dense"
    assert "Below 10 % no snapshots are taken" in watched.facts["message"]
    watched.look(24, -60)
    assert watched.words[-1] == "space-enough"
    assert watched.facts["message"] is None


def test_what_is_only_on_its_way_raises_no_alarm() -> None:
    watched = _Watched(18)
    for waiting in (0, 1, 0, 2):
        watched.look(0.1, 0, waiting)
    assert watched.words == []
    watched.free = 13
    watched.look(0.1, 0, 1)
    assert watched.facts["state"] == "soon", "below thin_free, but nothing gives way"


def test_where_nothing_waits_only_the_second_step_counts() -> None:
    watched = _Watched(14)
    watched.look(0, 0)
    assert watched.facts["state"] == "soon"
    assert "Below 11 % what is kept of every minute will be thinned" in watched.facts["message"]
    watched.look(0.1, 3.5)
    assert watched.facts["state"] == "dense"


def test_what_waits_for_long_is_said_where_there_is_room_enough() -> None:
    watched = _Watched(80)
    watched.look(0.5, 0, 30)
    assert watched.facts["message"] is None
    watched.look(1, 0, 90)
    assert str(watched.facts["message"]).startswith("90 snapshots wait for beta")
    assert watched.words == []


def test_a_pool_of_which_nothing_is_known_says_nothing() -> None:
    watched = _Watched(80)
    view = PoolView("tank", 1, "SUSPENDED", 0, 0)
    assert watched.rooms.note(KEY, watched.policy, view, {}) is GivesWay.NOTHING
    assert watched.words == []


def test_without_thinning_the_pause_is_what_is_warned_of() -> None:
    watched = _Watched(12, Limits(thin_free_percent=0))
    assert watched.look(0, 0, 70) is GivesWay.NOTHING
    assert watched.facts["message"].endswith("Below 10 % no snapshots are taken.")


def test_what_waits_for_a_target_and_what_is_thinned_are_findings() -> None:
    room: dict[str, Any] = {
        "state": "soon",
        "message": "90 snapshots wait for beta.",
        "waiting": ["beta"],
    }
    others: list[dict[str, Any]] = [{"state": "waiting"}, {"message": None}, {"waiting": []}]
    groups = [group(room=room), *(group(room=room | other) for other in others)]
    found = [finding.id for finding in judge_status(status([], groups))]
    assert found == ["history-waits", "history-thinned"]
