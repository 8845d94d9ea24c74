"""Who needs a snapshot besides the policy is said by name, and keeps it: clones, holds, readers.

Each of the old snapshots has one that needs it. `zr retention plan` says who; `zr retention apply`
and the daemon leave them and say who; once nobody needs them they go.
"""

import json
import time
from typing import Any

import pytest

from .command import Process
from .conftest import Fresh
from .looks import PYTHON, events, versions
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
AUDIO, COPY = "tank/audio", "back/zr/alpha/tank/audio"
SOMEBODY = "read by somebody: it is mounted, or being sent"
MOUNTED = r"""
import sys, time
from zrepl_py.adapters.host.privatemount import MountedSnapshot
MountedSnapshot(*sys.argv[1].split("@")).open()
print("open", flush=True)
time.sleep(600)
"""
"""As `zr restore` reads a replica, for as long as it takes."""
SLOW = '\n[proof]\nrate = "1MiB"\n'


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Site:
    """Old snapshots on both nodes, of which two should stay."""
    site = fresh()
    alpha = site.lab.alpha
    alpha.put("/etc/zr/zr.toml", alpha.get("/etc/zr/zr.toml") + SLOW.encode())
    alpha.sh("zfs create tank/audio; head -c 40M /dev/urandom >/tank/audio/large")
    site.protect([AUDIO], every="1h")
    site.start()
    for number in range(6):
        alpha.sh(f"echo {number} >/tank/audio/small; zr snapshot")
    alpha.sh("echo last >/tank/audio/small")
    site.settle()
    return site


def plan(node: Node, dataset: str) -> dict[str, Any]:
    (facts,) = json.loads(node.run(["zr", "retention", "plan", "--json", dataset]).text)["datasets"]
    return dict(facts)


def apply(node: Node, dataset: str) -> None:
    """What the plan shows; it is shown anew where somebody stopped to read in between."""
    for _ in range(3):
        order = ["zr", "retention", "apply", dataset, "--plan", plan(node, dataset)["plan"]]
        applied = node.run(order, check=False)
        if applied.returncode == 0:
            return
    raise AssertionError(applied)


def reasons(facts: dict[str, Any]) -> dict[str, list[str]]:
    """Of those that stay."""
    return {s["name"]: s["reasons"] for s in facts["snapshots"] if s["fate"] == "stays"}


def begin_reading(site: Site, old: list[str]) -> list[Process]:
    """A mount, a shell that stands in .zfs, and a comparison: of the last three of `old`."""
    alpha = site.lab.alpha
    mounted = alpha.start([PYTHON, "-c", MOUNTED, f"{AUDIO}@{old[2]}"])
    there = f"/tank/audio/.zfs/snapshot/{old[3]}/large"
    shell = alpha.start(["sh", "-c", f"exec 3<{there}; echo open; exec sleep 600"])
    compared = alpha.start(["zr", "verify", "--snapshot", old[4], AUDIO])
    for process in (mounted, shell):
        process.wait_for_output(b"open")
    site.wait(lambda: bool(site.status()["readers"]), "the comparison has begun")
    return [mounted, shell, compared]


def test_who_needs_a_snapshot_keeps_it_and_is_named(site: Site) -> None:
    alpha = site.lab.alpha
    old = versions(alpha, AUDIO)
    alpha.sh(f"zfs clone {AUDIO}@{old[0]} tank/x; zfs hold 'of: a person' {AUDIO}@{old[1]}")
    reading = begin_reading(site, old)
    site.protect([AUDIO], every="1h", keep_alpha=2, keep_beta=2)
    facts = plan(alpha, AUDIO)
    needed = {
        old[0]: ["cloned: tank/x"],
        old[1]: ["held: of: a person"],
        old[2]: [SOMEBODY],
        old[3]: [SOMEBODY],
        old[4]: ["read by a comparison with beta"],
    }
    seen = reasons(facts)
    assert {name: seen.get(name) for name in needed} == needed
    # The daemon says the same; a new configuration ends its comparison, which may still read.
    alpha.run(["zr", "reload"])
    alpha.run(["zr", "snapshot"])
    site.wait(lambda: bool(events(site.log("alpha"), "pruned")), "the daemon prunes")
    (told, *_) = events(site.log("alpha"), "pruned")
    del needed[old[4]]
    assert told["left"][:4] == [f"{AUDIO}@{name}: {why}" for name, (why,) in needed.items()]
    assert versions(alpha, AUDIO)[:4] == list(needed)
    for process in reading:
        process.signal(9)
        process.wait()
    # What is looked at in .zfs stays mounted for five minutes.
    alpha.sh(f"umount /tank/audio/.zfs/snapshot/{old[3]} || ! grep {old[3]} /proc/mounts")
    alpha.sh(f"zfs destroy tank/x; zfs release 'of: a person' {AUDIO}@{old[1]}")
    facts = plan(alpha, AUDIO)
    assert set(needed) <= {s["name"] for s in facts["snapshots"] if s["fate"] == "goes"}
    apply(alpha, AUDIO)
    assert not set(needed) & set(versions(alpha, AUDIO))


def test_the_same_on_the_replica(site: Site) -> None:
    beta = site.lab.beta
    old = versions(beta, COPY)
    beta.sh(f"zfs clone -o canmount=off {COPY}@{old[0]} back/x; zfs hold mine {COPY}@{old[1]}")
    mounted = beta.start([PYTHON, "-c", MOUNTED, f"{COPY}@{old[2]}"])
    mounted.wait_for_output(b"open")
    facts = plan(beta, COPY)
    seen = reasons(facts)
    assert [seen.get(name) for name in old[:4]] == [
        ["cloned: back/x"],
        ["held: mine"],
        [SOMEBODY],
        None,
    ]
    apply(beta, COPY)
    left = set(versions(beta, COPY)) - {old[4]}  # which the comparison may still read
    assert left == {*old[:3], *old[-2:]}
    mounted.signal(9)
    mounted.wait()
    beta.sh(f"zfs destroy back/x; zfs release mine {COPY}@{old[1]}")
    apply(beta, COPY)
    assert set(versions(beta, COPY)) - {old[4]} == set(old[-2:])


def test_what_a_person_destroyed_is_told(site: Site) -> None:
    """The daemons of this site look at their pools every five seconds."""
    alpha = site.lab.alpha
    alpha.sh("echo more >/tank/audio/small")
    site.settle()
    victim = versions(alpha, AUDIO)[-2]
    # zr lets go of it when beta has the newest one.
    destroy = f"zfs destroy {AUDIO}@{victim}"
    site.wait(lambda: not alpha.sh(destroy, check=False).returncode, "a person destroys it")
    time.sleep(5)
    alpha.run(["zr", "snapshot"])
    site.wait(lambda: bool(events(site.log("alpha"), "snapshots-gone")), "it is told")
    told = [n for event in events(site.log("alpha"), "snapshots-gone") for n in event["names"]]
    assert victim in told
