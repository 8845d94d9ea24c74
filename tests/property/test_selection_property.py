"""Selections and overlaps, against a slow and obvious reading of the patterns."""

import fnmatch
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from zrepl_py.core.overlap import find_overlap
from zrepl_py.core.selection import is_selected, select_datasets
from zrepl_py.model.policy import Selection

PART = st.sampled_from(["a", "b", "ab", "*", "a*", "*b"])
PATTERN = st.builds(
    lambda parts, below: "/".join(["t", *parts, *(["**"] if below else [])]),
    st.lists(PART, max_size=2),
    st.booleans(),
)
SELECTION = st.builds(
    Selection,
    st.lists(PATTERN, min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(PATTERN, max_size=2, unique=True).map(tuple),
)
NAMES = ["t"] + [
    "/".join(["t", *parts])
    for depth in (1, 2, 3)
    for parts in product(["a", "b", "ab", "x"], repeat=depth)
]


def means(pattern: str, name: str) -> bool:
    parts, wanted = name.split("/"), pattern.split("/")
    if wanted[-1] == "**":
        wanted = wanted[:-1]
        parts = parts[: len(wanted)]
    return len(parts) == len(wanted) and all(
        fnmatch.fnmatchcase(part, want) for part, want in zip(parts, wanted, strict=True)
    )


@given(SELECTION, st.sets(st.sampled_from(NAMES)))
def test_selects_what_the_patterns_say(selection: Selection, seen: set[str]) -> None:
    names = select_datasets(selection, seen).names
    assert set(names) == {
        n
        for n in seen
        if any(means(p, n) for p in selection.include)
        and not any(means(p, n) for p in selection.exclude)
    }
    for place, name in enumerate(names):
        assert not any(later == name.rpartition("/")[0] for later in names[place:])


@settings(max_examples=60)
@given(SELECTION, SELECTION)
def test_an_overlap_is_found_exactly_where_there_is_one(one: Selection, other: Selection) -> None:
    found = find_overlap(one, other)
    if found is None:
        assert not any(is_selected(one, n) and is_selected(other, n) for n in NAMES)
    else:
        assert is_selected(one, found)
        assert is_selected(other, found)
