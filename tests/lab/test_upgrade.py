"""Today's zr goes on with what an earlier version left: pools, configuration, state and journal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .contents import common
from .recorded import RECORDED, up
from .site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
COPY = "back/zr/alpha/tank/audio"


@pytest.fixture(params=sorted(path.name for path in RECORDED.iterdir()))
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(version: str) -> Iterator[Site]:
    with up("upgrade", version) as lab:
        yield Site(lab)


def test_the_state_of_that_version_goes_on(site: Site, version: str) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    listed = "zfs list -Ht snapshot -o guid -d1 "
    before = beta.sh(listed + COPY).text.split()
    assert len(before) == 2
    assert beta.sh(f"zfs get -Ho value receive_resume_token {COPY}").text.strip() != "-"
    site.start()
    site.wait(lambda: site.status()["groups"][0]["ticks_ended"] > 0, "a first look at the pool")
    receipt = RECORDED / version / "receipt.json"
    for node in (alpha, beta):
        node.put("/tmp/receipt.json", receipt.read_bytes())
        assert "holds" in node.run(["zr", "receipt", "verify", "/tmp/receipt.json"]).text
    site.wait(lambda: "lane-resumed" in site.log("alpha"), "the cut stream is resumed", 120)
    alpha.sh("echo 5 >>/tank/audio/interview.wav")
    alpha.run(["zr", "sync", "--timeout", "150"], timeout_seconds=180)
    assert beta.sh(listed + COPY).text.split()[:2] == before  # no second full copy
    for below in ("", "/child"):
        assert common(alpha, f"tank/audio{below}", beta, COPY + below)
    assert alpha.run(
        ["zr", "restore", "/tank/audio/interview.wav@latest", "--to", "-"]
    ).text.split() == [*"12345"]
