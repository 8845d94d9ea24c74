"""How long does `zr versions` take on thousands of snapshots? `python -m tests.lab.bench_versions`.

One dataset; in it one file of few versions (changed every 500th snapshot) and one of many (every
10th). The first look, then the next ones with what was remembered, also after some more snapshots;
and in the same run what people have without zr: `zfs list` to name the snapshots, one `stat` over
`.zfs/snapshot/*/FILE`, and `zfs diff` between neighbours. On the lab's nodes system calls and
mounts are dear, so a real machine is faster; and where the machine is shared, the CPU of the node
as the host counts it says more than the time. So what counts are the ratios.

While the snapshots are made it prints what they take in the pool: each has a list with an entry for
every one before it (docs/design/scale.md). So the disks stand beside each other, without parity.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from dataclasses import dataclass

from .lab import Lab
from .node import Node
from .processes import cpu_seconds

DATASET, HOME = "tank/many", "/tank/many"
FEW, MANY = "file", "often"
DISK_BYTES = 8 << 30
"""Sparse: what is used of it is memory of the host."""
CHUNK = 500
TOLD_EVERY = 1000
LATER = 5
STAT_MOST, DIFF_PAIRS = 1000, 20
"""Of so many the others' cost is taken: a snapshot that was looked at in `.zfs` stays mounted for
five minutes, and ten thousand mounts do not fit into a node's memory."""
MAKE = r"""
import libzfs_core, sys
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    for name, every in (("file", 500), ("often", 10)):
        if i % every == 0:
            with open("/tank/many/" + name, "a") as changed:
                changed.write("changed\n")
    moment = b"%02d%02d%02d" % (i // 3600, i // 60 % 60, i % 60)
    libzfs_core.lzc_snapshot([b"tank/many@zr_1-00000000_%d_20991120T%sZ" % (i, moment)])
"""
LIST = [
    "zfs",
    "list",
    "-Hp",
    "-d1",
    "-t",
    "snapshot",
    "-o",
    "name,guid",
    "-s",
    "createtxg",
    DATASET,
]


@dataclass(frozen=True)
class Cost:
    """What one command needed, and what it said."""

    seconds: float
    cpu_seconds: float
    said: str


def make_snapshots(node: Node, count: int, *, first: int = 0) -> None:
    """`count` more, from number `first`, below 86,400; some metadata each: a big pool for many."""
    if not first:
        node.run(["zfs", "create", DATASET])
    words = [str(first), str(first + count)]
    node.run(["/usr/bin/python3", "-c", MAKE, *words], timeout_seconds=7200)


def make_many(node: Node, count: int) -> None:
    """The same, and print what they take."""
    began = time.monotonic()
    for first in range(0, count, CHUNK):
        make_snapshots(node, min(CHUNK, count - first), first=first)
        made = min(first + CHUNK, count)
        if made % TOLD_EVERY == 0 or made == count:
            allocated = int(node.run(["zpool", "list", "-Hpo", "alloc", "tank"]).text)
            seconds = time.monotonic() - began
            print(f"{made:,} snapshots: {seconds:.0f} s, {allocated >> 20:,} MiB", flush=True)


def measure(node: Node, argv: list[str]) -> Cost:
    """Once."""
    before, began = cpu_seconds(node.machine.processes()), time.monotonic()
    said = node.run(argv, cwd=HOME, timeout_seconds=3600).text
    seconds = time.monotonic() - began
    return Cost(seconds, cpu_seconds(node.machine.processes()) - before, said)


def ask(file: str) -> list[str]:
    return ["zr", "versions", file, "--no-ask", "--json"]


def seconds_of(cost: Cost) -> float:
    return cost.seconds


def show(what: str, cost: Cost, *, more: str = "") -> Cost:
    """Print a line."""
    print(f"{what}: {cost.seconds:.2f} s, CPU {cost.cpu_seconds:.2f} s{more}", flush=True)
    return cost


def show_versions(what: str, cost: Cost) -> Cost:
    """And what it found."""
    facts = json.loads(cost.said)
    found = f"{facts['snapshots']:,} snapshots, {len(facts['versions'])} versions"
    return show(what, cost, more=f"; {found}, {facts['looked_into']} looked into")


def best(node: Node, argv: list[str]) -> Cost:
    """Of several."""
    return min((measure(node, argv) for _ in range(LATER)), key=seconds_of)


def look_with_zr(node: Node) -> dict[str, tuple[Cost, Cost]]:
    """Each file: its first look, and the best later one."""
    found = {}
    for file in (FEW, MANY):
        first = show_versions(f"zr versions {file}, first look", measure(node, ask(file)))
        later = show_versions(f"zr versions {file}, best of {LATER}", best(node, ask(file)))
        found[file] = first, later
    return found


def look_without(node: Node) -> dict[str, float]:
    """What others cost → seconds for one snapshot, or one pair of neighbours."""
    listed = show("zfs list", min((measure(node, LIST) for _ in range(2)), key=seconds_of))
    names = [line.split("\t")[0] for line in listed.said.splitlines()][:STAT_MOST]
    paths = [f".zfs/snapshot/{name.partition('@')[2]}/{FEW}" for name in names]
    what, words = f"stat below {len(paths):,} of .zfs/snapshot", ["stat", "-c", "%i%y", *paths]
    stat = show(what, measure(node, words))
    show("the same, while all are still mounted", measure(node, words))
    pairs = list(itertools.pairwise(names))[:DIFF_PAIRS]
    script = "; ".join(f"zfs diff {one} {other}" for one, other in pairs)
    diff = show(f"zfs diff of {len(pairs)} pairs", measure(node, ["sh", "-ec", script]))
    return {"stat": stat.seconds / len(paths), "zfs diff": diff.seconds / len(pairs)}


def compare(seen: dict[str, tuple[Cost, Cost]], others: dict[str, float], count: int) -> None:
    """Print how many times as long they would need for all."""
    for name, each in others.items():
        whole = each * count
        print(f"\n{name} for all {count:,}, reckoned from these: {whole:.0f} s; as a multiple of")
        for file, (first, later) in seen.items():
            print(
                f"  zr versions {file}: first look {whole / first.seconds:.0f}x, "
                f"later {whole / later.seconds:.0f}x"
            )


def main(count: int) -> None:
    """Print a line for each measurement."""
    with Lab.up(name="benchversions", disk_bytes=DISK_BYTES, layout="") as lab:
        node = lab.alpha
        make_many(node, count)
        show("zr --version", best(node, ["zr", "--version"]))
        seen = look_with_zr(node)
        make_snapshots(node, 10, first=count)
        show_versions(f"zr versions {FEW}, after ten more snapshots", measure(node, ask(FEW)))
        compare(seen, look_without(node), count)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
