"""One lab for all tests of the product: booted and prepared once, returned to that state by each.

`fresh()` gives two nodes that trust each other and have no policy, no datasets and no daemon; it
costs about a second and a half.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator

import pytest

from . import Lab, LabError
from .site import Site

Fresh = Callable[..., Site]
SITES: list[Site] = []
"""The one of the module that runs now."""
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
        site = Site(prepared, adapter)
        SITES[:] = [site]
        return site

    return again


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the daemons said last."""
    report = yield
    if report.failed and "fresh" in getattr(item, "fixturenames", ()):
        for site in SITES:
            for name in site.daemons:
                with contextlib.suppress(LabError):
                    report.sections.append((f"{name}'s daemon", site.log(name)[-6000:]))
    return report
