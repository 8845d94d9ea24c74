"""zstd on the wire: where ZFS sends plain blocks over a slow link, fewer bytes cross it."""

from collections.abc import Iterator

import pytest

from . import Lab
from .contents import common, compare
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
PLAIN = "tank/plain"
COPY = "back/zr/alpha/tank/plain"
SIZE_MIB = 24


@pytest.fixture
def site() -> Iterator[Site]:
    with Lab.up(name="squeeze") as lab:
        lab.alpha.sh(f"zfs create -o compression=off {PLAIN}")
        made = Site(lab)
        made.init()
        made.protect([PLAIN], every="1h")
        made.start()
        made.settle()
        yield made


def received_bytes(node: Node) -> int:
    return int(node.run(["cat", "/sys/class/net/vec0/statistics/rx_bytes"]).text)


def send_text(site: Site, name: str) -> int:
    """One stream of it; how many bytes came to beta."""
    before = received_bytes(site.lab.beta)
    text = f"yes 'the interview of this morning' | head -c {SIZE_MIB}M >/tank/plain/{name}; sync"
    site.lab.alpha.sh(text)
    site.settle()
    return received_bytes(site.lab.beta) - before


def test_plain_blocks_are_compressed_over_a_slow_link_only(site: Site) -> None:
    site.lab.degrade(rate="30mbit")
    alpha, beta = site.lab.alpha, site.lab.beta
    # Each stream decides by what it measures at its beginning, which a busy machine may spoil.
    assert any(send_text(site, name) < (SIZE_MIB << 20) // 4 for name in ("one", "two", "three"))
    names = common(alpha, PLAIN, beta, COPY)
    size_bytes, differ = compare(alpha, PLAIN, beta, COPY, names)
    assert size_bytes >= SIZE_MIB << 20
    assert not differ
