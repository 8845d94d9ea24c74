"""The second check before a destroy knows nothing of the verdicts, and says no by itself."""

from dataclasses import replace

import pytest

from zrepl_py.engine.prune import Doom, check_destroy
from zrepl_py.errors import Bug
from zrepl_py.model.history import History, Snapshot, history_of

SEEN = history_of(
    [Snapshot(10 + n, 100 + n, f"zr_1-9f3a21cc_{n}_20261121T1200{n:02}Z", n) for n in range(5)],
    [],
)


def refusal(snapshots: tuple[Snapshot, ...], pinned: tuple[int, ...] = ()) -> str:
    with pytest.raises(Bug) as bug:
        check_destroy(Doom(snapshots, SEEN, frozenset(pinned)))
    assert bug.value.reason == "unsafe-destroy"
    return str(bug.value)


def test_what_was_just_observed_and_nobody_needs_may_go() -> None:
    check_destroy(Doom(SEEN.snapshots[:4], SEEN, frozenset({14})))
    check_destroy(Doom((), History((), ()), frozenset()))


def test_the_newest_stays() -> None:
    assert "it is the newest" in refusal(SEEN.snapshots)


def test_what_is_pinned_stays() -> None:
    assert "it is pinned" in refusal(SEEN.snapshots[:3], (12,))


def test_what_is_not_ours_stays() -> None:
    assert "not one of ours" in refusal((replace(SEEN.snapshots[0], name="daily"),))


def test_what_is_not_as_it_was_observed_stays() -> None:
    for changed in (replace(SEEN.snapshots[0], guid=99), replace(SEEN.snapshots[0], createtxg=1)):
        assert "not what was observed" in refusal((changed,))
    with pytest.raises(Bug):
        check_destroy(Doom(SEEN.snapshots[:1], History((), ()), frozenset()))
