"""No snapshot goes that is held, pinned, the last common base, the newest, or wanted by retention.

Verdicts are judged again here, in another way than core/retention.py: by wanted.py, from what is
there. What people destroyed may still have been known when it was decided, so where they do such
things, it must be wanted with it too.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.judging import judge_wish
from tests.simulation.people import is_replica
from tests.simulation.truth import own_versions
from tests.simulation.wanted import is_in_doubt
from zrepl_py.engine.commands import Command
from zrepl_py.events import Event
from zrepl_py.model.names import parse_tick, render_cursor, render_hold
from zrepl_py.model.observation import DestroyOutcome
from zrepl_py.model.policy import Keep, Policy
from zrepl_py.testing.model_zfs_state import ModelDataset

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

KNOWN_SECONDS = 60.0
KNOWN_CLOCK_SECONDS = 600.0
"""A clock may step between a plan and its destroys."""


class Destroys:
    """Checked before and after every destroy."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self._base: dict[tuple[str, str], tuple[str, float]] = {}
        """(dataset's name, target) → the base that the source knows, and since when."""
        self._gone: Counter[tuple[str, str]] = Counter()

    def on_booted(self, node: "SimNode") -> None:
        """What was remembered is forgotten. That a target has a first snapshot is known by a cursor
        then: others are of a replica that somebody destroyed, and the source goes by them until its
        lane looks."""
        self._gone.clear()
        truth = self.site.truth
        named = {target.node.name: target.node.short for target, _ in self.site.links_from(node)}
        for dataset in self.site.members_of(node):
            for target, short in named.items():
                marks, key = dataset.bookmarks.values(), (target, dataset.guid)
                cursors = {m.guid for m in marks if m.name == render_cursor(short, m.guid)}
                if cursors.isdisjoint(truth.arrived.get(key, ())):
                    truth.heard.pop(key, None)

    def on_told(self, node: "SimNode", event: Event, fields: dict[str, Any]) -> None:
        """Remember what a source knows to be committed."""
        if event is Event.LANE_COMMITTED:
            key = (fields["dataset"], fields["target"])
            self._base[key] = (fields["snapshot"], self.site.loop.now)
        elif event is Event.LANE_FAILED:
            self._base.pop((fields["dataset"], fields["target"]), None)
        elif event is Event.SNAPSHOTS_GONE:
            self._check_gone(node, fields["dataset"], fields["names"])

    def _check_gone(self, node: "SimNode", dataset: str, names: list[str]) -> None:
        """Only what somebody else destroyed is told as gone."""
        truth, found = self.site.truth, node.pools.find(dataset)
        own = own_versions(found) if found is not None else []
        if not own:
            return
        for guid in truth.lineages[truth.dataset_of[own[-1].guid]].guids:
            by = truth.destroyed.get((node.node.name, guid))
            if by == "retention" and guid not in truth.allowed and truth.label[guid].name in names:
                who = node.node.name
                sentence = f"{who} tells that guid {guid} of {dataset} is gone: its own deed."
                self.site.watch.violation("destroys", sentence)

    def before_destroy_snapshots(self, node: "SimNode", command: Command) -> None:
        """What is asked for."""
        doomed: dict[str, list[int]] = {}
        for name, guid in command.args[0].items():
            dataset_name, _, short = name.partition("@")
            found = node.pools.find(dataset_name)
            version = found.snapshot(short) if found else None
            if found is None or version is None or version.guid != guid:
                continue  # ZFS will refuse
            if parse_tick(short) is None:
                self._say(node, name, "is not ours")
            if version is own_versions(found)[-1]:
                self._say(node, name, "is the newest")
            if not is_replica(node, found):
                self._check_base(node, dataset_name, short, guid)
            if not version.holds:
                doomed.setdefault(dataset_name, []).append(guid)
        for name, guids in doomed.items():
            self._check_verdicts(node, node.pools.dataset(name), guids)

    def before_release(self, node: "SimNode", command: Command) -> None:
        """The source lets go of a hold: not while the target has nothing newer."""
        for name in command.args[0]:
            version = node.pools.version(name)
            found = node.pools.find(name.partition("@")[0])
            if found is None or is_replica(node, found):
                continue
            for target, _ in self.site.links_from(node):
                if version is None or command.args[1] != render_hold(target.node.short):
                    continue
                dataset = self.site.truth.dataset_of[version.guid]
                arrived = self.site.truth.arrived.get((target.node.name, dataset), [0])
                if arrived[-1] == version.guid:
                    sentence = (
                        f"{node.node.name} releases {name}, the newest that {target.node.name} has."
                    )
                    self.site.watch.violation("destroys", sentence)

    def _check_base(self, node: "SimNode", dataset: str, short: str, guid: int) -> None:
        for target, _ in self.site.links_from(node):
            base, since = self._base.get((dataset, target.node.name), ("", 0.0))
            arrived = self.site.truth.arrived.get(
                (target.node.name, self.site.truth.dataset_of[guid]), [0]
            )
            known = node.asked_at - since > KNOWN_SECONDS
            if base == short and known and arrived[-1] == guid:
                self._say(node, f"{dataset}@{short}", f"is the base of {target.node.name}")

    def _check_verdicts(self, node: "SimNode", dataset: ModelDataset, doomed: list[int]) -> None:
        truth = self.site.truth
        here = [v.guid for v in own_versions(dataset)]
        source = truth.dataset_of[doomed[0]]
        policy = truth.order_of[source].policy
        keep = policy.keep.get(node.node.name, Keep())
        site, wanted, lost = self.site, set(doomed), self._lost(node, source, set(here))
        steady = site.loop.now - site.faults.clock_changed_at > KNOWN_CLOCK_SECONDS
        now = node.clock.now() if steady and node.node.name == policy.source else None
        for known in range(len(lost) + 1):
            if not wanted:
                break
            view = self._with_lost(source, here, lost[:known])
            for unheard in {frozenset[str](), self._unheard(node, policy, source)}:
                wanted &= judge_wish(node, source, policy, view, now, unheard)[0]
        if not steady or is_in_doubt(truth.labels(here), now):
            wanted -= truth.allowed  # what the doubt kept, and a person did not
        for guid in wanted:
            self._say(node, f"{dataset.name}, guid {guid}", f"is wanted by {keep}")
        if not lost and len(here) - len(doomed) < (keep.at_least or 0):
            self._say(node, dataset.name, f"has fewer than {keep} then")

    def _unheard(self, node: "SimNode", policy: Policy, source: int) -> frozenset[str]:
        """Targets whose first snapshot has come, but no word of it to the source, or only a moment
        before it asked for the destroy: a slow link, or one that is cut, keeps it back."""
        came, heard, now = self.site.truth.first_arrived, self.site.truth.heard, node.asked_at
        late = set()
        for target in policy.targets:
            first, word = came.get((target, source)), heard.get((target, source), -1.0)
            if first is not None and (word < first or now - word < KNOWN_SECONDS):
                late.add(target)
        return frozenset(late)

    def _lost(self, node: "SimNode", source: int, here: set[int]) -> list[int]:
        """What people destroyed of it, the last one first: when it was decided what goes, so many
        of them may still have been known."""
        place = self.site.truth.lineages[source].place
        by_hand = self.site.truth.by_hand.get(node.node.name, {})
        return [guid for guid in reversed(by_hand) if guid in place and guid not in here]

    def _with_lost(self, source: int, here: list[int], lost: list[int]) -> list[int]:
        place = self.site.truth.lineages[source].place
        return sorted([*here, *lost], key=place.__getitem__) if lost else here

    def after_destroy_snapshots(
        self, node: "SimNode", command: Command, value: list[DestroyOutcome]
    ) -> None:
        """What went."""
        for outcome in value:
            if outcome.destroyed:
                guid = command.args[0][outcome.name]
                self.site.truth.destroyed[node.node.name, guid] = "retention"
            elif outcome.cause == "gone":
                self._gone[node.node.name, outcome.name] += 1
                if self._gone[node.node.name, outcome.name] > 1:
                    self._say(node, outcome.name, "was told twice that it is gone")

    def _say(self, node: "SimNode", name: str, why: str) -> None:
        sentence = f"{node.node.name} destroys {name}, but it {why}."
        self.site.watch.violation("destroys", sentence)
