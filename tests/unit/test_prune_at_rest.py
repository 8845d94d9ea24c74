"""The source plans its retention again only where something that it follows from has changed."""

import pytest

from tests.unit.test_source_retention import KEY, Alpha
from zrepl_py.core.caution import plan_removal
from zrepl_py.engine.commands import run
from zrepl_py.model.policy import Keep, Limits


def _prune(alpha: Alpha) -> int:
    run(alpha.source.prune(KEY), alpha.ports)
    return len(alpha.pools.dataset("tank/a").snapshots)


def test_what_did_not_change_is_not_planned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, planned = Alpha(Keep(last=20), hours=12), list[str]()

    def counted(*args: object, **named: object) -> object:
        planned.append("once more")
        return plan_removal(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("zrepl_py.daemon.source.plan_removal", counted)
    alpha.prune()
    first = len(planned)  # tank, and tank/a
    for _ in range(3):
        _prune(alpha)
    assert len(planned) == first
    alpha.pools.write("tank/a", "file", b"new")
    alpha.prune()
    assert len(planned) == first + 1


def test_what_a_look_found_is_looked_for_again() -> None:
    alpha = Alpha(Keep(), hours=6, limits=Limits(max_snapshots=5, keep_waiting=0))
    held = alpha.pools.dataset("tank/a").snapshots[2]
    held.holds.add("by-hand")  # it does not count for the cap, so nothing is over it
    assert len(alpha.prune()) == 6
    assert _prune(alpha) == 6
    held.holds.clear()
    assert _prune(alpha) == 5
