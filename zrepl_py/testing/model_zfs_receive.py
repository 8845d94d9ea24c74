"""How the model receives: what is refused, what is kept when a stream is cut, what is committed.

Mirrors dmu_recv.c of OpenZFS 2.3.9 as far as the port's contract can tell the difference.
"""

import json

from zrepl_py.adapters.zfs.begin import Begin, check_begin
from zrepl_py.adapters.zfs.translate import WRONG_PARENT, judge_errno
from zrepl_py.model.observation import Kind
from zrepl_py.testing.model_zfs_state import File, Files, ModelDataset, ModelPools, Partial, Version
from zrepl_py.testing.model_zfs_streams import (
    END,
    KIND_OF,
    NAMES,
    ReadExactly,
    Record,
    StreamReader,
    damaged,
)

_ENOENT, _EBUSY, _EEXIST, _ENODEV, _ETXTBSY = 2, 16, 17, 19, 26
_ENOSPC, _EDQUOT, _EAGAIN, _EACCES = 28, 122, 11, 13


def receive_into(
    pools: ModelPools,
    snapshot: str,
    read: ReadExactly,
    *,
    to_guid: int,
    from_guid: int,
    raw: bool,
    origin: str | None = None,
) -> None:
    """See ports/zfs.py, receive. `read(n)` blocks until n bytes are there, or says stream-cut."""
    reader = StreamReader(read)
    begin = reader.begin()
    clone = origin is not None
    check_begin(begin, to_guid=to_guid, from_guid=from_guid, raw=raw, clone=clone)
    if begin.resuming:
        with pools.lock:
            _check_continues(pools.find(snapshot.partition("@")[0]), snapshot, begin)
    whole = begin.resuming or begin.raw
    if whole:  # such a BEGIN has a payload; it and the head behind it are read before any check
        reader.look_ahead()
    with pools.lock:
        target = _admit(pools, snapshot, begin, origin)
        target.receiving = True
    try:
        if not whole:
            reader.look_ahead()
            whole = True
        for record in reader.records():
            with pools.lock:
                _apply(pools, target, record)
                if record.kind == END:
                    _commit(pools, target, snapshot, begin)
    finally:
        with pools.lock:
            target.receiving = False
            if not whole or (clone and target.incomplete):
                _forget(pools, target)


def _admit(pools: ModelPools, snapshot: str, begin: Begin, origin: str | None) -> ModelDataset:
    """The dataset to receive into, made if it is a first receive; raises what the kernel would."""
    name, _, version = snapshot.partition("@")
    pool = pools.pool_of(name)
    target = pools.find(name)
    parent = pools.find(name.rpartition("/")[0])
    if begin.resuming:
        return _admit_resumed(target, snapshot, begin)
    if origin is not None and target is not None:
        raise judge_errno("receive", _EEXIST, snapshot)
    alone = begin.from_guid and origin is None
    if pool is None or (target is None and (parent is None or alone)):
        raise judge_errno("receive", _ENOENT, snapshot)
    if pool.health == "SUSPENDED":
        raise judge_errno("receive", _EAGAIN, snapshot)
    if target is not None and target.encrypted and not begin.raw and not target.key_loaded:
        raise judge_errno("receive", _EACCES, snapshot)
    if target is not None and (target.receiving or (target.partial)):
        raise judge_errno("receive", _EBUSY, snapshot)
    if target is not None:
        _admit_existing(target, snapshot, version, begin, pools.has_children(name))
    else:
        kind = KIND_OF[begin.objset_type]
        if parent is not None and parent.kind is Kind.VOLUME:
            raise judge_errno("receive", WRONG_PARENT, snapshot)
        if origin is not None:
            target = _make_clone(pools, snapshot, origin, begin)
        else:
            target = pools.make_dataset(name, kind, encrypted=begin.raw, mounted=False)
            target.key_loaded = not begin.raw
        target.incomplete = True
    target.partial = Partial(begin.to_guid, begin.from_guid, begin.raw)
    return target


def _make_clone(pools: ModelPools, snapshot: str, origin: str, begin: Begin) -> ModelDataset:
    base = pools.version(origin)
    if base is None:
        raise judge_errno("receive", _ENOENT, origin)
    if base.guid != begin.from_guid:
        raise judge_errno("receive", _ENODEV, snapshot)
    of = pools.dataset(origin.partition("@")[0])
    if of.encrypted and not begin.raw and not of.key_loaded:
        raise judge_errno("receive", _EACCES, snapshot)
    name = snapshot.partition("@")[0]
    pools.clone(origin, name)
    pools.dataset(name).mounted = False
    return pools.dataset(name)


def _check_continues(target: ModelDataset | None, snapshot: str, begin: Begin) -> ModelDataset:
    """As the adapters do before they hand the stream over."""
    partial = target.partial if target else None
    wanted = (begin.to_guid, begin.from_guid)
    if target is None or partial is None or (partial.to_guid, partial.from_guid) != wanted:
        raise judge_errno("receive", _ENODEV, snapshot)
    return target


def _admit_resumed(found: ModelDataset | None, snapshot: str, begin: Begin) -> ModelDataset:
    target = _check_continues(found, snapshot, begin)
    if target.receiving:
        raise judge_errno("receive", _EBUSY, snapshot)
    return target


def _admit_existing(
    target: ModelDataset, snapshot: str, version: str, begin: Begin, has_children: bool
) -> None:
    if target.snapshot(version):
        raise judge_errno("receive", _EEXIST, snapshot)
    if has_children and KIND_OF[begin.objset_type] is Kind.VOLUME:
        raise judge_errno("receive", WRONG_PARENT, snapshot)
    if not begin.from_guid:
        raise judge_errno("receive", _EEXIST, snapshot)
    if begin.raw and not target.encrypted:
        raise judge_errno("receive", _ENODEV, snapshot)
    base = next((v for v in target.snapshots if v.guid == begin.from_guid), None)
    if base is None:
        raise judge_errno("receive", _ENODEV, snapshot)
    if target.changed_txg > base.createtxg or (begin.raw and base is not target.snapshots[-1]):
        raise judge_errno("receive", _ETXTBSY, snapshot)


def _apply(pools: ModelPools, target: ModelDataset, record: Record) -> None:
    partial = target.partial
    if partial is None:
        raise damaged("the partial receive is gone")
    if record.kind == NAMES:
        listed = json.loads(record.payload)
        partial.listed = True
        partial.names = [entry[0] for entry in listed]
        partial.sizes = [entry[1] for entry in listed]
        partial.modes = [entry[2] for entry in listed]
        partial.sent = [entry[3] for entry in listed]
        return
    if record.kind == END:
        return
    if (record.object, record.offset) < partial.at or record.object > len(partial.names):
        raise damaged("it does not continue where the last one stopped")
    _check_space(pools, target, len(record.payload))
    content = partial.contents.setdefault(record.object, bytearray())
    if len(content) != record.offset:
        raise damaged("a part is missing")
    content += record.payload
    partial.at = (record.object, record.offset + len(record.payload))
    partial.bytes_received += len(record.payload)


def _check_space(pools: ModelPools, target: ModelDataset, more: int) -> None:
    pool = pools.pools[target.name.split("/")[0]]
    if pool.used_bytes() + more > pool.size_bytes:
        raise judge_errno("receive", _ENOSPC, target.name)
    for above in pools.ancestors(target.name):
        quota = int(above.local.get("quota", "0"))
        if not quota:
            continue
        used = sum(
            d.used_bytes()
            for d in pool.datasets.values()
            if d.name == above.name or d.name.startswith(above.name + "/")
        )
        if used + more > quota:
            raise judge_errno("receive", _EDQUOT, target.name)


def _commit(pools: ModelPools, target: ModelDataset, snapshot: str, begin: Begin) -> None:
    partial = target.partial
    if partial is None:
        raise damaged("the partial receive is gone")
    name = snapshot.partition("@")[2]
    if not target.incomplete:
        _check_swap(target, snapshot, name, begin)
    pool = pools.pools[target.name.split("/")[0]]
    txg = pool.sync()
    if partial.listed or not begin.from_guid:
        target.files, target.changed_txg = _files_of(partial, target, txg), txg
    changed = target.changed_txg
    target.snapshots.append(
        Version(name, begin.to_guid, txg, begin.created_at, target.files, changed)
    )
    target.partial, target.incomplete = None, False


def _check_swap(target: ModelDataset, snapshot: str, name: str, begin: Begin) -> None:
    """What may have happened since the partial receive began; it stays then."""
    base = next((v for v in target.snapshots if v.guid == begin.from_guid), None)
    if base is None or target.changed_txg > base.createtxg:
        raise judge_errno("receive", _ETXTBSY, snapshot)
    if target.snapshot(name):
        raise judge_errno("receive", _EEXIST, snapshot)


def _files_of(partial: Partial, target: ModelDataset, txg: int) -> Files:
    files: Files = {}
    for number, name in enumerate(partial.names, 1):
        if partial.sent[number - 1]:
            content = bytes(partial.contents.get(number, b""))
            if len(content) != partial.sizes[number - 1]:
                raise damaged("a part is missing")
            files[name] = File(content, txg, partial.modes[number - 1])
        elif name in target.files:
            files[name] = target.files[name]
        else:
            raise damaged("the base does not have a file that is expected")
    return files


def _forget(pools: ModelPools, target: ModelDataset) -> None:
    """Nothing came behind BEGIN: the partial goes, and a dataset that was made for it too."""
    target.partial = None
    if target.incomplete and target.origin is not None:
        target.origin.clones -= 1
    if target.incomplete:
        pools.pools[target.name.split("/")[0]].datasets.pop(target.name, None)
