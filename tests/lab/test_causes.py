"""The link is cut: do both sides say so within seconds, since when and why; and go on at once?"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Fresh
from .looks import events
from .site import Site

pytestmark = pytest.mark.lab
DATASET = "tank/work"
SOON_SECONDS = 40
"""Noticed after 5 and 8 seconds; the rest is for a busy machine, and below the minute after which a
call gives up."""


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh("zfs create tank/work; echo first >/tank/work/diary")
    site.protect([DATASET], every="5s")
    site.start()
    site.settle()
    site.lab.cut()
    yield site
    site.stop("alpha")
    site.stop("beta")


def other(site: Site, name: str) -> dict[str, Any]:
    """What a node's status says of the other node."""
    facts = site.status(name)
    found: dict[str, Any] = [*facts["targets"], *facts["sources"]][0]
    return found


def silences(site: Site, name: str) -> int:
    return len(events(site.log(name), "peer-silent"))


def answers(site: Site, name: str) -> int:
    return len(events(site.log(name), "peer-answers"))


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_both_say_that_the_other_one_is_silent(site: Site, name: str) -> None:
    site.wait(lambda: other(site, name)["state"] == "silent", "a silence", SOON_SECONDS)
    shown = site.lab.nodes[name].run(["zr", "status"]).text
    said = "has not answered for" if name == "alpha" else "has not been heard for"
    assert said in shown.splitlines()[0]
    site.wait(lambda: silences(site, name) > answers(site, name), "the event", SOON_SECONDS)
    assert silences(site, name) == answers(site, name) + 1, "once; a slow start may have been one"
    doctor = site.lab.nodes[name].run(["zr", "doctor"], check=False)
    assert doctor.returncode == 5
    assert ("[target-silent]" if name == "alpha" else "[source-silent]") in doctor.text


def test_those_who_wait_are_told_for_what(site: Site) -> None:
    site.lab.alpha.sh("echo more >>/tank/work/diary")
    site.wait(lambda: not site.lane(DATASET)["in_sync"], "a snapshot that beta has not")
    for words in (["zr", "sync", "--timeout", "3"], ["zr", "replicate", "--timeout", "3"]):
        ended = site.lab.alpha.run(words, check=False, timeout_seconds=60)
        assert ended.returncode == 4
        assert "beta has not answered since" in ended.stderr.decode()


def test_when_it_answers_again_nothing_waits(site: Site) -> None:
    """Neither for a back-off, nor for a connection that TCP tries again after as long a time."""
    time.sleep(15)
    site.lab.heal()
    began = time.monotonic()
    site.lab.alpha.run(["zr", "sync", "--timeout", "60"], timeout_seconds=90)
    assert time.monotonic() - began < SOON_SECONDS
    for name in ("alpha", "beta"):
        site.wait(lambda name=name: other(site, name)["state"] == "answers", "an answer")  # type: ignore[misc]
        site.wait(lambda name=name: answers(site, name) == silences(site, name), "its event")  # type: ignore[misc]
