"""A peer that falls silent is noticed within seconds and told once; what waited for it is woken."""

import math
from dataclasses import dataclass, field
from typing import Any

from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.contacts import Contacts
from zrepl_py.errors import Passing, ZrError
from zrepl_py.events import Event
from zrepl_py.model.site import Node

ALPHA = Node("11111111-0000-0000-0000-000000000000", "alpha")
NOON = 1_795_255_200.0  # 2026-11-21 10:00:00 UTC
GONE = Passing("peer-silent", "The connection to the peer failed: No route to host.")


@dataclass
class Hands:
    """A clock that stands until it is moved."""

    moment: float = 0.0

    def now(self) -> float:
        return NOON + self.moment

    def monotonic(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.moment += seconds


@dataclass
class Beta:
    """The way to a target that answers, or does not."""

    error: ZrError | None = None
    quiet: float = math.inf
    boot: str = "first"

    def seek_sign(self) -> str:
        if self.error is not None:
            raise self.error
        return self.boot

    def quiet_seconds(self) -> float:
        return self.quiet


@dataclass
class World:
    clock: Hands = field(default_factory=Hands)
    beta: Beta = field(default_factory=Beta)
    told: list[tuple[Event, dict[str, Any]]] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    heard: dict[str, float] = field(default_factory=dict)

    def contacts(self, **more: Any) -> Contacts:
        contacts = Contacts(
            self.clock,
            Agenda(self.clock, 0, lambda _: None),
            lambda event, **fields: self.told.append((event, fields)),
            {"beta": self.beta},
            self.woken.append,
            **more,
        )
        contacts.start()
        return contacts


def test_a_target_that_does_not_answer_is_said_within_seconds_and_why() -> None:
    world = World()
    contacts = world.contacts()
    contacts.ask("beta")
    assert contacts.describe_targets()[0]["state"] == "answers"
    world.beta.error = GONE
    for second in range(2, 30):
        world.clock.moment = second
        contacts.ask("beta")
        silent = contacts.describe_targets()[0]["state"] == "silent"
        assert silent == (second > 5), second
    told = {
        "peer": "beta",
        "since": "2026-11-21T10:00:00+00:00",
        "seconds": 6,
        "reason": "peer-silent",
        "message": str(GONE),
    }
    assert world.told == [(Event.PEER_SILENT, told)]
    seen = contacts.describe_targets()[0]
    assert seen["heard_at"] == "2026-11-21T10:00:00+00:00"
    assert seen["silent_seconds"] == 29
    assert "No route to host" in seen["error"]["message"]
    assert contacts.is_silent("beta")
    assert not world.woken
    world.beta.error = None
    contacts.ask("beta")
    assert world.told[1:] == [(Event.PEER_ANSWERS, {"peer": "beta", "seconds": 29})]
    assert world.woken == ["beta"]
    assert contacts.describe_targets()[0]["error"] is None


def test_another_daemon_is_noticed_once() -> None:
    restarted: list[str] = []
    world = World()
    contacts = world.contacts(restarted=restarted.append)
    contacts.ask("beta")
    contacts.ask("beta")
    world.beta.error = GONE
    contacts.ask("beta")
    assert not restarted
    world.beta.error, world.beta.boot = None, "second"
    contacts.ask("beta")
    contacts.ask("beta")
    assert restarted == ["beta"]
    assert not world.told


def test_behind_a_stream_that_fills_the_link_a_sign_may_be_late() -> None:
    world = World()
    contacts = world.contacts()
    contacts.ask("beta")
    world.beta.error, world.beta.quiet = GONE, 0.5
    for second in range(2, 30):
        world.clock.moment = second
        contacts.ask("beta")
    assert contacts.describe_targets()[0]["state"] == "answers"
    assert world.told == []


def test_an_ask_that_hangs_is_a_silence_too() -> None:
    world = World()
    contacts = world.contacts()
    contacts.ask("beta")
    world.clock.moment = 6  # and nothing has come back since
    assert contacts.describe_targets()[0]["state"] == "silent"


def test_a_restart_of_the_target_is_no_silence() -> None:
    world = World()
    contacts = world.contacts()
    contacts.ask("beta")
    world.beta.error = GONE
    world.clock.moment = 3
    contacts.ask("beta")
    world.beta.error, world.clock.moment = None, 4
    contacts.ask("beta")
    assert world.told == []


def test_one_that_never_answered_is_said_since_the_start() -> None:
    world = World(beta=Beta(GONE))
    contacts = world.contacts()
    contacts.ask("beta")
    assert contacts.describe_targets()[0]["state"] == "unknown"
    world.clock.moment = 7
    contacts.ask("beta")
    seen = contacts.describe_targets()[0]
    assert (seen["state"], seen["heard_at"], seen["silent_seconds"]) == ("silent", None, 7)


def test_a_target_knows_when_it_last_heard_of_its_source_and_what_came() -> None:
    world = World()
    contacts = world.contacts(sources={"alpha": ALPHA}, heard=lambda: world.heard)
    assert contacts.describe_sources() == []  # nobody said that anything is to come
    world.heard[ALPHA.uuid] = 1.0
    world.clock.moment = 3
    contacts.note_arrived(ALPHA.uuid)
    seen = contacts.describe_sources()[0]
    assert (seen["source"], seen["state"], seen["arrived_seconds"]) == ("alpha", "answers", 0)
    world.clock.moment = 60
    contacts.look_at_sources()
    contacts.look_at_sources()
    seen = contacts.describe_sources()[0]
    assert (seen["state"], seen["silent_seconds"], seen["arrived_seconds"]) == ("silent", 59, 57)
    assert seen["heard_at"] == "2026-11-21T10:00:01+00:00"
    assert seen["arrived_at"] == "2026-11-21T10:00:03+00:00"
    world.heard[ALPHA.uuid] = 60.0
    contacts.look_at_sources()
    assert [event for event, _ in world.told] == [Event.PEER_SILENT, Event.PEER_ANSWERS]


def test_a_source_that_is_expected_and_never_heard_is_silent_since_the_start() -> None:
    world = World()
    contacts = world.contacts(
        sources={"alpha": ALPHA}, expected=frozenset({"alpha"}), arrived={ALPHA.uuid: NOON - 100}
    )
    assert contacts.describe_sources()[0]["state"] == "unknown"
    world.clock.moment = 10
    contacts.look_at_sources()
    seen = contacts.describe_sources()[0]
    assert (seen["state"], seen["heard_at"], seen["arrived_seconds"]) == ("silent", None, 110)
    assert world.told[0][1]["peer"] == "alpha"
