"""Did both nodes converge by themselves, and is nothing left lying about? Asked of the pools.

Nothing here wakes the daemons: `zr status` is only asked. What the pools show counts, not what the
daemons say of themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from zrepl_py.model.names import parse_tick, render_cursor, render_hold

from .node import Node
from .site import REPLICAS
from .soak_compare import Seen, observe_both
from .soak_world import KEEP_ALPHA, KEEP_BETA, World

CONVERGE_SECONDS = 120.0
TIDY_SECONDS = 25.0


@dataclass(frozen=True)
class Short:
    """The nodes' 8 hex digits, as in holds and cursors."""

    alpha: str
    beta: str


def wait_until(find_trouble: Callable[[], list[str]], seconds: float) -> list[str]:
    """Until there is none; what is left at the deadline."""
    deadline = time.monotonic() + seconds
    while (trouble := find_trouble()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return trouble


def find_behind(world: World) -> list[str]:
    """What is not yet on beta: unsnapshotted changes, snapshots that beta lacks, failing lanes."""
    mine, theirs = observe_both(world)
    unwritten = _written(world, mine)
    trouble = [f"{name}: {size} bytes are in no snapshot" for name, size in unwritten.items()]
    for pair in world.pairs:
        newest = _own(mine.get(pair.dataset, {}))[-1:]
        there = _own(theirs.get(pair.replica, {}))[-1:]
        if not newest or newest != there:
            trouble.append(f"{pair.dataset}: newest is {newest}, on beta {there}")
    if trouble:
        return trouble
    lanes = world.site.status()["lanes"]
    for lane in lanes:
        if not lane["in_sync"] or lane["error"] or lane["conflict"]:
            trouble.append(f"{lane['dataset']}: `zr status` says {lane}")
    if len(lanes) != len(world.pairs):
        trouble.append(f"`zr status` shows {len(lanes)} lanes, not {len(world.pairs)}")
    return trouble


def _own(snapshots: dict[str, int]) -> list[tuple[str, int]]:
    """zr's, oldest first."""
    return [(name, guid) for name, guid in snapshots.items() if parse_tick(name)]


def _written(world: World, mine: Seen) -> dict[str, int]:
    """Bytes that were written since zr's newest snapshot, where there are any."""
    alpha = world.lab.alpha
    argv = ["zfs", "list", "-Hp", "-o", "name,written", *[pair.dataset for pair in world.pairs]]
    rows = (line.split("\t") for line in alpha.run(argv).stdout.decode().splitlines())
    written = {name: int(size) for name, size in rows}
    for name in written:
        snapshots = mine.get(name, {})
        own = _own(snapshots)
        if own and own[-1][0] != list(snapshots)[-1]:  # a person's is newer
            argv = ["zfs", "get", "-Hpo", "value", f"written@{own[-1][0]}", name]
            written[name] = int(alpha.run(argv).text)
    return {name: size for name, size in written.items() if size}


def find_leaks(world: World, short: Short) -> list[str]:
    """Holds, bookmarks and partial receives that should not be, or are missing."""
    mine, theirs = observe_both(world)
    with ThreadPoolExecutor(2) as sides:
        here, there_too = (
            sides.submit(_tenure, world.lab.alpha),
            sides.submit(_tenure, world.lab.beta),
        )
        (holds_here, marks_here), (holds_there, marks_there) = here.result(), there_too.result()
    leaks = []
    for pair in world.pairs:
        there = theirs.get(pair.replica, {})
        common = [n for n, g in _own(mine.get(pair.dataset, {})) if there.get(n) == g]
        if not common:
            leaks.append(f"{pair.dataset} has no base: no common snapshot")
            continue
        base = common[-1]
        hold, cursor = render_hold(short.beta), render_cursor(short.beta, mine[pair.dataset][base])
        leaks += _differ(
            "alpha's hold", {(f"{pair.dataset}@{base}", hold)}, _of(pair.dataset, holds_here, "@")
        )
        leaks += _differ(
            "alpha's cursor",
            {(f"{pair.dataset}#{cursor}", str(mine[pair.dataset][base]))},
            _of(pair.dataset, marks_here, "#"),
        )
        newest = f"{pair.replica}@{_own(there)[-1][0]}"
        wanted = {(newest, render_hold(short.alpha))}
        leaks += _differ("beta's hold", wanted, _of(pair.replica, holds_there, "@"))
        leaks += _differ("beta's cursor", set(), _of(pair.replica, marks_there, "#"))
    return leaks + _partials(world.lab.beta)


def _of(dataset: str, found: set[tuple[str, str]], mark: str) -> set[tuple[str, str]]:
    return {(name, what) for name, what in found if name.rpartition(mark)[0] == dataset}


def _differ(what: str, wanted: set[tuple[str, str]], found: set[tuple[str, str]]) -> list[str]:
    extra = [f"{what}: {name} has {value} too many" for name, value in sorted(found - wanted)]
    return extra + [f"{what}: {name} lacks {value}" for name, value in sorted(wanted - found)]


def _tenure(node: Node) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    return _holds(node), _bookmarks(node)


def _holds(node: Node) -> set[tuple[str, str]]:
    """(snapshot, tag) of all holds named `zr_…`."""
    argv = ["zfs", "list", "-Hp", "-r", "-t", "snapshot", "-o", "name,userrefs", node.pool]
    rows = (line.split("\t") for line in node.run(argv).stdout.decode().splitlines())
    held = [name for name, count in rows if count != "0"]
    if not held:
        return set()
    lines = node.run(["zfs", "holds", "-Hp", *held], check=False).stdout.decode().splitlines()
    pairs = (line.split("\t")[:2] for line in lines)
    return {(name, tag) for name, tag in pairs if tag.startswith("zr_")}


def _bookmarks(node: Node) -> set[tuple[str, str]]:
    """(bookmark, guid) of all named `zr_…`."""
    argv = ["zfs", "list", "-Hp", "-r", "-t", "bookmark", "-o", "name,guid", node.pool]
    rows = (line.split("\t") for line in node.run(argv).stdout.decode().splitlines())
    return {(name, guid) for name, guid in rows if name.rpartition("#")[2].startswith("zr_")}


def _partials(beta: Node) -> list[str]:
    argv = ["zfs", "list", "-Hp", "-r", "-o", "name,receive_resume_token,guid", REPLICAS]
    rows = (line.split("\t") for line in beta.run(argv).stdout.decode().splitlines())
    return [f"a partial receive is left in {name}" for name, token, _ in rows if token != "-"]


def find_missing(world: World) -> list[str]:
    """Snapshots that should be on beta and are not: wanted by the policy, or acknowledged."""
    mine, theirs = observe_both(world)
    skipped = {e.get("dataset") for e in world.events("alpha") if e["event"] == "snapshots-skipped"}
    missing = []
    for pair in world.pairs:
        here, there = mine.get(pair.dataset, {}), theirs.get(pair.replica, {})
        own = [n for n in here if parse_tick(n)]
        common = [n for n in own if there.get(n) == here[n]]
        wanted = own[own.index(common[0]) :] if common else own
        if pair.dataset not in skipped:
            missing += [
                f"{pair.dataset}@{n} is not on beta" for n in wanted if there.get(n) != here[n]
            ]
    acknowledged = _acknowledged(world)
    for pair in world.pairs:
        known = acknowledged.get(pair.dataset, set())
        missing += _lost(known, pair.dataset, mine, KEEP_ALPHA)
        missing += _lost(known, pair.replica, theirs, KEEP_BETA)
    return missing


def _lost(acknowledged: set[str], dataset: str, seen: Seen, keep: int) -> list[str]:
    """What was acknowledged and is gone, although retention would not have taken it."""
    there = seen.get(dataset, {})
    seqs = [_seq(name) for name, _ in _own(there)]
    return [
        f"{dataset}@{name} was acknowledged and is gone, with {newer} newer ones"
        for name in sorted(acknowledged - there.keys(), key=_seq)
        if (newer := sum(seq > _seq(name) for seq in seqs)) < keep
    ]


def _acknowledged(world: World) -> dict[str, set[str]]:
    """Dataset → snapshots that alpha wrote down as committed, and told of."""
    found: dict[str, set[str]] = {}
    said = world.lab.alpha.sh(
        """grep -h '"kind":"committed"' /var/lib/zr/journal/journal-*.jsonl || true"""
    )
    for line in said.stdout.decode().splitlines():
        record = json.loads(line)
        found.setdefault(record["dataset"], set()).add(record["name"])
    for event in world.events("alpha"):
        if event["event"] == "lane-committed":
            found.setdefault(str(event["dataset"]), set()).add(str(event["snapshot"]))
    return found


def _seq(name: str) -> int:
    tick = parse_tick(name)
    return tick.seq if tick else 0


def find_taken(world: World) -> list[str]:
    """Snapshots that a person took, and that are gone."""
    seen = dict(zip(("alpha", "beta"), observe_both(world), strict=True))
    return [
        f"{snapshot} on {node}, which a person took, is gone"
        for node, snapshot in world.aliens
        if snapshot.rpartition("@")[2] not in seen[node].get(snapshot.rpartition("@")[0], {})
    ]


def find_too_many(world: World) -> list[str]:
    """Datasets of which retention left more than it should; one beside may have been held."""
    mine, theirs = observe_both(world)
    kept = []
    for pair in world.pairs:
        kept.append((pair.dataset, len(_own(mine.get(pair.dataset, {}))), KEEP_ALPHA))
        kept.append((pair.replica, len(_own(theirs.get(pair.replica, {}))), KEEP_BETA))
    return [f"{name} has {n} snapshots, not {keep}" for name, n, keep in kept if n > keep + 1]


def find_silent(world: World) -> list[str]:
    """Daemons that ended by themselves, or do not answer."""
    silent = []
    for name, node in world.lab.nodes.items():
        code = world.site.daemons[name].poll()
        if code is not None:
            silent.append(f"{name}'s daemon ended by itself with {code}")
            continue
        said = node.run(["zr", "status"], check=False, timeout_seconds=30)
        if said.returncode != 0:
            silent.append(f"{name}: `zr status` ended with {said.returncode}: {said.stderr!r}")
    return silent
