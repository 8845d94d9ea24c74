"""What do zr, bzfs and sanoid need for the same plan? `python -m tests.lab.bench_retention`.

First on real pools, where each tool lists real snapshots of its own dataset, taken at the same
moments. Then without ZFS: the same many lines from a file, where only reading and judging counts.
Nothing is destroyed. What is counted: wall time; CPU of the whole node with its kernel, as the host
counts it; how many processes and threads were started; the memory of the largest process. Of two
rounds the one with less CPU.

What cannot be compared: zr says of every snapshot whether it stays, with every reason, and looks
for holds, clones and bookmarks; bzfs asks ZFS how much a destroy would free; sanoid sees names and
times only. One of zr's snapshots can stand for a quarter, an hour and a day; the others' names are
for one of these, so they keep more.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

from .lab import Lab
from .looks import PYTHON, ask
from .node import Node
from .past import take_past
from .processes import cpu_seconds
from .rivals import BZFS_WAY, EVERY_SECONDS, SANOID_WAY, WAYS, ZR, Way, install_rivals
from .site import Site

REAL, LISTED = 2000, 100_000
ROUNDS = 2
MEASURE = r"""
import json, resource, subprocess, sys, time
def started():
    with open("/proc/stat") as stat:
        return next(int(line.split()[1]) for line in stat if line.startswith("processes"))
before, began = started(), time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
seconds, begun = time.monotonic() - began, started() - before
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
seen = {"seconds": seconds, "started": begun, "mebibytes": most}
print(json.dumps(seen | {"code": done.returncode, "said": done.stdout}))
"""
JUDGE = r"""
import json, sys
from zrepl_py.adapters.zfs.parse import parse_history
from zrepl_py.config.policies import load_policy
from zrepl_py.core.retention import judge
with open(sys.argv[1]) as lines:
    history = parse_history("tank/zr", lines.read())
policy = load_policy(sys.argv[2])
verdicts = judge(history, policy.keep["alpha"], policy.limits, {})
said = [{"name": v.snapshot.name, "keep": v.keep, "reasons": v.reasons} for v in verdicts]
counts = {"goes": sum(not v.keep for v in verdicts)}
print(json.dumps({"datasets": [{"counts": counts, "snapshots": said}]}))
"""
STAND_IN = """\
#!/bin/sh
# Says the same as zfs would, of snapshots that are not there.
case " $* " in
*" -t snapshot "* | *" -Hrpt snapshot "*) exec cat /tmp/listed ;;
*" destroy "*) exit 0 ;;
esac
exec /usr/sbin/zfs "$@"
"""
LIST_COLUMNS = "name,guid,createtxg,creation"
LIST = replace(
    ZR,
    tool="zfs list",
    argv=("zfs", "list", "-Hp", "-d1", "-t", "snapshot", "-o", LIST_COLUMNS, ZR.dataset),
    count_going=lambda said: 0,
)
POLICY_FILE = "/etc/zr/policies/compared.toml"


@dataclass(frozen=True)
class Cost:
    """What one run needed."""

    tool: str
    seconds: float
    cpu_seconds: float
    started: int
    mebibytes: float
    going: int


def measure(node: Node, way: Way) -> Cost:
    """The better of the rounds."""
    costs = []
    for _ in range(ROUNDS):
        node.sh("rm -rf /tmp/sanoid/*")  # else it believes its own list for a quarter of an hour
        before = cpu_seconds(node.machine.processes())
        seen: dict[str, Any] = ask(node, MEASURE, *way.argv, timeout_seconds=1800)
        used = cpu_seconds(node.machine.processes()) - before
        if seen["code"] != 0:
            raise SystemExit(f"{way.tool} ended with {seen['code']}:\n{seen['said'][-2000:]}")
        going = way.count_going(seen["said"])
        counted = (seen["started"], seen["mebibytes"], going)
        costs.append(Cost(way.tool, seen["seconds"], used, *counted))
    return min(costs, key=lambda cost: cost.cpu_seconds)


def moments(count: int, now: float) -> list[int]:
    """A quarter of an hour apart, the newest the last one that began."""
    last = int(now) // EVERY_SECONDS * EVERY_SECONDS
    return [last - EVERY_SECONDS * back for back in range(count - 1, -1, -1)]


def compare_real(lab: Lab, count: int) -> list[Cost]:
    """Real snapshots: each tool lists and judges its own."""
    for name, node in lab.nodes.items():
        ways = [way for way in WAYS if way.node == name]
        node.sh("; ".join(f"zfs create {way.dataset}" for way in ways))
        times = moments(count, node.now())
        taken = ((at, [way.snapshot(n, at) for way in ways]) for n, at in enumerate(times, 1))
        take_past(node, taken, timeout_seconds=3600)
    return [measure(lab.nodes[way.node], way) for way in (*WAYS, LIST)]


def compare_listed(lab: Lab, count: int) -> list[Cost]:
    """No ZFS: a stand-in for it gives the list at once. Of zr only what reads and judges it."""
    node = lab.alpha
    times = list(enumerate(moments(count, node.now()), 1))
    node.put("/tmp/judged", _lines(f"{ZR.snapshot(n, at)}\t{n}\t{n}\t{at}" for n, at in times))
    costs = [measure(node, replace(ZR, argv=(PYTHON, "-c", JUDGE, "/tmp/judged", POLICY_FILE)))]
    node.put("/usr/local/sbin/zfs", STAND_IN.encode(), mode=0o755)
    node.sh("zfs create -p tank/bzfs")
    for way, line in (
        (BZFS_WAY, "{at}\t{n}\t{name}\t0"),
        (SANOID_WAY, "{name}\tcreation\t{at}\t-"),
    ):
        rows = (line.format(at=at, n=n, name=way.snapshot(n, at)) for n, at in times)
        node.put("/tmp/listed", _lines(rows))
        costs.append(measure(node, way))
    return costs


def _lines(rows: Any) -> bytes:
    return ("\n".join(rows) + "\n").encode()


def show(title: str, count: int, costs: list[Cost]) -> None:
    """A table; how many times as much as zr in brackets."""
    print(f"\n{title}: {count:,} snapshots")
    print(f"{'':8}{'wall':>20}{'CPU':>20}{'started':>16}{'largest process':>22}{'go':>9}")
    ours = costs[0]
    for cost in costs:
        cells = (
            _cell(cost.seconds, ours.seconds, ".2f", " s"),
            _cell(cost.cpu_seconds, ours.cpu_seconds, ".2f", " s"),
            _cell(cost.started, ours.started, "d", ""),
            _cell(cost.mebibytes, ours.mebibytes, ".0f", " MiB"),
        )
        print(
            f"{cost.tool:8}{cells[0]:>20}{cells[1]:>20}{cells[2]:>16}{cells[3]:>22}{cost.going:9}"
        )


def _cell(value: float, ours: float, form: str, unit: str) -> str:
    return f"{value:{form}}{unit} ({value / ours:.1f}x)"


def main(real: int = REAL, listed: int = LISTED) -> None:
    """Both tables."""
    with Lab.up(name="benchretention", disk_bytes=4 << 30) as lab:
        Site(lab).init()
        versions = install_rivals(lab.nodes)
        print("In one run, with " + ", ".join(f"{k} {v}" for k, v in sorted(versions.items())))
        show("On real pools", real, compare_real(lab, real))
        show("From a list, without ZFS", listed, compare_listed(lab, listed))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
