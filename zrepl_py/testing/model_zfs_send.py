"""What the model sends: from which version, since which, and what is refused."""

from zrepl_py.adapters.zfs.names import dataset_of
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.testing.model_zfs_state import Mark, ModelPools, Version
from zrepl_py.testing.model_zfs_streams import Order

_ENOENT, _EACCES, _EXDEV = 2, 13, 18


def base_of(pools: ModelPools, name: str) -> Version | Mark | None:
    """A snapshot or bookmark by its whole name."""
    if "#" in name:
        found = pools.find(dataset_of(name))
        return found.bookmarks.get(name.partition("#")[2]) if found else None
    return pools.version(name)


def order_of(
    pools: ModelPools,
    snapshot: str,
    base: str | None,
    *,
    raw: bool,
    resume: tuple[int, int] | None,
) -> Order:
    """The order for one stream; errors as of ports/zfs.py, send. The key comes first, as it does
    in the kernel, which opens the dataset before it looks for the snapshot."""
    found = pools.find(dataset_of(snapshot))
    if found and found.encrypted and not raw and not found.key_loaded:
        raise judge_errno("send", _EACCES, snapshot)
    version = pools.version(snapshot)
    if found is None or version is None:
        raise judge_errno("send", _ENOENT, snapshot)
    start = base_of(pools, base) if base is not None else None
    if base is not None and start is None:
        raise judge_errno("send", _ENOENT, base)
    clone = dataset_of(base or "") != found.name
    if start is not None and (
        (clone and start is not found.origin) or start.createtxg >= version.createtxg
    ):
        raise judge_errno("send", _EXDEV, snapshot)
    return Order(
        to=version,
        whole_name=snapshot,
        kind=found.kind,
        base_guid=start.guid if start else 0,
        base_txg=start.createtxg if start else 0,
        raw=raw and found.encrypted,
        resume=resume,
        clone=start is not None and clone,
    )
