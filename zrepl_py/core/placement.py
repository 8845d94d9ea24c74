"""Where does a replica stand on its target? Datasets that were seen in, a name out. Pure.

Invariants:
- A replica is found by its `zr:lane`, whatever it is called. Its name only counts as long as no
  dataset carries that uuid: between a first stream and the mark behind it.
- So any free name will do. The usual one is the source's, below the source's own parent. Where that
  cannot be, it is `NAME_<first 8 of the lane>`: nobody else's, and found again without a mark.
- A replica is first made below that of the dataset above it, wherever that one stands by now.
"""

from collections.abc import Mapping, Sequence

from zrepl_py.model.names import check_dataset_name, check_room
from zrepl_py.model.observation import Dataset
from zrepl_py.model.properties import LANE_PROPERTY, PLACEHOLDER_PROPERTY


def find_marked(seen: Sequence[Dataset], lane: str) -> Dataset | None:
    """The dataset that says it is this lane's replica, or None."""
    return next((d for d in seen if d.user_properties.get(LANE_PROPERTY) == lane), None)


def find_unmarked(seen: Sequence[Dataset], usual: str, lane: str) -> Dataset | None:
    """What a first stream that did not come to its mark has left, or None. Never a placeholder."""
    free = [d for d in seen if not d.user_properties.keys() & {LANE_PROPERTY, PLACEHOLDER_PROPERTY}]
    own = next((d for d in free if d.name.endswith(_suffix(lane))), None)
    return own or next((d for d in free if d.name == usual), None)


def choose_name(seen: Sequence[Dataset], usual: str, lane: str, above: Dataset | None) -> str:
    """The name of a replica that is not there yet; `above`: that of the dataset above it.

    Errors: Refused(bad-name) where it would be too long.
    """
    folder, _, last = usual.rpartition("/")
    beside = folder
    # The one above was renamed. Or datasets between the two are not sent: below an encrypted
    # replica, whose key is not here, ZFS makes no placeholders for those.
    if above is not None and (above.encrypted or not folder.startswith(above.name + "/")):
        beside = above.name
    taken = any(d.name == usual and PLACEHOLDER_PROPERTY in d.user_properties for d in seen)
    if beside == folder and not taken:
        return usual
    return check_room(check_dataset_name(f"{beside}/{last}{_suffix(lane)}"))


def remove_suffixes(name: str, lanes: Mapping[str, str]) -> str:
    """A replica's name with its source's names for it and for those above it; `lanes`: name of a
    dataset here → its lane's uuid, or ""."""
    head, _, last = name.rpartition("/")
    lane = lanes.get(name, "")
    plain = last.removesuffix(_suffix(lane)) if lane else last
    return f"{remove_suffixes(head, lanes)}/{plain}" if head else plain


def _suffix(lane: str) -> str:
    return f"_{lane.replace('-', '')[:8]}"
