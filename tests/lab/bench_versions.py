"""How long does `zr versions` take on thousands of snapshots? `python -m tests.lab.bench_versions`.

One dataset, a file that was changed every 500th time among them; the first look, then the next ones
with what was remembered, also after some more snapshots, beside what `zfs list` needs to name them
all. On the lab's nodes system calls are dear, so a real machine is faster; and where the machine is
shared, the CPU of the node as the host counts it says more than the time.
"""

from __future__ import annotations

import json
import sys
import time

from .lab import Lab
from .node import Node
from .processes import cpu_seconds

DATASET, HOME = "tank/many", "/tank/many"
DISK_BYTES = 8 << 30
"""With 4 GiB ZFS had no space after some 8,000 snapshots (docs/design/scale.md). It is memory of
the host, as far as it is used."""
MAKE = r"""
import libzfs_core, sys
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    if i % 500 == 0:
        open("/tank/many/file", "a").write("changed\n")
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


def make_snapshots(node: Node, count: int, *, first: int = 0) -> None:
    """`count` more, from number `first`, below 86,400; some metadata each: a big pool for many."""
    if not first:
        node.run(["zfs", "create", DATASET])
    words = [str(first), str(first + count)]
    node.run(["/usr/bin/python3", "-c", MAKE, *words], timeout_seconds=7200)


def measure(node: Node, what: str, argv: list[str]) -> None:
    """Print a line."""
    before, began = cpu_seconds(node.machine.processes()), time.monotonic()
    said = node.run(argv, cwd=HOME, timeout_seconds=3600).text
    seconds = time.monotonic() - began
    used = cpu_seconds(node.machine.processes()) - before
    extra = ""
    if argv is ASK:
        facts = json.loads(said)
        extra = f", {len(facts['versions'])} versions, {facts['looked_into']} looked into"
    print(f"{what}: {seconds:.2f} s, CPU {used:.2f} s{extra}", flush=True)


ASK = ["zr", "versions", "file", "--no-ask", "--json"]


def main(count: int) -> None:
    """Print a line for each measurement."""
    with Lab.up(name="benchversions", disk_bytes=DISK_BYTES) as lab:
        node = lab.alpha
        began = time.monotonic()
        make_snapshots(node, count)
        print(f"{count:,} snapshots made in {time.monotonic() - began:.0f} s", flush=True)
        measure(node, "python3 -c pass", ["python3", "-c", "pass"])
        measure(node, "zr --version", ["zr", "--version"])
        for what in ("zfs list", "zfs list, second"):
            measure(node, what, LIST)
        for what in ("first look", "second", "third"):
            measure(node, f"zr versions, {what}", ASK)
        make_snapshots(node, 10, first=count)
        measure(node, "zr versions, after ten more snapshots", ASK)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
