"""A target that does not answer must not make snapshots late: lanes and ticks share no threads."""

import time

import pytest

from .conftest import Fresh
from .contents import guids
from .node import Node

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
DATASETS = 16
EVERY_SECONDS = 2
WATCHED_SECONDS = 24
NAMES = [f"tank/d{number}" for number in range(DATASETS)]


def watch(alpha: Node) -> int:
    """How many snapshots are taken of a dataset while all are written to again and again."""
    before = len(guids(alpha, NAMES[0]))
    ends = time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < ends:
        alpha.sh(f"date +%N | tee {' '.join(f'/{n}/f' for n in NAMES)} >/dev/null")
        time.sleep(0.5)
    return len(guids(alpha, NAMES[0])) - before


def test_snapshots_come_on_time_while_the_target_is_silent(fresh: Fresh) -> None:
    site = fresh()
    site.lab.alpha.sh("; ".join(f"zfs create {name}" for name in NAMES))
    site.protect(NAMES, every=f"{EVERY_SECONDS}s")
    site.start()
    site.settle()
    usual = watch(site.lab.alpha)  # a busy machine is slower, with or without beta
    site.settle(timeout_seconds=240)
    site.lab.beta.freeze()
    try:
        taken = watch(site.lab.alpha)
    finally:
        site.lab.beta.thaw()
    assert usual > 2
    wanted = WATCHED_SECONDS // EVERY_SECONDS * 3 // 4
    assert taken >= (wanted if usual >= wanted else usual * 3 // 4)
    site.settle(timeout_seconds=240)
