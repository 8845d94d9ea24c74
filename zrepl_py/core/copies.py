"""Which copies of other nodes' datasets does this node keep, and where were those mounted?

A replica is never mounted and has none of the source's properties but as `zr:orig:*`; from those,
and from the datasets' names, follows which replica has the file that was at a path. Pure. A peer
wrote these values: they are compared with what a person typed, and never used as a path.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zrepl_py.core.placement import remove_suffixes
from zrepl_py.model.observation import Dataset, Kind
from zrepl_py.model.properties import LANE_PROPERTY, ORIGINAL_PREFIX

_MOUNTPOINT = ORIGINAL_PREFIX + "mountpoint"
_CANMOUNT = ORIGINAL_PREFIX + "canmount"


@dataclass(frozen=True, slots=True)
class Copy:
    """A replica that this node keeps."""

    source: str
    """Name of the node whose dataset it is."""
    dataset: str
    """That dataset's name there: `tank/audio`."""
    stored: str
    """The replica's name here: `back/zr/alpha/tank/audio`."""
    kind: Kind
    encrypted: bool
    mountpoint: str | None
    """Where the dataset was mounted there; None for volumes, and where it was not."""
    properties: dict[str, str]
    """The source's own properties: name → value."""
    guessed: bool = False
    """The mount point is ZFS's default; it may have been inherited from a dataset that is not
    replicated, of which nothing is known here."""


def plan_copies(parent: str, datasets: Sequence[Dataset]) -> tuple[Copy, ...]:
    """`parent`: this node's replica parent (`back/zr`); `datasets`: it and all below."""
    found = []
    lanes = {d.name: d.user_properties.get(LANE_PROPERTY, "") for d in datasets}
    for dataset in datasets:
        source, _, name = dataset.name.removeprefix(parent + "/").partition("/")
        if dataset.name == parent or not name or LANE_PROPERTY not in dataset.user_properties:
            continue
        above = {d.name: d for d in datasets if d.name.startswith(f"{parent}/{source}/")}
        found.append(
            Copy(
                source,
                remove_suffixes(dataset.name, lanes).removeprefix(f"{parent}/{source}/"),
                dataset.name,
                dataset.kind,
                dataset.encrypted,
                _mountpoint(f"{parent}/{source}", dataset, above),
                _originals(dataset),
                _is_guessed(f"{parent}/{source}", dataset, above),
            )
        )
    return tuple(found)


def find_copies(copies: Sequence[Copy], path: str) -> list[tuple[Copy, tuple[str, ...]]]:
    """The copies that had `path` (absolute, or DATASET/PATH), and where in them; one per source.

    Of several datasets of a source, the one that was mounted deepest.
    """
    best: dict[str, tuple[int, Copy, tuple[str, ...]]] = {}
    for copy in copies:
        root = copy.mountpoint if path.startswith("/") else copy.dataset
        if copy.kind is Kind.VOLUME or root is None:
            continue
        inside = _inside(path, root)
        if inside is None:
            continue
        if copy.source not in best or len(root) > best[copy.source][0]:
            best[copy.source] = (len(root), copy, inside)
    return [(copy, inside) for _, copy, inside in best.values()]


def find_likely_copies(copies: Sequence[Copy], path: str) -> list[tuple[Copy, tuple[str, ...]]]:
    """Copies that may have had `path` (absolute), by the last component of their datasets' names,
    where nothing better is known; the one that leaves the shortest rest first.

    `/srv/audio/a.wav` may have been in tank/audio. Whether it was, a look tells.
    """
    parts = [c for c in path.split("/") if c]
    found = []
    for copy in copies:
        if not copy.guessed or copy.mountpoint is None:
            continue
        name = copy.dataset.rpartition("/")[2]
        found += [(copy, tuple(parts[i + 1 :])) for i, c in enumerate(parts) if c == name]
    return sorted(found, key=lambda pair: len(pair[1]))


def find_copies_below(
    copies: Sequence[Copy], top: Copy, inside: Sequence[str]
) -> list[tuple[Copy, tuple[str, ...]]]:
    """Copies of the same source that were mounted below that directory of `top`, and where."""
    if top.mountpoint is None:
        return []
    path = "/".join([top.mountpoint.rstrip("/"), *inside]) or "/"
    found = []
    for copy in copies:
        if copy.source != top.source or copy == top or copy.mountpoint is None:
            continue
        at = _inside(copy.mountpoint, path)
        if at:
            found.append((copy, at))
    return sorted(found, key=lambda pair: pair[1])


def old_path(copy: Copy, inside: Sequence[str]) -> str:
    """Where it was on its own node; by the dataset's name where it was mounted nowhere."""
    root = copy.mountpoint if copy.mountpoint is not None else f"/{copy.dataset}"
    return "/".join([root.rstrip("/"), *inside]) or "/"


def _inside(path: str, root: str) -> tuple[str, ...] | None:
    path, root = path.rstrip("/"), root.rstrip("/")
    if path != root and not path.startswith(root + "/"):
        return None
    return tuple(c for c in path[len(root) :].split("/") if c)


def _mountpoint(top: str, dataset: Dataset, above: dict[str, Dataset]) -> str | None:
    """Its own, else what it inherits from the nearest one above that says it, else the default."""
    if dataset.kind is Kind.VOLUME or dataset.user_properties.get(_CANMOUNT) == "off":
        return None
    name, rest = dataset.name, ""
    while name != top and name:
        at = above.get(name)
        value = at.user_properties.get(_MOUNTPOINT) if at else None
        if value is not None:
            return value.rstrip("/") + rest if value.startswith("/") else None
        lane = at.user_properties.get(LANE_PROPERTY, "") if at else ""
        folder, _, last = name.rpartition("/")
        rest = f"/{remove_suffixes(last, {last: lane})}{rest}"
        name = folder
    return rest or None


def _is_guessed(top: str, dataset: Dataset, above: dict[str, Dataset]) -> bool:
    name = dataset.name
    while name != top and name:
        if name in above and _MOUNTPOINT in above[name].user_properties:
            return False
        name = name.rpartition("/")[0]
    return True


def _originals(dataset: Dataset) -> dict[str, str]:
    return {
        key.removeprefix(ORIGINAL_PREFIX): value
        for key, value in dataset.user_properties.items()
        if key.startswith(ORIGINAL_PREFIX)
    }
