"""A target that does not answer must not make snapshots late: lanes and ticks share no threads."""

import time

import pytest

from .conftest import Fresh
from .contents import guids

pytestmark = pytest.mark.lab
DATASETS = 16
EVERY_SECONDS = 2
WATCHED_SECONDS = 24


def test_snapshots_come_on_time_while_the_target_is_silent(fresh: Fresh) -> None:
    site = fresh()
    names = [f"tank/d{number}" for number in range(DATASETS)]
    site.lab.alpha.sh("; ".join(f"zfs create {name}" for name in names))
    site.protect([f"{name}" for name in names], every=f"{EVERY_SECONDS}s")
    site.start()
    site.settle()
    site.lab.beta.freeze()
    try:
        before = len(guids(site.lab.alpha, names[0]))
        ends = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < ends:
            site.lab.alpha.sh(f"date +%N | tee {' '.join(f'/{n}/f' for n in names)} >/dev/null")
            time.sleep(0.5)
        taken = len(guids(site.lab.alpha, names[0])) - before
    finally:
        site.lab.beta.thaw()
    assert taken >= WATCHED_SECONDS // EVERY_SECONDS * 3 // 4
    site.settle()
