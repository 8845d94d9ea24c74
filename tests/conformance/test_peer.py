"""The peer kit: on the real adapter over TLS, and on the link that the simulator has instead."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.peer_cases import OverTheSimulatedLink, over_tls
from zrepl_py.testing.kits.peer import PEER_CHECKS, PeerCase

Check = Callable[[PeerCase], None]


@pytest.mark.parametrize("check", PEER_CHECKS, ids=lambda check: check.__name__)
def test_over_tls(check: Check, tmp_path: Path) -> None:
    with over_tls(tmp_path) as case:
        check(case)


@pytest.mark.parametrize("check", PEER_CHECKS, ids=lambda check: check.__name__)
def test_over_the_simulated_link(check: Check) -> None:
    check(OverTheSimulatedLink())
