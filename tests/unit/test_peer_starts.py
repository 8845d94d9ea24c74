"""A machine that was copied and started: which of the two is listened to?"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.loop import Loop, NodeClock
from tests.unit.peer_support import ALPHA, Site, hello_of, lane_of, serving
from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.adapters.peer.starts import (
    FRESH_SECONDS,
    QUIET_SECONDS,
    SETTLE_SECONDS,
    Starts,
)
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.events import Event

NODE, NAME = "b1b1b1b1-0000-4000-8000-000000000000", "beta"


class Line:
    """A connection of theirs."""

    def __init__(self, world: "World") -> None:
        self.heard_at, self.severed = world.loop.now, False

    def sever(self) -> None:
        self.severed = True


class World:
    """One node, as it hears another."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.told: list[Event] = []
        self.starts = Starts(NodeClock(self.loop, 0.0), lambda event, _: self.told.append(event))

    def speak(self, boot: str, line: Line | None = None) -> str:
        """What comes of it: "", or the error's kind."""
        if line is not None:
            line.heard_at = self.loop.now
        try:
            self.starts.check(NODE, NAME, boot, line)
        except ZrError as error:
            return type(error).__name__ if error.reason == "node-twice" else error.reason
        return ""

    def wait(self, seconds: float) -> None:
        self.loop.now += seconds


@pytest.fixture
def world() -> World:
    return World()


def test_a_restart_is_one_where_the_earlier_connections_have_ended(world: World) -> None:
    line = Line(world)
    assert world.speak("first", line) == ""
    world.starts.leave(NODE, line)
    assert world.speak("second", Line(world)) == ""
    assert world.speak("", Line(world)) == "", "a person's command is no daemon"
    assert not world.told


def test_power_was_lost_and_nobody_closed_the_connections(world: World) -> None:
    assert world.speak("first", Line(world)) == ""
    world.wait(QUIET_SECONDS - 1)
    assert world.speak("second", Line(world)) == "Passing"
    world.wait(2)
    assert world.speak("second", Line(world)) == ""
    assert not world.starts.twice()


def test_48_the_copy_of_a_machine_is_never_listened_to(world: World) -> None:
    first = Line(world)
    said = set()
    for _ in range(100):
        assert world.speak("first", first) == ""
        said.add(world.speak("copy", Line(world)))
        world.wait(1)
    assert said == {"Passing", "Refused"}
    assert world.told == [Event.NODE_TWICE], "once"
    assert world.starts.twice() == {NODE}
    world.wait(FRESH_SECONDS)
    assert not world.starts.twice()
    assert world.speak("copy", Line(world)) == "", "the first one is gone: this one is left"


def test_48_the_first_one_was_only_paused(world: World) -> None:
    first, second = Line(world), Line(world)
    assert world.speak("first", first) == ""
    world.wait(QUIET_SECONDS + 1)
    assert world.speak("copy", second) == ""
    world.wait(SETTLE_SECONDS / 2)
    second.heard_at = world.loop.now
    assert world.speak("first", first) == "Passing", "may be its last words"
    world.wait(SETTLE_SECONDS / 2 + 1)
    second.heard_at = world.loop.now
    assert world.speak("first", first) == ""
    assert second.severed
    assert world.told == [Event.NODE_TWICE]
    for _ in range(30):
        assert world.speak("copy", Line(world)) == "Refused"
        assert world.speak("first", first) == ""
        world.wait(1)
    assert world.told == [Event.NODE_TWICE]


def test_a_restart_beside_a_copy(world: World) -> None:
    first = Line(world)
    for _ in range(20):
        world.speak("first", first)
        world.speak("copy", Line(world))
        world.wait(1)
    world.starts.leave(NODE, first)
    again = Line(world)
    assert world.speak("again", again) == ""
    assert world.speak("copy", Line(world)) == "Refused"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with serving(made):
        yield made


@pytest.mark.scenario
@pytest.mark.long
def test_48_over_real_connections(site: Site) -> None:
    """Alpha and a copy of alpha, with its certificate and key, at another address."""
    first = site.client()
    copied = replace(hello_of(ALPHA), boot="0123456789abcdef")
    copy = PeerClient(site.zfs, site.target(), lambda: copied, site.clock, site.limits)
    with contextlib.closing(first), contextlib.closing(copy):
        first.observe_replica(lane_of())
        until = time.monotonic() + 3 * SETTLE_SECONDS
        seen: list[type[ZrError]] = []
        while Refused not in seen:
            assert time.monotonic() < until
            first.seek_sign()
            with pytest.raises((Passing, Refused)) as raised:
                copy.observe_replica(lane_of())
            assert raised.value.reason == "node-twice"
            seen.append(type(raised.value))
            time.sleep(0.5)
        assert seen[0] is Passing
        assert "Switch off the copy" in raised.value.remedy
        first.observe_replica(lane_of())
    assert [event for event, _ in site.events].count(Event.NODE_TWICE) == 1
