"""How long does `zr versions` take on thousands of snapshots? `python -m tests.lab.bench_versions`.

One dataset, a file that was changed every 500th time among them; the first look, then the next ones
with what was remembered, beside what `zfs list` needs to name the snapshots. On the lab's nodes
system calls are dear, so a real machine is faster.
"""

from __future__ import annotations

import json
import sys
import time

from .lab import Lab
from .node import Node

DATASET, HOME = "tank/many", "/tank/many"
MAKE = r"""
import libzfs_core, sys
for i in range(int(sys.argv[1])):
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


def make_snapshots(node: Node, count: int) -> None:
    """`count` (below 86,400) snapshots; some metadata each, so a big pool for many."""
    node.run(["zfs", "create", DATASET])
    node.run(["/usr/bin/python3", "-c", MAKE, str(count)], timeout_seconds=3600)


def main(count: int) -> None:
    """Print a line for each measurement."""
    with Lab.up(name="benchversions", disk_bytes=4 << 30) as lab:
        node = lab.alpha
        began = time.monotonic()
        make_snapshots(node, count)
        print(f"{count:,} snapshots made in {time.monotonic() - began:.0f} s", flush=True)
        ask = ["zr", "versions", "file", "--no-ask", "--json"]
        for what, argv in (
            ("python3 -c pass", ["python3", "-c", "pass"]),
            ("zr --version", ["zr", "--version"]),
            ("zfs list", LIST),
            ("zr versions, first look", ask),
            ("zr versions, second", ask),
            ("zr versions, third", ask),
        ):
            began = time.monotonic()
            said = node.run(argv, cwd=HOME, timeout_seconds=3600).text
            seconds = time.monotonic() - began
            extra = ""
            if argv is ask:
                facts = json.loads(said)
                extra = f", {len(facts['versions'])} versions, {facts['looked_into']} looked into"
            print(f"{what}: {seconds:.2f} s{extra}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
