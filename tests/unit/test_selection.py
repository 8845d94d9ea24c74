"""What patterns mean, and when two policies could mean the same dataset."""

import pytest

from zrepl_py.core.overlap import find_overlap
from zrepl_py.core.selection import check_pattern, select_datasets
from zrepl_py.errors import Refused
from zrepl_py.model.policy import Selection

SEEN = (
    "tank",
    "tank/audio",
    "tank/audio-old",
    "tank/audio/2026",
    "tank/audio/2026/11",
    "tank/services/web",
    "tank/services/cache",
    "tank/services",
)


@pytest.mark.parametrize(
    ("include", "exclude", "names"),
    [
        (["tank/audio"], [], ["tank/audio"]),
        (["tank/audio/*"], [], ["tank/audio/2026"]),
        (["tank/audio/**"], [], ["tank/audio", "tank/audio/2026", "tank/audio/2026/11"]),
        (["tank/audio*"], [], ["tank/audio", "tank/audio-old"]),
        (["tank/*/20*"], [], ["tank/audio/2026"]),
        (["tank/services/**"], ["tank/services/cache"], ["tank/services", "tank/services/web"]),
        (["tank/services", "tank/services/**"], ["tank/*/**"], []),
    ],
)
def test_patterns(include: list[str], exclude: list[str], names: list[str]) -> None:
    assert list(select_datasets(Selection(tuple(include), tuple(exclude)), SEEN).names) == names


def test_parents_stand_before_children_and_children_before_cousins() -> None:
    names = select_datasets(Selection(("tank/**",)), SEEN).names
    assert names[:4] == ("tank", "tank/audio", "tank/audio/2026", "tank/audio/2026/11")


def test_plain_names_that_are_not_there_are_reported() -> None:
    wanted = Selection(("tank/audio", "tank/vide", "gone/**", "tank/x*", "tank/video/*"))
    assert select_datasets(wanted, SEEN).missing == ("tank/vide", "gone/**")


def test_reserved_datasets_are_never_selected() -> None:
    names = select_datasets(Selection(("tank/**",)), SEEN, reserved=["tank/audio"]).names
    assert names == ("tank", "tank/audio-old", "tank/services", "tank/services/cache",
                     "tank/services/web")  # fmt: skip


@pytest.mark.parametrize(
    "wrong", ["", "/", "tank/", "tank//a", "**", "*", "t*/a", "tank/**/a", "tank/a**", "tank/..",
              "tank/a@b", "tank/a\n", "tank/" + "a" * 260]
)  # fmt: skip
def test_what_is_no_pattern(wrong: str) -> None:
    with pytest.raises(Refused):
        check_pattern(wrong)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (["tank/a"], ["tank/a"], "tank/a"),
        (["tank/a"], ["tank/b"], None),
        (["tank/a/**"], ["tank/a/b/**"], "tank/a/b"),
        (["tank/a/*"], ["tank/a"], None),
        (["tank/a/**"], ["tank/ab/**"], None),
        (["tank/a*"], ["tank/*b"], "tank/ab"),
        (["tank/svc-*"], ["tank/*-db/*"], None),
        (["tank/*/x"], ["tank/y/**"], "tank/y/x"),
        (["tank/**"], ["pool/**"], None),
    ],
)
def test_overlaps(one: list[str], other: list[str], shared: str | None) -> None:
    first, second = Selection(tuple(one)), Selection(tuple(other))
    assert find_overlap(first, second) == shared
    assert find_overlap(second, first) == shared


def test_an_exclude_can_part_two_policies() -> None:
    databases = Selection(("tank/db/**",))
    assert find_overlap(Selection(("tank/**",), ("tank/db/**",)), databases) is None
    assert find_overlap(Selection(("tank/**",), ("tank/db",)), databases) == "tank/db/x"
    assert find_overlap(Selection(("tank/**",), ("tank/db/*",)), databases) == "tank/db"


def test_what_was_set_aside_is_selected_by_no_policy() -> None:
    aside = ("tank/zr-rescue/1-ab-cd/a", "tank/zr-rescue-of/ab/1-ab-cd/a")
    names = ("tank/a", *aside, "tank/zr-rescues")
    found = select_datasets(Selection(("tank/**", "tank/zr-rescue/**")), names)
    assert found.names == ("tank/a", "tank/zr-rescues")
