"""Why would the model's ZFS not destroy a snapshot? The same answers as OpenZFS gives."""

from collections.abc import Iterable

from zrepl_py.adapters.zfs.names import dataset_of
from zrepl_py.model.observation import Dependents
from zrepl_py.testing.model_zfs_state import ModelDataset, ModelPools, Version

_NOTHING = Dependents()


def find_dependents(pools: ModelPools, names: Iterable[str]) -> dict[str, Dependents]:
    """What stands on these snapshots; those that are not there are left out."""
    seen: dict[str, Dependents] = {}
    there: dict[str, dict[str, Version]] = {}
    clones = _clones(pools)
    for name in names:
        dataset, _, short = name.partition("@")
        found = pools.find(dataset)
        if found is None:
            continue
        if dataset not in there:
            there[dataset] = {v.name: v for v in found.snapshots}
        version = there[dataset].get(short)
        if version is not None:
            seen[name] = _dependents_of(clones, found, version)
    return seen


def _clones(pools: ModelPools) -> list[tuple[Version, str]]:
    """(origin, name) of each."""
    datasets = [d for pool in pools.pools.values() for d in pool.datasets.values()]
    return [(d.origin, d.name) for d in datasets if d.origin is not None]


def _dependents_of(
    all_clones: Iterable[tuple[Version, str]], found: ModelDataset, version: Version
) -> Dependents:
    clones = [name for origin, name in all_clones if origin is version]
    if found.partial and found.partial.from_guid == version.guid:
        clones.append(f"{found.name}/%recv")
    if not (clones or version.holds or version.sends):
        return _NOTHING
    in_use = version.sends > 0 and not version.holds
    return Dependents(frozenset(version.holds), frozenset(clones), in_use)


def keeps(pools: ModelPools, name: str, guid: int) -> str:
    """The cause of a DestroyOutcome; empty where it may go."""
    version, found = pools.version(name), pools.find(dataset_of(name))
    if version is None or found is None:
        return "gone"
    if version.guid != guid:
        return "other-guid"
    seen = _dependents_of(_clones(pools), found, version)
    if seen.tags:
        return "held"
    return "busy" if seen.in_use else "cloned" if seen.clones else ""
