"""Is the steady cycle as cheap as we say, and is its "nothing was written" ever wrong?

No process is created and nothing is listed, on both nodes. Two witnesses: the workers' own
counters, and the kernel, which adds to a parent's /proc/PID/stat the page faults of every child
that ended. No process can live without a page fault, so equal sums and equal process tables mean:
none was created. Both witnesses are shown to notice.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .command import Process
from .conftest import Fresh
from .looks import PROCESSES, PYTHON, ask, events, versions
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
DATASETS = ["tank/p/a", "tank/p/a/b", "tank/p/c", "tank/p/d", "tank/p/e"]
KINDS = 13
"""Of changes, in changes.py."""
USUAL = ('"tick-taken"', '"lane-committed"', '"received"')
LISTS = {"observe_datasets", "observe_history", "observe_properties", "observe_holds"}
EVERY, KEEP = "4s", 8
"""A lane that is further behind than what is kept looks again at what retention took from its plan,
and should. With a tick every 2 s a slow machine, busy with the thousand ticks, came that far."""
QUIET_SECONDS = 4
"""After the last write: what was written arrives while both are still watched."""
HELD = "/run/zr-watched"
"""As long as it is there, a node is watched."""

WATCH = (
    PROCESSES
    + r"""
import json, sys, time
from pathlib import Path
from zrepl_py.adapters.control import call
pool, seconds, quiet, pause = sys.argv[1], *map(float, sys.argv[2:5])
held, *paths = sys.argv[5:]
def observe():
    txgs = open(f"/proc/spl/kstat/zfs/{pool}/txgs").read().split("\n")
    return {"processes": zr_processes(), "txg": int(txgs[-2].split()[0]),
            "counters": call(Path("/run/zr/control.sock"), "counters")}
files = [open(path, "ab", buffering=0) for path in paths]
before, began, turn = observe(), time.monotonic(), 0
print("begun", flush=True)
while time.monotonic() < began + seconds or os.path.exists(held):
    for file in files[turn % 2 :: 2]:
        file.write(b"more" * 500)
    turn += 1
    time.sleep(pause)
time.sleep(quiet)
seconds = round(time.monotonic() - began, 1)
print(json.dumps({"before": before, "after": observe(), "seconds": seconds, "writes": turn}))
"""
)


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh(quick=False)
    site.lab.alpha.run(["zfs", "create", "tank/p"])
    for dataset in DATASETS:
        site.lab.alpha.run(["zfs", "create", dataset])
    site.protect(["tank/p/**"], every=EVERY, keep_alpha=KEEP, keep_beta=KEEP)
    site.start()
    site.settle()
    site.lab.alpha.sh(f"for d in {' '.join(DATASETS)}; do echo warm >/$d/file; done")
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


@pytest.fixture(scope="module")
def thousand(site: Site) -> dict[str, Process]:
    """500 ticks on each node, outside of the policy: they take as long as the minute below."""
    return {
        "alpha": begin(site.lab.alpha, "libzfs_core", 500, 1),
        "beta": begin(site.lab.beta, "libzfs_core", 500, 2),
    }


def begin(node: Node, adapter: str, ticks: int, seed: int) -> Process:
    words = [node.pool, adapter, str(ticks), str(seed)]
    return node.start([PYTHON, "-P", "/zr/tests/lab/changes.py", *words])


def end(process: Process) -> dict[str, Any]:
    assert process.wait(timeout_seconds=250) == 0, process.output().decode()
    found: dict[str, Any] = json.loads(process.stdout())
    print(found)
    return found


def watch(site: Site, seconds: float, paths: list[str]) -> dict[str, dict[str, Any]]:
    """Both nodes at the same time; node → what was seen there. Beta first, and until alpha was
    seen: however slow a process begins, what one sends is what the other one receives."""
    alpha, beta = site.lab.alpha, site.lab.beta
    begun: dict[str, Process] = {}
    beta.put(HELD, b"")
    ways = ((beta, 0, HELD, list[str]()), (alpha, QUIET_SECONDS, "", paths))
    for node, quiet, held, mine in ways:
        argv = [PYTHON, "-c", WATCH, node.pool, str(seconds), str(quiet), "0.25", held, *mine]
        begun[node.name] = node.start(argv)
        begun[node.name].wait_for_output(b"begun", timeout_seconds=60)
    wait_for_end(begun["alpha"], seconds + 90)
    beta.run(["rm", HELD])
    wait_for_end(begun["beta"], 60)
    return {name: json.loads(process.stdout().splitlines()[1]) for name, process in begun.items()}


def wait_for_end(process: Process, timeout_seconds: float) -> None:
    assert process.wait(timeout_seconds=timeout_seconds) == 0, process.output().decode()


COUNT = """
import json
from pathlib import Path
from zrepl_py.adapters.control import call
print(json.dumps(call(Path("/run/zr/control.sock"), "counters")))
"""


def looks_around(site: Site) -> list[tuple[str, int]]:
    """What the workers of both nodes forked and listed so far."""
    return [
        (what, count)
        for node in site.lab.nodes.values()
        for counters in ask(node, COUNT).values()
        for what, count in sorted(counters.items())
        if what.startswith("fork") or what.removeprefix("call:") in LISTS
    ]


def come_to_rest(site: Site) -> None:
    """A lane may still look at its properties when all is sent."""

    def rests() -> bool:
        before = looks_around(site)
        time.sleep(1)
        return looks_around(site) == before

    site.wait(rests, "nobody looks around")


def calls(seen: dict[str, Any]) -> dict[str, int]:
    """What the workers of a node did meanwhile, of all together."""
    done: dict[str, int] = {}
    for worker, after in seen["after"]["counters"].items():
        before = seen["before"]["counters"][worker]
        for what, count in after.items():
            if count != before.get(what, 0):
                done[what] = done.get(what, 0) + count - before.get(what, 0)
    return done


def created_processes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What the kernel knows of processes that zr created between two observations."""
    signs = []
    for pid in sorted(before.keys() | after.keys()):
        old, new = before.get(pid), after.get(pid)
        if old is None or new is None or old["started"] != new["started"]:
            signs.append(f"{pid} ({(new or old)['role']}) came or went")  # type: ignore[index]
        elif new["ignores_children"]:
            signs.append(f"{pid} ({new['role']}) ignores SIGCHLD: its children leave no trace")
        elif faults := new["children_faults"] - old["children_faults"]:
            signs.append(f"{pid} ({new['role']}) waited for children with {faults} page faults")
    return signs


def assert_cheap(seen: dict[str, Any], said: str = "") -> None:
    """`said`: the daemon's log, which tells why it began to look around."""
    done = calls(seen)
    unusual = [line for line in said.splitlines() if not any(word in line for word in USUAL)][-9:]
    assert not {what for what in done if what.startswith("fork")}, (done, unusual)
    assert not {what for what in done if what.removeprefix("call:") in LISTS}, (done, unusual)
    assert not created_processes(seen["before"]["processes"], seen["after"]["processes"])


def roles(seen: dict[str, Any]) -> list[str]:
    return sorted(what["role"] for what in seen["after"]["processes"].values())


def test_an_idle_tick_forks_nothing_and_lists_nothing(site: Site) -> None:
    come_to_rest(site)
    seen = watch(site, 10, [])
    assert roles(seen["alpha"]) == ["daemon", "proof", "warden", "zfs"]
    assert roles(seen["beta"]) == ["daemon", "proof", "receive", "warden", "zfs"]
    for node in ("alpha", "beta"):
        assert_cheap(seen[node], site.log(node))
    done = calls(seen["alpha"])
    assert done["call:snapshot_changed"] >= 2
    assert set(done) <= {"call:snapshot_changed", "call:observe_pool"}
    assert not calls(seen["beta"])
    tell(seen, "idle")


def test_a_tick_with_changes_forks_nothing_and_lists_nothing(site: Site) -> None:
    seen = watch(site, 12, [f"/{dataset}/file" for dataset in DATASETS])
    for node in ("alpha", "beta"):
        assert_cheap(seen[node], site.log(node))
    sent = calls(seen["alpha"])["call:send"]
    assert sent >= 8  # several datasets in each tick
    assert calls(seen["beta"])["call:receive"] in range(sent - 8, sent + 9)
    tell(seen, f"{sent} increments in {calls(seen['alpha'])['call:snapshot_changed']} ticks")


def test_pruning_forks_nothing_and_lists_nothing_and_keeps_the_newest(
    site: Site, thousand: dict[str, Process]
) -> None:
    """Both sides prune once a minute, between streams that never stop."""
    pruned = {n: len(events(site.log(n), "pruned")) for n in ("alpha", "beta")}
    # A minute with no margin would miss one: a tick, the turns of the lanes, and how slow a machine
    # is come on top of it.
    seen = watch(site, 100, [f"/{dataset}/file" for dataset in DATASETS])
    for node in ("alpha", "beta"):
        assert_cheap(seen[node], site.log(node))
        assert len(events(site.log(node), "pruned")) > pruned[node]
        assert calls(seen[node])["call:destroy_snapshots"]
    site.settle()
    taken = sum(event["taken"] > 3 for event in events(site.log("alpha"), "tick-taken"))
    # More than keep_last, for it is some time since; but not all. Where both pruned early in that
    # minute, the next time comes first.
    site.wait(lambda: max(kept(site)) < taken - KEEP, "both have pruned since", 120)
    assert min(kept(site)) >= KEEP


def kept(site: Site) -> list[int]:
    """How many snapshots each dataset has on each node."""
    alpha, beta = site.lab.alpha, site.lab.beta
    here = [len(versions(alpha, dataset)) for dataset in DATASETS]
    return here + [len(versions(beta, f"back/zr/alpha/{dataset}")) for dataset in DATASETS]


def test_a_change_right_before_a_tick_is_never_missed(thousand: dict[str, Process]) -> None:
    """1,000 ticks, each up to 100 ms after a change without fsync (changes.py)."""
    for process in thousand.values():
        found = end(process)
        assert found["missed"] == []
        # Closing a volume commits its intent log, whose end is a change of its own, a txg later:
        # one snapshot too many is no harm. A file system without fsync has no such thing.
        assert [name for name in found["imagined"] if not name.endswith("/vol")] == []
        assert len(found["imagined"]) < 10
        assert len(found["changes"]) == KINDS
        assert found["foreign"] > 50


def tell(seen: dict[str, Any], what: str) -> None:
    """For people: what a cycle costs in transaction groups."""
    for name, node in seen.items():
        txgs = node["after"]["txg"] - node["before"]["txg"]
        print(f"{name}, {what}: {txgs} txgs in {node['seconds']} s; {calls(node)}")


FORKER = r"""
import subprocess, sys
for line in sys.stdin:
    subprocess.run(["true"])
    print("done", flush=True)
"""
NOTICE = (
    PROCESSES
    + r"""
import json, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], "zr-daemon"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
role_of = lambda words: "forker" if "zr-daemon" in words and "-c" in words else ""
child.stdin.write(b"x\n"); child.stdin.flush(); child.stdout.readline()
before = zr_processes()
quiet = zr_processes()
child.stdin.write(b"x\n"); child.stdin.flush(); child.stdout.readline()
after = zr_processes()
child.stdin.close(); child.wait()
print(json.dumps([before, quiet, after]))
"""
)


def test_the_kernel_notices_a_single_short_lived_child(site: Site) -> None:
    before, quiet, after = ask(site.lab.alpha, NOTICE, FORKER)
    assert not created_processes(before, quiet)
    signs = created_processes(before, after)
    assert len(signs) == 1
    assert "waited for children" in signs[0]


def test_both_witnesses_notice_a_cycle_that_uses_the_command(site: Site) -> None:
    """The mutation: the same cycle through `zfs`, which is what a silent fallback would be."""
    site.stop("alpha")
    site.adapter = "command"
    site.start("alpha")
    site.adapter = "libzfs_core"
    site.settle()
    seen = watch(site, 4, ["/tank/p/a/file"])["alpha"]
    assert calls(seen)["forks"] > 3
    assert created_processes(seen["before"]["processes"], seen["after"]["processes"])
    with pytest.raises(AssertionError):
        assert_cheap(seen)


def test_the_command_misses_nothing_and_a_hasty_look_does(site: Site) -> None:
    """The second is a deliberate bug: the thousand ticks would notice if the product had it."""
    for node in site.lab.nodes.values():
        # Whoever is told of a volume's changes may have it open for a moment.
        node.sh(f"until zfs destroy -r {node.pool}/changes; do sleep 0.2; done")
    command = begin(site.lab.alpha, "command", 40, 3)
    hasty = begin(site.lab.beta, "hasty", 40, 4)
    found = end(command)
    assert found["missed"] == []
    assert len(end(hasty)["missed"]) > 10
