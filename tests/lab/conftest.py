"""One lab for all tests of the product: booted and prepared once, returned to that state by each.

`fresh()` gives two nodes that trust each other and have no policy, no datasets and no daemon; it
costs about a second and a half.
"""

import os
from collections.abc import Callable, Iterator

import pytest

from . import Lab
from .site import Site

Fresh = Callable[..., Site]
QUICK = {"[node]\n": '[node]\nrescan = "5s"\n'}
LINK = '\n[link]\nstall_timeout = "5s"\nconnect_timeout = "5s"\n'


@pytest.fixture(scope="session")
def prepared() -> Iterator[Lab]:
    with Lab.up(name=f"cycle{os.getpid()}") as lab:
        Site(lab).init()
        for node in lab.nodes.values():
            node.run(["sync"])
        lab.save("prepared")
        yield lab


@pytest.fixture(scope="session")
def fresh(prepared: Lab) -> Fresh:
    """fresh(quick=True): the site as after `zr init`; quick looks at pools and links sooner."""

    def again(*, quick: bool = True, adapter: str = "libzfs_core") -> Site:
        state = prepared.state
        for name in prepared.nodes:
            state.set_pulled(name, [])
            state.add_clock_offset(name, -state.clock_offset_seconds(name))
        prepared.heal()
        prepared.load("prepared")
        for node in prepared.nodes.values() if quick else ():
            text = node.get("/etc/zr/zr.toml").decode()
            for old, new in QUICK.items():
                text = text.replace(old, new)
            node.put("/etc/zr/zr.toml", (text + LINK).encode())
        return Site(prepared, adapter)

    return again
