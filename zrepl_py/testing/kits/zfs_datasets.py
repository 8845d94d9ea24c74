"""The kit of ports/datasets.py: what a change of roles does, each verb twice, and the whole rescue.

The order rename → clone → promote is that of the design; the other way fails on encryption roots.
"""

from dataclasses import replace

from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.observation import Kind
from zrepl_py.model.tree import TreeDataset
from zrepl_py.testing.kits.zfs_site import (
    Leg,
    ZfsSite,
    guid_of,
    move,
    refused,
    same,
    snapshot,
    true,
)


def one(site: ZfsSite, dataset: str) -> TreeDataset:
    """A dataset that is there."""
    found = {d.name: d for d in site.datasets.observe_tree(dataset)}
    if dataset not in found:
        raise AssertionError(f"there is no {dataset}")
    return found[dataset]


def check_a_tree_is_observed(site: ZfsSite) -> None:
    """Root and all below, by name, with what is set on each; nothing where there is nothing."""
    root = site.fresh("tree")
    same(site.datasets.observe_tree(root), [], "before")
    site.make_filesystem(root)
    site.make_filesystem(f"{root}/b")
    site.make_volume(f"{root}/a")
    site.set_property(root, "readonly", "on")
    site.port.set_user_properties(f"{root}/b", {"zr:lane": "x"})
    seen = site.datasets.observe_tree(root)
    same([d.name for d in seen], [root, f"{root}/a", f"{root}/b"], "names")
    same([d.kind for d in seen], [Kind.FILESYSTEM, Kind.VOLUME, Kind.FILESYSTEM], "kinds")
    same([d.readonly for d in seen], [True] * 3, "inherited")
    same(seen[0].local.get("readonly"), "on", "set here")
    same(seen[2].local, {"zr:lane": "x"}, "set there")
    same((seen[1].mountpoint, seen[1].canmount, seen[1].mounted), ("none", "on", False), "a volume")
    true(seen[2].mountpoint.endswith("/" + seen[2].short), "inherited mount points")
    same({d.guid for d in seen}, {d.guid for d in site.port.observe_datasets(root)}, "guids")


def check_a_tree_is_snapshotted_once(site: ZfsSite) -> None:
    """All of it in one txg; again: the same; where it is there in part: refused."""
    root = site.fresh("whole")
    for name in (root, f"{root}/a", f"{root}/a/b"):
        site.make_filesystem(name)
    made = site.datasets.snapshot_tree(root, "zr-rescue-1")
    same(set(made), {root, f"{root}/a", f"{root}/a/b"}, "members")
    txgs = {site.port.observe_history(d).snapshots[-1].createtxg for d in made}
    same(len(txgs), 1, "txgs")
    same(site.datasets.snapshot_tree(root, "zr-rescue-1"), made, "again")
    site.make_filesystem(f"{root}/late")
    with refused(Refused, "snapshot-exists"):
        site.datasets.snapshot_tree(root, "zr-rescue-1")
    with refused(Standing, "dataset-missing"):
        site.datasets.snapshot_tree(site.fresh("none"), "zr-rescue-1")


def check_what_was_written_since(site: ZfsSite) -> None:
    """Since a snapshot, by its guid; at once after the write; of what is no snapshot: not known."""
    name = site.fresh("written")
    site.make_filesystem(name)
    site.write(name, "a", b"before")
    first = snapshot(site, name, "zr_1")
    same(site.datasets.observe_written(name, first.guid), 0, "nothing")
    site.write(name, "b", b"after")
    true((site.datasets.observe_written(name, first.guid) or 0) > 0, "something")
    second = snapshot(site, name, "zr_2")
    same(site.datasets.observe_written(name, second.guid), 0, "nothing again")
    true((site.datasets.observe_written(name, first.guid) or 0) > 0, "since the first")
    same(site.datasets.observe_written(name, first.guid ^ 1), None, "since no snapshot of it")
    with refused(Standing, "dataset-missing"):
        site.datasets.observe_written(site.fresh("none"), first.guid)


def check_a_tree_is_renamed_once(site: ZfsSite) -> None:
    """With its children; again does nothing; never over something, never something else."""
    root, new = site.fresh("old"), site.fresh("new")
    site.make_filesystem(root)
    site.make_filesystem(f"{root}/a")
    guid = one(site, root).guid
    for name in (f"{root}/a", root):  # what is mounted stays where it is
        site.datasets.unmount(name, one(site, name).guid)
    with refused(Refused, "not-that-dataset"):
        site.datasets.rename(root, guid ^ 1, new)
    site.datasets.rename(root, guid, new)
    same([d.name for d in site.datasets.observe_tree(new)], [new, f"{new}/a"], "names")
    site.datasets.rename(root, guid, new)
    site.make_filesystem(root)
    with refused(Refused, "target-exists"):
        site.datasets.rename(root, one(site, root).guid, new)
    with refused(Standing, "dataset-missing"):
        site.datasets.rename(site.fresh("none"), guid, site.fresh("other"))


def check_a_clone_is_made_once(site: ZfsSite) -> None:
    """Read-only, not mounted; again does nothing; never over something, nor of another version."""
    root, clone = site.fresh("of"), site.fresh("clone")
    site.make_filesystem(root)
    first = snapshot(site, root, "zr_1")
    with refused(Refused, "not-that-dataset"):
        site.datasets.clone(f"{root}@zr_1", first.guid ^ 1, clone)
    with refused(Standing, "snapshot-missing"):
        site.datasets.clone(f"{root}@zr_9", first.guid, clone)
    site.datasets.clone(f"{root}@zr_1", first.guid, clone)
    made = one(site, clone)
    same(made.origin, f"{root}@zr_1", "origin")
    same((made.readonly, made.canmount, made.mounted), (True, "noauto", False), "the gate")
    site.datasets.clone(f"{root}@zr_1", first.guid, clone)
    same(one(site, clone), made, "again")
    snapshot(site, root, "zr_2")
    with refused(Refused, "target-exists"):
        site.datasets.clone(f"{root}@zr_2", guid_of(site, root, "zr_2"), clone)


def check_a_rescue_loses_nothing(site: ZfsSite) -> None:
    """rename → clone → promote: the tail stays under the new name, the old name has the history up
    to the common version, and goes on with the other side's increment without force."""
    name, kept, other = site.fresh("radio"), site.fresh("rescue"), site.fresh("other")
    site.make_filesystem(name)
    site.write(name, "a", b"common")
    common = snapshot(site, name, "zr_1")
    move(site.port, Leg(f"{name}@zr_1", f"{other}@zr_1", common.guid)).check()
    site.write(name, "tail", b"only here")
    site.port.hold([f"{name}@zr_1"], "zr_base_1")
    tail = site.datasets.snapshot_tree(name, "zr-rescue")
    before = one(site, name)
    if before.mounted:
        site.datasets.unmount(name, before.guid)
    for _ in range(2):  # as if it had been interrupted behind every step
        site.datasets.rename(name, before.guid, kept)
    site.datasets.clone(f"{kept}@zr_1", common.guid, name)
    fresh = one(site, name)
    true(fresh.guid != before.guid, "a clone has a guid of its own")
    for _ in range(2):
        site.datasets.promote(name, fresh.guid)
    same(one(site, name).origin, None, "no clone")
    same([s.guid for s in site.port.observe_history(name).snapshots], [common.guid], "history")
    same([s.guid for s in site.port.observe_history(kept).snapshots], [tail[name]], "the tail")
    same(site.read(f"{kept}@zr-rescue", "tail"), b"only here", "what only it had")
    held = site.port.observe_holds([f"{name}@zr_1"])
    same(held, {f"{name}@zr_1": frozenset({"zr_base_1"})}, "the hold went along")
    site.port.release([f"{name}@zr_1"], "zr_base_1")
    site.set_property(other, "readonly", "off")
    site.write(other, "b", b"new primary")
    newer = snapshot(site, other, "zr_2")
    leg = Leg(f"{other}@zr_2", f"{name}@zr_2", newer.guid, f"{other}@zr_1", common.guid)
    move(site.port, leg).check()
    same(site.read(f"{name}@zr_2", "b"), b"new primary", "the increment")


def check_an_encrypted_rescue(site: ZfsSite) -> None:
    """The same with an encryption root: the key's root follows the promoted one."""
    name, kept = site.fresh("secret"), site.fresh("kept")
    site.make_encrypted(name)
    same(one(site, name).encryption_root, name, "its own root")
    common = snapshot(site, name, "zr_1")
    before = one(site, name)
    if before.mounted:
        site.datasets.unmount(name, before.guid)
    site.datasets.rename(name, before.guid, kept)
    site.datasets.clone(f"{kept}@zr_1", common.guid, name)
    same(one(site, name).encryption_root, kept, "a clone's root")
    site.datasets.promote(name, one(site, name).guid)
    same(one(site, name).encryption_root, name, "its own root again")
    same(one(site, kept).encryption_root, name, "the other's root")


def check_promote_refuses_names_twice(site: ZfsSite) -> None:
    """Both have a snapshot of the same name: nothing happens."""
    name, clone = site.fresh("two"), site.fresh("twin")
    site.make_filesystem(name)
    first = snapshot(site, name, "zr_1")
    site.datasets.clone(f"{name}@zr_1", first.guid, clone)
    made = one(site, clone)
    site.foreign_snapshot(f"{clone}@zr_1")
    try:
        site.datasets.promote(clone, made.guid)
    except ZrError as error:
        same(error.reason, "zfs-failed", str(error))
    else:
        raise AssertionError("promoted over a snapshot's name")
    same(one(site, clone).origin, f"{name}@zr_1", "a clone still")


def check_properties_are_copied_but_the_gate(site: ZfsSite) -> None:
    """Local ones; canmount and readonly stay closed."""
    name, clone = site.fresh("rich"), site.fresh("poor")
    site.make_filesystem(name)
    first = snapshot(site, name, "zr_1")
    for word, value in (("compression", "off"), ("canmount", "on"), ("quota", "1073741824")):
        site.set_property(name, word, value)
    site.port.set_user_properties(name, {"zr:lane": "l"})
    site.datasets.clone(f"{name}@zr_1", first.guid, clone)
    made = one(site, clone)
    for _ in range(2):
        site.datasets.copy_properties(name, clone, made.guid)
    now = one(site, clone)
    wanted = {"compression": "off", "quota": "1073741824", "zr:lane": "l"}
    same({n: now.local.get(n) for n in wanted}, wanted, "copied")
    same((now.canmount, now.readonly), ("noauto", True), "the gate")


def check_originals_are_restored(site: ZfsSite) -> None:
    """What came beside the stream, but never a mount point over the system."""
    name = site.fresh("replica")
    site.make_filesystem(name)
    found = one(site, name)
    site.datasets.set_gate(name, found.guid, {"canmount": "noauto", "readonly": "on"})
    carried = {"zr:orig:compression": "off", "zr:orig:canmount": "on", "zr:orig:volsize": "5"}
    site.port.set_user_properties(name, carried)
    site.datasets.restore_properties(name, found.guid)
    now = one(site, name)
    same((now.local.get("compression"), now.canmount), ("off", "noauto"), "restored")
    site.port.set_user_properties(name, {"zr:orig:mountpoint": "/etc/radio"})
    with refused(Refused, "bad-mountpoint"):
        site.datasets.restore_properties(name, found.guid)


def check_the_gate(site: ZfsSite) -> None:
    """Closed, open, closed; of a volume only readonly."""
    name, volume = site.fresh("gate"), site.fresh("disk")
    site.make_filesystem(name)
    site.make_volume(volume)
    for readonly in ("on", "off", "on"):
        for dataset in (name, volume):
            guid = one(site, dataset).guid
            values = {"canmount": "noauto", "readonly": readonly}
            site.datasets.set_gate(dataset, guid, values)
            same(one(site, dataset).readonly, readonly == "on", dataset)
    same(one(site, name).canmount, "noauto", "of the file system")
    same("canmount" in one(site, volume).local, False, "of the volume")


def check_mounts(site: ZfsSite) -> None:
    """Unmounted, mounted, each twice."""
    name = site.fresh("mounts")
    site.make_filesystem(name)
    guid = one(site, name).guid
    for _ in range(2):
        site.datasets.unmount(name, guid)
        same(one(site, name).mounted, False, "unmounted")
        site.datasets.unmount(name, guid)
        site.datasets.mount(name, guid)
        same(one(site, name).mounted, True, "mounted")
        site.datasets.mount(name, guid)


def check_a_key_that_has_to_be_typed(site: ZfsSite) -> None:
    """It is not loaded, and nobody waits for somebody to type it."""
    name = site.fresh("key")
    site.make_encrypted(name)
    found = one(site, name)
    site.datasets.load_key(name, found.guid)
    site.unload_key(name)
    same(one(site, name), replace(found, key_loaded=False, mounted=False), "unloaded")
    with refused(Standing, "key-missing"):
        site.datasets.load_key(name, found.guid)


def check_the_right_to_receive(site: ZfsSite) -> None:
    """Given and taken, each twice."""
    name = site.fresh("right")
    site.make_filesystem(name)
    for _ in range(2):
        for _ in range(2):
            site.datasets.allow_receive(name)
            same(site.datasets.observe_receive_right(name), True, "given")
        for _ in range(2):
            site.datasets.forbid_receive(name)
            same(site.datasets.observe_receive_right(name), False, "taken")
    with refused(Standing, "dataset-missing"):
        site.datasets.allow_receive(site.fresh("none"))
