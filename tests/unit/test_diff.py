"""diff: each case is two histories in the mini-language of histories.py."""

import pytest

from tests.unit.histories import parse_history
from zrepl_py.core.diff import Agreement, diff, explain_conflict
from zrepl_py.model.plan import Conflict, Covered, Diverged, NothingToSend, TargetAhead, Unrelated


@pytest.mark.parametrize(
    ("source", "replica", "base", "pending"),
    [
        ("1 2 3", "", None, [1, 2, 3]),
        ("1 2 3", "1", 1, [2, 3]),
        ("1 2 3", "1 2 3", 3, []),
        ("2 3", "1 2", 2, [3]),
        ("1# 2 3", "1", 1, [2, 3]),
        ("1@# 2 3", "1", 1, [2, 3]),
        ("1 f2 3", "1", 1, [3]),
        ("f1 2", "f1", 1, [2]),
        ("1 2", "1 f7", 1, [2]),
        ("3#", "2 3", 3, []),
    ],
)
def test_agreement(source: str, replica: str, base: int | None, pending: list[int]) -> None:
    found = diff(parse_history(source), parse_history(replica, txg_offset=1000))
    assert isinstance(found, Agreement)
    assert (found.base.guid if found.base else None) == base
    assert [s.guid for s in found.pending] == pending


def test_snapshot_is_preferred_to_its_bookmark() -> None:
    source = parse_history("1@# 2")
    found = diff(source, parse_history("1"))
    assert isinstance(found, Agreement)
    assert found.base == source.snapshots[0]


@pytest.mark.parametrize(
    ("source", "replica", "kind"),
    [
        ("", "", NothingToSend),
        ("f1", "", NothingToSend),
        ("1 2", "3", Unrelated),
        ("", "3", Unrelated),
        ("1 2", "1 7", Diverged),
        ("1", "1 7 8", TargetAhead),
        ("1#", "1 7", TargetAhead),
    ],
)
def test_conflict(source: str, replica: str, kind: type[Conflict]) -> None:
    found = diff(parse_history(source), parse_history(replica))
    assert isinstance(found, kind)
    assert explain_conflict(found).endswith(".")


@pytest.mark.parametrize(
    ("source", "replica", "kind"),
    [
        ("1 2", "1 f7", Covered),
        ("1 2", "1", Agreement),
        ("1 2", "f7 1", Agreement),
        ("1", "1 f7", Agreement),
        ("1 2", "1 f7 8", Diverged),
    ],
)
def test_a_raw_replica_goes_on_at_its_newest_only(source: str, replica: str, kind: type) -> None:
    """OpenZFS refuses a raw increment over any snapshot; with nothing pending, no matter."""
    found = diff(parse_history(source), parse_history(replica), raw=True)
    assert isinstance(found, kind)
    if isinstance(found, Covered):
        assert [s.guid for s in found.foreign] == [7]
        assert explain_conflict(found).endswith(".")


def test_a_lost_base_is_reported_not_guessed() -> None:
    """Source lost 2 (snapshot and bookmark) which the replica has: 1 is not a base any more."""
    found = diff(parse_history("1 3"), parse_history("1 2"))
    assert isinstance(found, Diverged)
    assert [s.guid for s in found.replica_only] == [2]
