"""A restore at T gives what an oracle file system had at T.

By the production's choice of a snapshot from what a person types, on the source and on its targets.

The oracle is the list of all writes up to a moment, kept by the world. A person types a local time
(also in the night in which the clocks are set back) and wants the state at the last tick at or
before it. Where retention has dropped it, nothing is promised. Nor where a label that lies is near:
the source's clock was wrong then, and `Chosen.doubt` (unit tests) is what is promised.
"""

import sys
from bisect import bisect_right
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tests.simulation.scenario import CLOCKS_CHANGE_AFTER_SECONDS
from tests.simulation.truth import content_of, own_versions
from zrepl_py.core.times import parse_time, render_instant
from zrepl_py.core.versions import choose_snapshot
from zrepl_py.engine.commands import Command
from zrepl_py.errors import Refused
from zrepl_py.model.names import parse_tick
from zrepl_py.testing.model_zfs_state import ModelDataset

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

LYING_CLOCKS = {"clock-source", "clock-target", "drift"}
BELIEVED_SECONDS = 60.0
"""A label that is further from the true time of its tick lies."""
TRIES = 10
"""Per lane at the end."""
Tick = tuple[int, float, int]
"""(label, true time of its instant, guid that is valid at it)"""


class RestoresTrue:
    """Asks when all is quiet."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.random = Random(f"{site.seed}/restore")
        self._ticks: dict[int, list[Tick]] = {}
        """By the dataset's guid."""

    def after_snapshot_changed(self, node: "SimNode", command: Command, value: object) -> None:
        """The instant of a tick, and which snapshot is every member's state at it."""
        members, name = command.args
        tick = parse_tick(name)
        assert tick is not None
        for dataset, last in members.items():
            found = node.pools.dataset(dataset)
            newest = found.snapshots[-1] if found.snapshots else None
            version = newest if newest and newest.name == name else found.snapshot(last or "")
            if version is not None:
                state = (tick.at, self.site.loop.now, version.guid)
                self._ticks.setdefault(found.guid, []).append(state)

    def at_end(self) -> None:
        """Some times of every dataset, on both sides."""
        for source, dataset, target in self.site.lanes():
            ticks, lies = self._judge_labels(self._ticks.get(dataset.guid, []))
            replica = self.site.truth.replica_of(target, dataset.guid)
            if not ticks:
                continue
            first, last = ticks[0][0], int(source.clock.now())
            for _ in range(TRIES):
                at = self._draw(ticks, first, last)
                for place in (dataset, replica):
                    if place is not None:
                        self._ask(place, dataset.guid, ticks, lies, at, source.clock.now())

    def _judge_labels(self, ticks: list[Tick]) -> tuple[list[Tick], list[int]]:
        """The ticks whose labels are believed and tell their order, and the labels of all others:
        none, where no clock is ever wrong."""
        if not LYING_CLOCKS & self.site.scenario.faults:
            return ticks, []
        began = self.site.scenario.starts_at
        if not ticks:
            return [], []
        near = [t for t in ticks if abs(began + t[1] - t[0]) < BELIEVED_SECONDS]
        least_after = list(accumulate((t[0] for t in near[::-1]), min))[::-1][1:]
        ordered, highest = list[Tick](), 0
        for tick, later in zip(near, [*least_after, sys.maxsize], strict=True):
            if highest < tick[0] < later:
                ordered.append(tick)
            highest = max(highest, tick[0])
        believed = set(ordered)
        return ordered, [t[0] for t in ticks if t not in believed]

    def _draw(self, ticks: list[Tick], first: int, last: int) -> int:
        """The very second of a tick; or a moment of the hours in which clocks change; or any."""
        dice = self.random.random()
        if dice < 0.3:
            return self.random.choice(ticks)[0]
        change = self.site.scenario.starts_at + CLOCKS_CHANGE_AFTER_SECONDS
        if dice < 0.6 and first < change - 3600 and change + 3600 < last:
            return self.random.randrange(change - 3600, change + 3600)
        return self.random.randrange(first, last)

    def _ask(
        self,
        place: ModelDataset,
        guid: int,
        ticks: list[Tick],
        lies: list[int],
        at: int,
        now: float,
    ) -> None:
        label, instant, valid = ticks[bisect_right([t[0] for t in ticks], at) - 1]
        kept = next((v for v in own_versions(place) if v.guid == valid), None)
        if kept is None:
            return  # retention dropped it
        taken = parse_tick(kept.name)
        assert taken is not None
        there = {tick.at for v in own_versions(place) if (tick := parse_tick(v.name))}
        if taken.at in lies or any(taken.at <= lie <= at for lie in there.intersection(lies)):
            return
        self.site.watch.seen["restore compared"] += 1
        zone = ZoneInfo(self.site.orders[0].policy.timezone)
        typed = render_instant(at, zone)[: 19 if self.random.random() < 0.7 else None]
        try:
            wanted = parse_time(typed, now, zone)
        except Refused as error:
            if error.reason == "ambiguous-time":  # the hour that happens twice: say which
                wanted = parse_time(render_instant(at, zone), now, zone)
            else:
                self._say(f"{typed} is refused: {error}")
                return
        names = [v.name for v in place.snapshots]
        try:
            chosen = choose_snapshot(names, wanted, zone)
        except Refused as error:
            self._say(f"{place.name} at {typed} is refused: {error}")
            return
        version = next(v for v in own_versions(place) if v.name == chosen.name)
        if content_of(version) != self._oracle(guid, instant):
            self._say(
                f"{place.name} at {typed} ({at}) gives {chosen.name}, which is not what the files "
                f"were at {instant:.1f} s (tick of {label}, guid {valid})"
            )

    def _oracle(self, guid: int, instant: float) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for when, path, content in self.site.truth.writes.get(guid, ()):
            if when > instant:
                break
            files[path] = content
        return files

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("restore", sentence + ".")
