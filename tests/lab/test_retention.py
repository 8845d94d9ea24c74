"""The same policy gives the same verdicts on real pools as in the model: history, pins, destroys.

A dataset has months of snapshots, with a clock that was set back and one that jumped ahead ten
years; beta has a copy. What `zr retention plan` says of each snapshot on each node is compared,
reason by reason, with what the pure core says of the same history in the model of ZFS.
"""

import json
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import pytest

from zrepl_py.cli.retention_find import Looked, judge_look
from zrepl_py.config.policies import load_policy
from zrepl_py.core.pins import pin_bases
from zrepl_py.model.names import parse_tick
from zrepl_py.model.policy import Policy

from .conftest import Fresh
from .looks import ask, events, versions
from .node import Node
from .past import Moment, created_at, name_tick, take_past
from .retention_twin import Twin, expected_fates, fates
from .site import Site

pytestmark = pytest.mark.lab
HOUR, DAY, YEARS = 3600, 86_400, 3653 * 86_400
AUDIO, COPY = "tank/audio", "back/zr/alpha/tank/audio"
NEAR, FAR = "tank/near", "tank/far"
"""Pruned by alpha's daemon, each through one adapter."""
ADAPTERS = {NEAR: "libzfs_core", FAR: "command"}
EPISODES = (
    (10, 10 * DAY, 0),
    (20, DAY + 7 * HOUR, 0),
    (14, 6 * HOUR, 0),
    (20, HOUR, 0),
    (24, HOUR, -26 * HOUR),  # somebody set the clock back
    (3, HOUR, YEARS),  # and a battery was empty
    (24, HOUR, 0),
    (25, 60, 0),
)
"""(so many snapshots, seconds between them, how wrong the clock is), the oldest first."""
HEAD = """\
format = 1

[policy]
name = "station"
source = "alpha"
datasets = ["{dataset}"]
every = "1h"
targets = {targets}
timezone = "Europe/Berlin"
"""
RULES = {
    "grids and calendars": """
[retention.alpha]
keep_last = 10
grid = ["24 x 1h", "14 x 1d"]
[retention.beta]
hourly = 48
daily = 30
weekly = 8
monthly = 12
yearly = 5
""",
    "durations and names": """
[retention.alpha]
keep_within = "3d"
keep_matching = ["zr_*_?0_*"]
[retention.beta]
keep_within = "1h"
keep_at_least = 100
""",
    "more than may be": """
[retention.alpha]
keep_last = 50
daily = 60
[retention.beta]
weekly = 20
grid = ["60 x 30m", "20 x 2d"]
[limits]
max_snapshots = 60
""",
    "what is asked first": """
[retention.alpha]
keep_last = 20
[retention.beta]
monthly = 3
[limits]
max_remove_share = "20%"
""",
}


def draw_past(now: int) -> list[Moment]:
    """What is taken until `now`. Every 7th is somebody else's; every 17th of zr's has a name that
    says another time, which must not count."""
    at = now - 60 - sum(count * gap for count, gap, _ in EPISODES)
    moments: list[Moment] = []
    for count, gap, wrong in EPISODES:
        for _ in range(count):
            at += gap
            seq = len(moments) + 1
            said = at + wrong + (400 * DAY if seq % 17 == 0 else 0)
            moments.append(Moment(at + wrong, name_tick(seq, said)))
            if seq % 7 == 0:
                moments.append(Moment(at + wrong, FOREIGN[seq % len(FOREIGN)].format(seq)))
    return moments


FOREIGN = ("before-upgrade-{}", "zr_mine_{}", "autosnap_2026-11-21_00:00:{}_daily",
           "zr_1-00000000_{}_20261340T000000Z")  # fmt: skip


@dataclass
class World:
    """Both nodes with their history, and the model with the same."""

    site: Site
    twin: Twin
    peers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Node → the first 8 hex digits of its peer's uuid → the peer's name."""

    def policy(self, text: str, folder: Path) -> Policy:
        """Put it on both nodes as /tmp/tried.toml, and read it here."""
        (folder / "station.toml").write_text(text)
        for node in self.site.lab.nodes.values():
            node.put("/tmp/tried.toml", text.encode())
        return load_policy(str(folder / "station.toml"))

    def expected(self, name: str, policy: Policy) -> Looked:
        """What the model says."""
        node = node_of(name)
        now = self.site.lab.nodes[node].now()
        return self.twin.look(name, policy, node, self.peers[node], now)

    def node(self, name: str) -> Node:
        """The one with this dataset."""
        return self.site.lab.nodes[node_of(name)]


def node_of(name: str) -> str:
    return "beta" if name.startswith("back/") else "alpha"


def head(dataset: str = f"{AUDIO}/**", targets: str = '["beta"]') -> str:
    return HEAD.format(dataset=dataset, targets=targets)


@pytest.fixture(scope="module")
def world(fresh: Fresh) -> World:
    site, twin = fresh(), Twin()
    alpha, beta = site.lab.alpha, site.lab.beta
    moments = draw_past(int(alpha.now()))
    datasets = (AUDIO, NEAR, FAR)
    alpha.sh("; ".join(f"zfs create {name}" for name in datasets))
    take_past(alpha, [(m.at, [f"{name}@{m.name}" for name in datasets]) for m in moments])
    for name in datasets:
        twin.pools.make_dataset(name)
        real = created_at(alpha, name)
        assert list(real) == [m.name for m in moments]
        assert all(0 <= real[m.name] - m.at <= 5 for m in moments), (
            "the clock was not as it was set"
        )
        twin.take(name, [Moment(real[m.name], m.name) for m in moments])
    for node in site.lab.nodes.values():
        node.put("/etc/zr/policies/station.toml", (head() + RULES_OFF).encode())
    site.start()
    site.settle(timeout_seconds=300)  # each snapshot is an increment
    world = World(site, twin)
    shorts = {name: site.status(name)["uuid"][:8] for name in ("alpha", "beta")}
    world.peers = {"alpha": {shorts["beta"]: "beta"}, "beta": {shorts["alpha"]: "alpha"}}
    for name in ("alpha", "beta"):
        site.stop(name)
    assert twin.replicate(AUDIO, shorts) == COPY
    assert versions(beta, COPY) == twin.names(COPY)
    for name in (*datasets, COPY):
        stand_on(world, name)
    return world


RULES_OFF = "\n[retention.alpha]\nkeep_last = 5000\n[retention.beta]\nkeep_last = 5000\n"


def stand_on(world: World, name: str) -> None:
    """Holds, clones, bookmarks, and a foreign snapshot at the end, here and in the model."""
    node, twin = world.node(name), world.twin
    pool, last = name.partition("/")[0], name.rpartition("/")[2]
    own = [n for n in twin.names(name) if parse_tick(n) is not None]
    held, cloned, read, noted = (f"{name}@{own[place]}" for place in (33, 57, 45, 121))
    clones = {cloned: f"{pool}/rescued-{last}", read: f"{pool}/zr-restore-{last}"}
    node.sh(f"zfs hold 'of a person' {held}; zfs bookmark {noted} '{name}#mine'")
    for snapshot, clone in clones.items():
        node.sh(f"zfs clone -o canmount=noauto {snapshot} {clone}")
        twin.pools.clone(snapshot, clone)
    twin.zfs.hold([held], "of a person")
    twin.zfs.bookmark(noted, f"{name}#mine")
    away = f"{name}@{own[12]}"
    guid = int(node.run(["zfs", "get", "-Hpo", "value", "guid", away]).text)
    node.run(["zfs", "bookmark", away, f"{name}#zr_cursor_deadbeef_{guid:016x}"])
    known = twin.zfs.observe_snapshot(away)
    assert known is not None
    twin.zfs.bookmark(away, f"{name}#zr_cursor_deadbeef_{known.guid:016x}")
    if name == COPY:
        node.run(["zfs", "snapshot", f"{name}@by-hand"])
        twin.take(name, [Moment(created_at(node, name)["by-hand"], "by-hand")])


def plan(node: Node, *words: str) -> dict[str, Any]:
    """The one dataset of `zr retention plan --json`."""
    said = node.run(["zr", "retention", "plan", "--json", *words]).text
    (facts,) = json.loads(said)["datasets"]
    return dict(facts)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", [AUDIO, COPY])
def test_the_verdicts_are_those_of_the_model(
    world: World, name: str, rules: str, tmp_path: Path
) -> None:
    policy = world.policy(head() + RULES[rules], tmp_path)
    seen = plan(world.node(name), "--policy", "/tmp/tried.toml", name)
    looked = world.expected(name, policy)
    assert fates(seen) == expected_fates(looked)
    assert {fate for _, fate, _ in fates(seen).values()} >= {"stays", "foreign"}
    doubt = looked.removal.doubt
    assert (seen["doubt"] or {}).get("reason") == (doubt.reason if doubt else None)


OBSERVE = r"""
import json, sys
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.adapters.zfs.lzc import LzcZfs
seen = []
for zfs in (LzcZfs(), CommandZfs()):
    history = zfs.observe_history(sys.argv[1])
    holds = zfs.observe_holds([f"{sys.argv[1]}@{s.name}" for s in history.snapshots[-60:]])
    seen.append({
        "snapshots": [(s.name, s.created_at) for s in history.snapshots],
        "bookmarks": [b.created_at for b in history.bookmarks],
        "holds": {name: sorted(tags) for name, tags in holds.items() if tags}})
print(json.dumps(seen))
"""


@pytest.mark.parametrize("name", [AUDIO, COPY])
def test_both_adapters_see_what_the_model_has(world: World, name: str) -> None:
    zfs = world.twin.zfs
    history = zfs.observe_history(name)
    holds = zfs.observe_holds([f"{name}@{s.name}" for s in history.snapshots[-60:]])
    expected = {
        "snapshots": [[s.name, s.created_at] for s in history.snapshots],
        "bookmarks": [b.created_at for b in history.bookmarks],
        "holds": {at: sorted(tags) for at, tags in holds.items() if tags},
    }
    assert ask(world.node(name), OBSERVE, name) == [expected, expected]


def test_a_clock_that_is_behind_is_asked_about(world: World, tmp_path: Path) -> None:
    """On the source only: a replica's times are of another clock."""
    policy = world.policy(head() + RULES["grids and calendars"], tmp_path)
    for name in (AUDIO, COPY):
        node = world.node(name)
        node.step_clock(-3 * DAY)
        try:
            seen = plan(node, "--policy", "/tmp/tried.toml", name)
            looked = world.expected(name, policy)
        finally:
            node.step_clock(3 * DAY)
        assert fates(seen) == expected_fates(looked)
        assert (seen["doubt"] is not None, seen["counts"]["asked"] > 0) == (
            (True, True) if name == AUDIO else (False, False)
        )


@pytest.mark.parametrize("name", [AUDIO, COPY])
def test_apply_destroys_exactly_what_was_shown(world: World, name: str, tmp_path: Path) -> None:
    text = head() + RULES["grids and calendars"]
    policy = world.policy(text, tmp_path)
    node, before = world.node(name), versions(world.node(name), name)
    node.put("/etc/zr/policies/station.toml", text.encode())
    shown = plan(node, name)
    going = [s["name"] for s in shown["snapshots"] if s["fate"] == "goes"]
    assert len(going) > 40
    dry = node.run(["zr", "retention", "apply", name, "--dry-run"]).text
    assert f"{len(going)} go" in dry
    assert "held: of a person" in dry
    assert f"cloned: {name.partition('/')[0]}/rescued-audio" in dry
    assert versions(node, name) == before == world.twin.names(name)
    done = node.run(["zr", "retention", "apply", name, "--plan", shown["plan"], "--json"]).text
    facts = json.loads(done)
    assert (facts["destroyed"], facts["left"]) == (len(going), [])
    world.twin.apply(world.expected(name, policy))
    assert versions(node, name) == world.twin.names(name) == [n for n in before if n not in going]
    assert plan(node, name)["plan"] is None, "what was let go once is all there was"


def test_what_is_held_or_cloned_while_a_person_reads_stays_and_says_by_whom(world: World) -> None:
    alpha = world.site.lab.alpha
    text = head() + "\n[retention.alpha]\nkeep_last = 30\n"
    alpha.put("/etc/zr/policies/station.toml", text.encode())
    shown = plan(alpha, AUDIO)
    going = [s["name"] for s in shown["snapshots"] if s["fate"] == "goes"]
    alpha.sh("rm -f /tmp/answer; mkfifo /tmp/answer")
    apply = alpha.start(["sh", "-c", f"zr retention apply {AUDIO} </tmp/answer"])
    writer = alpha.start(
        ["sh", "-c", "exec 3>/tmp/answer; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo y >&3"]
    )
    apply.wait_for_output(b"Destroy these")
    alpha.sh(f"zfs hold late {AUDIO}@{going[3]}; zfs clone {AUDIO}@{going[5]} tank/late")
    alpha.sh("touch /tmp/go")
    assert apply.wait() == 0
    writer.wait()
    said = apply.output().decode()
    assert f"{len(going) - 2} snapshots destroyed" in said
    assert f"left: {AUDIO}@{going[3]}: held: late" in said
    assert f"left: {AUDIO}@{going[5]}: cloned: tank/late" in said
    left = set(versions(alpha, AUDIO))
    assert {n for n in going if n in left} == {going[3], going[5]}


@pytest.mark.parametrize("name", [NEAR, FAR])
def test_the_daemon_lets_go_the_same_through_either_adapter(
    world: World, name: str, tmp_path: Path
) -> None:
    alpha, twin = world.site.lab.alpha, world.twin
    text = head(name, "[]") + RULES["grids and calendars"].partition("[retention.beta]")[0]
    policy = world.policy(text, tmp_path)
    alpha.put("/etc/zr/policies/station.toml", text.encode())
    site = Site(world.site.lab, ADAPTERS[name])
    site.start("alpha")
    try:
        site.wait(lambda: bool(events(site.log("alpha"), "pruned")), "retention", 180)
        told, *_ = events(site.log("alpha"), "pruned")  # on a busy machine it may look once more
    finally:
        site.stop("alpha")
    looked = world.expected(name, policy)
    pruned = twin.apply(looked)
    assert versions(alpha, name) == twin.names(name)
    assert told["destroyed"] == sum(o.destroyed for o in pruned.outcomes)
    spared = find_spared(looked)
    assert spared
    assert set(told["left"]) == spared


def find_spared(looked: Looked) -> set[str]:
    """What would go if nobody held or cloned it, and who does; the hour decides which those are."""
    bookmarked = pin_bases(looked.history, {})
    pins = {guid: why for guid, why in looked.pins.items() if guid in bookmarked}
    bare = judge_look(looked.meant, looked.history, pins, inf, looked.around)
    return {
        f"{looked.meant.name}@{v.snapshot.name}: {'; '.join(looked.pins[v.snapshot.guid])}"
        for v in bare.removal.doomed
        if v.snapshot.guid in looked.pins
    }
