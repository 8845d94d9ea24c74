"""A restore at T gives what an oracle file system had at T.

By the production's choice of a snapshot from what a person types, on the source and on its targets.

The oracle is the list of all writes up to a moment, kept by the world. A person types a local time
(also in the night in which the clocks are set back) and wants the state at the last tick at or
before it. Where retention has dropped
it, nothing is promised. Not checked where the source's clock was wrong: its labels then lie, and
`Chosen.doubt` (unit tests) is what is promised.
"""

from bisect import bisect_right
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
TRIES = 10
"""Per lane at the end."""


class RestoresTrue:
    """Asks when all is quiet."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.random = Random(f"{site.seed}/restore")
        self._ticks: dict[int, list[tuple[int, float, int]]] = {}
        """Dataset's guid → (the tick's label, true time of its instant, guid valid at it)."""

    def after_snapshot_changed(self, node: "SimNode", command: Command, value: object) -> None:
        """The instant of a tick, and which snapshot is every member's state at it."""
        if LYING_CLOCKS & self.site.scenario.faults:
            return
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
        if LYING_CLOCKS & self.site.scenario.faults:
            return
        for source, dataset, target in self.site.lanes():
            ticks = self._ticks.get(dataset.guid)
            replica = self.site.truth.replica_of(target, dataset.guid)
            if not ticks:
                continue
            first, last = ticks[0][0], int(source.clock.now())
            for _ in range(TRIES):
                at = self._draw(ticks, first, last)
                for place in (dataset, replica):
                    if place is not None:
                        self._ask(place, dataset.guid, ticks, at, source.clock.now())

    def _draw(self, ticks: list[tuple[int, float, int]], first: int, last: int) -> int:
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
        ticks: list[tuple[int, float, int]],
        at: int,
        now: float,
    ) -> None:
        label, instant, valid = ticks[bisect_right([t[0] for t in ticks], at) - 1]
        if all(version.guid != valid for version in place.snapshots):
            return  # retention dropped it
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
