"""Two nodes that have only IPv6 addresses between them: paired by the code, then replicated."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from . import Lab
from .contents import common
from .site import Site
from .test_joining import zr

pytestmark = pytest.mark.lab
ADDRESSES = {"alpha": "fd00:77::1", "beta": "fd00:77::2"}


@pytest.fixture
def site() -> Iterator[Site]:
    with Lab.up(name="ipv6") as lab:
        for name, address in ADDRESSES.items():
            lab.nodes[name].sh(
                f"ip -6 addr add {address}/64 dev vec0 nodad; ip -4 addr flush dev vec0;"
                f"sed -i /10.77.0/d /etc/hosts"
            )
        yield Site(lab)


def test_paired_and_replicated(site: Site) -> None:
    alpha, beta = site.lab.alpha, site.lab.beta
    alpha.sh("zfs create tank/audio; echo first >/tank/audio/a.wav")
    replicas = {"alpha": (), "beta": ("--replicas", "back/zr")}
    for name, pool in (("alpha", "tank"), ("beta", "back")):
        listen = f"[{ADDRESSES[name]}]:7676"
        words = ("--no-start", "--name", name, "--pool", pool, "--listen", listen)
        zr(site.lab.nodes[name], "init", "--yes", *words, *replicas[name])
    showing = beta.start(["zr", "pair"])
    shown = showing.wait_for_output(b"Waiting", timeout_seconds=60).decode()
    (address,) = re.findall(r"zr pair (\S+)$", shown, re.MULTILINE)
    assert address == ADDRESSES["beta"]
    (code,) = re.findall(r"\d{3}-\d{3}-\d{3}", shown)
    assert b"Paired with beta" in zr(alpha, "pair", address, stdin=f"{code}\n").stdout
    assert showing.wait(timeout_seconds=60) == 0
    site.protect(["tank/audio/**"], every="1h")
    site.start()
    site.settle()
    assert common(alpha, "tank/audio", beta, "back/zr/alpha/tank/audio")
