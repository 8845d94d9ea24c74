"""Taking whole names apart, and refusing what is not ours. Pure."""

from collections.abc import Iterable, Mapping

from zrepl_py.errors import Bug, Refused
from zrepl_py.model.names import MAX_NAME_BYTES, OWN_PREFIX


def pool_of(name: str) -> str:
    """`tank/a@s` → `tank`."""
    return dataset_of(name).split("/", 1)[0]


def dataset_of(name: str) -> str:
    """`tank/a@s` or `tank/a#b` → `tank/a`."""
    return name.replace("#", "@").split("@", 1)[0]


def by_pool(names: Iterable[str]) -> dict[str, list[str]]:
    """Names grouped by their pool, order kept."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(pool_of(name), []).append(name)
    return grouped


def one_pool(names: Iterable[str]) -> str:
    """The one pool of all names; Bug(several-pools) otherwise."""
    pools = by_pool(names)
    if len(pools) != 1:
        raise Bug("several-pools", "All datasets of one snapshot call must be of one pool.")
    return next(iter(pools))


def check_own(names: Mapping[str, int], separator: str) -> None:
    """Bug(foreign-destroy) unless every name's part after `separator` was made by zr."""
    for name in names:
        dataset, mark, version = name.partition(separator)
        if not (dataset and mark and version.startswith(OWN_PREFIX)):
            raise Bug("foreign-destroy", f"{name} was not made by zr and is never destroyed by it.")


def check_length(name: str) -> str:
    """Refused(bad-name) where ZFS would find the whole name too long."""
    if len(name.encode()) > MAX_NAME_BYTES:
        raise Refused(
            "bad-name",
            f"{name[:60]!r}… would be longer than ZFS's 255 bytes.",
            "Shorten the dataset's name or the replica's prefix.",
        )
    return name
