"""The kit of ports/datasets.py: what a change of roles does, each verb twice, and the whole rescue.

The order rename → clone → promote is that of the design; the other way fails on encryption roots.
"""

from dataclasses import replace

from zrepl_py.errors import Passing, Refused, Standing, ZrError
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
    found = [d for d in site.datasets.observe_tree(dataset) if d.name == dataset]
    true(bool(found), f"there is no {dataset}")
    return found[0]


def check_a_tree_is_observed(site: ZfsSite) -> None:
    """Root and all below, by name, with what is set on each; nothing where there is nothing."""
    root = site.fresh("tree")
    same(site.datasets.observe_tree(root), [], "before")
    site.make_filesystem(root)
    site.make_filesystem(f"{root}/b")
    site.make_volume(f"{root}/a")
    site.set_property(root, "readonly", "on")
    site.port.set_user_properties([f"{root}/b"], {"zr:lane": "x"})
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
    other = site.fresh("other")
    site.make_filesystem(other)
    first, its = snapshot(site, name, "zr_1"), snapshot(site, other, "zr_2")
    since = {name: first.guid, other: its.guid}

    def written(guids: dict[str, int]) -> dict[str, object]:
        said = site.datasets.observe_written(guids)
        return {n: bool(value) if value is not None else None for n, value in said.items()}

    same(written(since), {name: False, other: False}, "nothing")
    site.write(name, "b", b"after")
    same(written(since), {name: True, other: False}, "something")
    second = snapshot(site, name, "zr_2")
    same(written({name: second.guid}), {name: False}, "nothing again")
    same(written({name: first.guid}), {name: True}, "since the first")
    unlike = {name: first.guid ^ 1, other: its.guid}
    same(written(unlike), {name: None, other: False}, "since no snapshot of it")
    with refused(Standing, "dataset-missing"):
        site.datasets.observe_written({site.fresh("none"): first.guid, **since})


def check_many_at_once(site: ZfsSite) -> None:
    """What is not there is left out; each is there once."""
    root, none = site.fresh("many"), site.fresh("none")
    site.make_filesystem(root)
    site.make_filesystem(f"{root}/a")
    taken = snapshot(site, f"{root}/a", "zr_1")
    site.port.bookmark(f"{root}/a@zr_1", f"{root}/a#mark")
    found = site.datasets.observe_trees([f"{root}/a", none, root])
    same([d.name for d in found], [root, f"{root}/a"], "trees")
    same(found, site.datasets.observe_tree(root), "the same")
    same(site.datasets.observe_trees([none]), [], "none")
    histories = site.datasets.observe_histories([root, none, f"{root}/a"])
    same(histories.keys(), {root, f"{root}/a"}, "histories")
    same([s.guid for s in histories[f"{root}/a"].snapshots], [taken.guid], "its snapshot")
    same(histories[f"{root}/a"], site.port.observe_history(f"{root}/a"), "its bookmark too")
    same(histories[root].snapshots, (), "no child's")


def check_a_change_of_snapshots_shows(site: ZfsSite) -> None:
    """When one was taken or destroyed last: to the second, by this machine's clock."""
    name = site.fresh("changes")
    site.make_filesystem(name)
    snapshot(site, name, "zr_1")
    first = one(site, name).changed_at
    true(first is not None, "a snapshot was taken")
    same(one(site, name).changed_at, first, "nothing happened")
    same(one(site, name).written_bytes is not None, True, "since the newest")


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


def check_a_clone_of_a_live_logs_snapshot_has_nothing_written(site: ZfsSite) -> None:
    """ZFS counts the log's header as written (model/properties.CLONED_PROPERTY)."""
    root, clone = site.fresh("of"), site.fresh("clone")
    site.make_filesystem(root)
    site.snapshot_beside_log(root, "zr_1")
    base = guid_of(site, root, "zr_1")
    site.datasets.clone(f"{root}@zr_1", base, clone)
    site.datasets.promote(clone, one(site, clone).guid)
    same(site.datasets.observe_written({clone: base}), {clone: 0}, "written by nobody")


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
    site.port.set_user_properties([name], {"zr:lane": "l"})
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
    site.datasets.set_gate({name: found.guid}, {"canmount": "noauto", "readonly": "on"})
    carried = {"zr:orig:compression": "off", "zr:orig:canmount": "on", "zr:orig:volsize": "5"}
    site.port.set_user_properties([name], carried)
    site.datasets.restore_properties({name: found.guid})
    now = one(site, name)
    same((now.local.get("compression"), now.canmount), ("off", "noauto"), "restored")
    site.port.set_user_properties([name], {"zr:orig:mountpoint": "/etc/radio"})
    with refused(Refused, "bad-mountpoint"):
        site.datasets.restore_properties({name: found.guid})


def check_the_gate(site: ZfsSite) -> None:
    """Closed, open, closed; of a volume only readonly."""
    name, volume = site.fresh("gate"), site.fresh("disk")
    site.make_filesystem(name)
    site.make_volume(volume)
    for readonly in ("on", "off", "on"):
        guids = {dataset: one(site, dataset).guid for dataset in (name, volume)}
        site.datasets.set_gate(guids, {"canmount": "noauto", "readonly": readonly})
        for dataset in guids:
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
        site.datasets.mount({name: guid})
        same(one(site, name).mounted, True, "mounted")
        site.datasets.mount({name: guid})


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
        site.datasets.allow_receive(f"{site.fresh('none')}/below")


def check_the_right_to_receive_what_is_not_there_yet(site: ZfsSite) -> None:
    """What is above has it, for itself alone, until the new one is there and has its own."""
    above = site.fresh("above")
    new, beside = f"{above}/new", f"{above}/beside"
    for name in (above, beside):
        site.make_filesystem(name)
    for _ in range(2):
        site.datasets.allow_receive(new)
        same(site.datasets.observe_receive_right(new), True, "to be made")
        same(site.datasets.observe_receive_right(beside), False, "beside")
    site.make_filesystem(new)
    same(site.datasets.observe_receive_right(new), False, "made, by whomever")
    site.datasets.allow_receive(new)
    same(site.datasets.observe_receive_right(new), True, "its own")
    same(site.datasets.observe_receive_right(f"{above}/other"), False, "no more new ones")
    site.datasets.forbid_receive(new)
    site.datasets.allow_receive(f"{above}/other")
    for _ in range(2):
        site.datasets.forbid_receive(f"{above}/other")
        same(site.datasets.observe_receive_right(f"{above}/other"), False, "given up")


def check_the_right_to_receive_is_taken_from_one_alone(site: ZfsSite) -> None:
    """It came from above, and stays with what is beside."""
    root = site.fresh("rights")
    for name in ("", "/way", "/way/one", "/way/one/below", "/way/two", "/three"):
        site.make_filesystem(f"{root}{name}")
    site.datasets.allow_receive(root)
    for _ in range(2):
        site.datasets.forbid_receive(f"{root}/way/one")
        for name in ("", "/way", "/way/two", "/three"):
            same(site.datasets.observe_receive_right(f"{root}{name}"), True, name)
        for name in ("/way/one", "/way/one/below"):
            same(site.datasets.observe_receive_right(f"{root}{name}"), False, name)
    site.datasets.allow_receive(f"{root}/way/one")
    same(site.datasets.observe_receive_right(f"{root}/way/one/below"), True, "given again")


def check_a_rescue_is_dropped(site: ZfsSite) -> None:
    """Of it nothing stays; what is no rescue, or another one by now, or is stood upon, does."""
    outside = site.fresh("outside")
    site.make_filesystem(outside)
    with refused(Refused, "not-a-rescue"):
        site.datasets.drop_rescue(outside, one(site, outside).guid)
    label = "1-00000000-" + f"{one(site, outside).guid & 0xFFFFFFFF:08x}"
    root = f"{outside.partition('/')[0]}/zr-rescue/{label}"
    site.port.create_placeholder(root)
    aside, foreign, clone = f"{root}/a", f"{root}/b", site.fresh("clone")
    site.make_filesystem(aside)
    snapshot(site, aside, "zr_1")
    site.datasets.snapshot_tree(aside, f"zr-rescue_{label}")
    site.port.hold((f"{aside}@zr-rescue_{label}",), "zr_rescue")
    site.make_filesystem(foreign)
    guid = one(site, aside).guid
    with refused(Passing, "busy"):
        site.datasets.drop_rescue(root, one(site, root).guid)
    for name, meant in ((aside, guid ^ 1), (foreign, one(site, foreign).guid)):
        with refused(Refused, "not-a-rescue"):
            site.datasets.drop_rescue(name, meant)
    site.make_clone(f"{aside}@zr_1", clone)
    with refused(Passing, "busy"):
        site.datasets.drop_rescue(aside, guid)
    site.destroy(clone)
    site.destroy(foreign)
    for _ in range(2):
        site.datasets.drop_rescue(aside, guid)
    site.datasets.drop_rescue(root, one(site, root).guid)
    same(site.datasets.observe_tree(root), [], "all of it")
    true(bool(site.datasets.observe_tree(outside)), "and nothing else")
