"""How soon does a group's next turn come, where a look takes seconds?"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.role_daemon_support import Daemon
from tests.unit.role_engine_support import BETA, Site
from zrepl_py.daemon.role_keeper import HANDING_SECONDS, LONGEST_SECONDS
from zrepl_py.model.lineage import Intent
from zrepl_py.model.names import Epoch


class _Slow:
    """An agenda on which a turn rests, and takes five seconds; and its clock."""

    def __init__(self) -> None:
        self.at, self.after = 0.0, [0.0]

    def monotonic(self) -> float:
        return self.at

    def run(self, engine: Any, ports: Mapping[str, Any]) -> bool:
        engine.close()
        self.at += 5.0
        return False

    def ask(self, key: Any, job: Any, after_seconds: float = 0.0) -> None:
        self.after.append(after_seconds)


@pytest.mark.parametrize("noted", [False, True])
def test_who_hands_over_looks_again_at_once(monkeypatch: pytest.MonkeyPatch, noted: bool) -> None:
    """Nobody can write meanwhile; a quiet group on a slow pool is looked at less often."""
    site, slow = Site(), _Slow()
    daemon = Daemon(site, site.alpha, threading.RLock())
    daemon.stop()
    if noted:
        node = daemon.role.node
        node.memory = replace(node.memory, intent=Intent(Epoch(2, "aaaaaaaa"), BETA.uuid))
    monkeypatch.setattr(daemon.keeper, "_agenda", slow)
    monkeypatch.setattr(daemon.keeper, "_clock", slow)
    daemon.keeper.wake()
    daemon.keeper._work()
    assert slow.after[-1] == (HANDING_SECONDS if noted else LONGEST_SECONDS)
