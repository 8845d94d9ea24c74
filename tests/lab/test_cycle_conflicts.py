"""Both sides went different ways: is it said with evidence, and is nothing forced?"""

from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Fresh
from .contents import common, compare, guids
from .looks import versions
from .node import Node
from .site import Site, release

pytestmark = pytest.mark.lab
CASES = ["written", "ahead", "rolled", "forgot", "strange"]


def copy_of(dataset: str) -> str:
    return f"back/zr/alpha/{dataset}"


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.run(["zfs", "create", "tank/c"])
    for case in CASES:
        site.lab.alpha.sh(f"zfs create tank/c/{case}; echo first >/tank/c/{case}/file")
    site.protect(["tank/c/*"], every="1h")
    site.start()
    site.settle()
    site.lab.alpha.sh("for d in /tank/c/*; do echo second >$d/file; done")
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def push(site: Site, dataset: str) -> None:
    """Something new is there to be sent, and every lane looks now."""
    seen = versions(site.lab.alpha, dataset)
    site.lab.alpha.sh(f"echo more >>/{dataset}/file")
    site.lab.alpha.run(["zr", "snapshot"])
    site.wait(lambda: versions(site.lab.alpha, dataset) != seen, "a snapshot", 60)
    site.wake()


def wait_for_conflict(site: Site, dataset: str, word: str) -> str:
    """Until the evidence, or the error's reason, has this word; the evidence, or the message."""
    lane: dict[str, Any] = {}

    def seen() -> bool:
        nonlocal lane
        lane = site.lane(dataset)
        if word in (lane["conflict"] or (lane["error"] or {}).get("reason") or ""):
            return True
        site.wake()
        return False

    site.wait(seen, f"{word!r} for {dataset}", 90)
    return str(lane["conflict"] or lane["error"]["message"])


def assert_in_sync(site: Site, dataset: str) -> None:
    site.wake()
    site.wait(lambda: bool(site.lane(dataset)["in_sync"]), f"{dataset} in sync", 90)
    names = common(site.lab.alpha, dataset, site.lab.beta, copy_of(dataset))
    size_bytes, differ = compare(
        site.lab.alpha, dataset, site.lab.beta, copy_of(dataset), names[-1:]
    )
    assert size_bytes > 0
    assert not differ


def test_a_replica_that_was_written_into_is_reported_and_left_alone(site: Site) -> None:
    dataset, copy = "tank/c/written", copy_of("tank/c/written")
    before = guids(site.lab.beta, copy)
    site.lab.beta.sh(
        f"zfs set readonly=off {copy}; mkdir -p /mnt/w; mount -t zfs -o zfsutil {copy} /mnt/w\n"
        "echo precious >/mnt/w/from-beta; umount /mnt/w"
    )
    push(site, dataset)
    message = wait_for_conflict(site, dataset, "target-modified")
    assert copy in message
    assert guids(site.lab.beta, copy) == before
    kept = site.lab.beta.sh(
        f"mount -t zfs -o zfsutil {copy} /mnt/w; cat /mnt/w/from-beta; umount /mnt/w"
    )
    assert kept.text == "precious"
    # Only a person throws it away; then it goes on.
    site.lab.beta.sh(f"zfs rollback {copy}@{list(before)[-1]}; zfs set readonly=on {copy}")
    assert_in_sync(site, dataset)


def test_a_snapshot_of_zr_that_only_beta_has_is_a_divergence(site: Site) -> None:
    dataset, copy = "tank/c/ahead", copy_of("tank/c/ahead")
    name = "zr_1-00000000_999_20991231T235959Z"
    site.stop("alpha")  # else it goes on from what it remembers, which does no harm here
    site.lab.beta.run(["zfs", "snapshot", f"{copy}@{name}"])
    site.lab.alpha.sh(f"echo unseen >>/{dataset}/file")
    site.start("alpha")
    evidence = wait_for_conflict(site, dataset, "Both sides went on")
    assert name in evidence
    assert str(guids(site.lab.beta, copy)[name]) in evidence
    assert name in versions(site.lab.beta, copy)
    shown = site.lab.alpha.run(["zr", "status"]).text
    assert "conflict" in shown
    assert "Both sides went on" in shown
    release(site.lab.beta, copy)
    site.lab.beta.run(["zfs", "destroy", f"{copy}@{name}"])
    assert_in_sync(site, dataset)


def test_a_source_that_was_rolled_back_is_reported(site: Site) -> None:
    dataset, copy = "tank/c/rolled", copy_of("tank/c/rolled")
    first = versions(site.lab.alpha, dataset)[0]
    before = guids(site.lab.beta, copy)
    refused = site.lab.alpha.run(["zfs", "rollback", "-r", f"{dataset}@{first}"], check=False)
    assert refused.returncode != 0  # zr's hold on the base protects it, until somebody insists
    release(site.lab.alpha, dataset)
    site.lab.alpha.run(["zfs", "rollback", "-r", f"{dataset}@{first}"])
    push(site, dataset)
    evidence = wait_for_conflict(site, dataset, "Both sides went on")
    assert list(before)[-1] in evidence
    assert guids(site.lab.beta, copy) == before


def test_a_source_without_its_base_goes_on_from_the_bookmark(site: Site) -> None:
    dataset, copy = "tank/c/forgot", copy_of("tank/c/forgot")
    before = list(guids(site.lab.beta, copy))
    destroy_all(site.lab.alpha, dataset)
    push(site, dataset)
    assert_in_sync(site, dataset)
    after = list(guids(site.lab.beta, copy))
    assert after[: len(before)] == before
    assert len(after) > len(before)


def destroy_all(node: Node, dataset: str) -> None:
    release(node, dataset)
    node.sh(f"zfs list -Ht snapshot -o name -d1 {dataset} | xargs -n1 zfs destroy")


def test_nothing_in_common_is_reported_and_left_alone(site: Site) -> None:
    dataset, copy = "tank/c/strange", copy_of("tank/c/strange")
    before = guids(site.lab.beta, copy)
    destroy_all(site.lab.alpha, dataset)
    site.lab.alpha.sh(f"zfs list -Ht bookmark -o name -d1 {dataset} | xargs -n1 zfs destroy")
    push(site, dataset)
    evidence = wait_for_conflict(site, dataset, "No version is common")
    assert list(before)[-1] in evidence
    assert guids(site.lab.beta, copy) == before
    for name in before:
        assert f"{copy}@{name}" in site.lab.beta.run(["zfs", "list", "-Ht", "snapshot"]).text


def test_the_others_go_on_all_the_time(site: Site) -> None:
    push(site, "tank/c/written")
    assert_in_sync(site, "tank/c/written")
    troubled = [lane["dataset"] for lane in site.status()["lanes"] if lane["conflict"]]
    assert troubled == ["tank/c/rolled", "tank/c/strange"]
