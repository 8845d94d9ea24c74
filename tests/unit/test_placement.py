"""Where a replica stands: names, by what is there already."""

import pytest

from zrepl_py.core.placement import choose_name, find_unmarked
from zrepl_py.errors import Refused
from zrepl_py.model.observation import Dataset, Kind

LANE = "c1c2c3c4-d5d6-5000-8000-000000000000"
TOP = "back/zr/alpha"
USUAL = f"{TOP}/tank/a/b"


def seen(name: str, *, encrypted: bool = False, **properties: str) -> Dataset:
    own = {f"zr:{key}": value for key, value in properties.items()}
    return Dataset(f"{TOP}/{name}", 1, Kind.FILESYSTEM, encrypted, user_properties=own)


@pytest.mark.parametrize(
    ("above", "name"),
    [
        (None, USUAL),
        (seen("tank/a"), USUAL),
        (seen("tank"), USUAL),  # datasets between are not sent: placeholders
        (seen("tank", encrypted=True), f"{TOP}/tank/b_c1c2c3c4"),
        (seen("tank/a", encrypted=True), USUAL),
        (seen("tank/old"), f"{TOP}/tank/old/b_c1c2c3c4"),
        (seen("tank/old", encrypted=True), f"{TOP}/tank/old/b_c1c2c3c4"),
        (seen("tank/a2"), f"{TOP}/tank/a2/b_c1c2c3c4"),
    ],
)
def test_a_replica_stands_below_that_of_the_dataset_above_it(
    above: Dataset | None, name: str
) -> None:
    assert choose_name([above] if above else [], USUAL, LANE, above) == name


def test_a_placeholder_gives_its_name_to_nobody() -> None:
    there = [seen("tank/a"), seen("tank/a/b", placeholder="on")]
    assert choose_name(there, USUAL, LANE, None) == f"{USUAL}_c1c2c3c4"
    assert find_unmarked(there, USUAL, LANE) is None


def test_what_is_not_marked_is_found_by_either_name() -> None:
    usual, own = seen("tank/a/b"), seen("tank/old/b_c1c2c3c4")
    assert find_unmarked([usual], USUAL, LANE) is usual
    assert find_unmarked([usual, own], USUAL, LANE) is own
    assert find_unmarked([seen("tank/a/b", lane="another")], USUAL, LANE) is None


def test_a_name_that_would_be_too_long_is_refused() -> None:
    usual = f"{TOP}/{'x' * 195}"
    with pytest.raises(Refused, match="longer than ZFS's"):
        choose_name([seen("x" * 195, placeholder="on")], usual, LANE, None)
