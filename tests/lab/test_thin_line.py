"""The main job, end to end, on two real nodes: the test that .ci/run stands on since the first day.

libzfs_core snapshots every 5 s, increments over TLS with certificates on both sides, kill -9 of
beta in the middle of a stream, and afterwards contents are equal.
"""

import time
from collections.abc import Iterator

import pytest

from . import Lab
from .contents import common, compare, guids
from .site import Site

pytestmark = pytest.mark.lab
AUDIO = "tank/audio"
COPY = "back/zr/alpha/tank/audio"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab.up(name="thin") as lab:
        lab.alpha.sh("zfs create tank/audio && echo first >/tank/audio/interview.wav")
        site = Site(lab)
        site.init()
        site.protect([AUDIO + "/**"], every="5s")
        site.start()
        yield site


def shared(site: Site) -> list[str]:
    return common(site.lab.alpha, AUDIO, site.lab.beta, COPY)


def assert_equal_contents(site: Site) -> None:
    names = shared(site)
    assert names
    size_bytes, differ = compare(site.lab.alpha, AUDIO, site.lab.beta, COPY, names)
    assert size_bytes > 0
    assert not differ


def test_snapshots_every_five_seconds_reach_beta(site: Site) -> None:
    site.settle()
    for piece in range(3):
        before = len(guids(site.lab.alpha, AUDIO))
        site.lab.alpha.sh(f"echo piece {piece} >>/tank/audio/interview.wav")
        site.wait(lambda: len(guids(site.lab.alpha, AUDIO)) > before, "a snapshot")  # noqa: B023
    site.settle()
    assert len(shared(site)) >= 4
    assert_equal_contents(site)


def test_beta_is_killed_in_mid_stream_and_nothing_is_lost(site: Site) -> None:
    site.settle()
    site.lab.degrade(rate="20mbit")  # so it would take 33 seconds
    site.lab.alpha.sh("head -c 80M /dev/urandom >/tank/audio/long.wav; sync")
    site.lab.alpha.run(["zr", "snapshot"])
    partial = ["zfs", "get", "-Hpo", "value", "receive_resume_token", COPY]
    site.wait(lambda: len(site.lab.beta.run(partial).text.strip()) > 5, "a stream in flight")
    time.sleep(3)
    site.lab.beta.run(["zpool", "sync"])  # some of it is on the disks, however busy they are
    site.lab.beta.crash()
    site.lab.heal()
    time.sleep(2)
    site.lab.beta.boot()
    site.start("beta")
    site.settle()
    site.wait(lambda: len(site.lab.beta.run(partial).text.strip()) <= 5, "all of it is there")
    assert_equal_contents(site)
    assert "lane-resumed" in site.log("alpha")
    assert shared(site)[-1] == list(guids(site.lab.alpha, AUDIO))[-1]
