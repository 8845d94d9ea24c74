"""Checks: holds, bookmarks, and destroying by guid."""

import os

from zrepl_py.errors import Bug, Refused, Standing
from zrepl_py.model.observation import Dependents, DestroyOutcome
from zrepl_py.testing.kits.zfs_site import (
    ZfsSite,
    guid_of,
    names_of,
    refused,
    same,
    sending,
    snapshot,
)

TAG = "zr_base_0123abcd"


def _with_snapshots(site: ZfsSite, word: str, *names: str) -> str:
    dataset = site.fresh(word)
    site.make_filesystem(dataset)
    for name in names:
        site.write(dataset, "f", name.encode())
        snapshot(site, dataset, name)
    return dataset


def check_hold_is_idempotent(site: ZfsSite) -> None:
    """Twice is once, also where only one of two is held; foreign tags are seen and stay."""
    a = _with_snapshots(site, "hold", "zr_1", "zr_2")
    one, two = f"{a}@zr_1", f"{a}@zr_2"
    site.port.hold([one], "someone else's: tag")
    site.port.hold([one], TAG)
    site.port.hold([one, two], TAG)
    site.port.hold([one, two], TAG)
    expected = {one: frozenset({TAG, "someone else's: tag"}), two: frozenset({TAG})}
    same(site.port.observe_holds([one, two, f"{a}@zr_3"]), expected, "holds")
    site.port.release([one, two], TAG)
    site.port.release([one, two, f"{a}@zr_3"], TAG)
    expected = {one: frozenset({"someone else's: tag"}), two: frozenset()}
    same(site.port.observe_holds([one, two]), expected, "holds after release")
    site.port.release([one], "someone else's: tag")


def check_hold_of_missing_is_reported(site: ZfsSite) -> None:
    """The others are held."""
    a = _with_snapshots(site, "hold-missing", "zr_1")
    with refused(Standing, "snapshot-missing"):
        site.port.hold([f"{a}@zr_0", f"{a}@zr_1"], TAG)
    same(site.port.observe_holds([f"{a}@zr_1"]), {f"{a}@zr_1": frozenset({TAG})}, "holds")
    site.port.release([f"{a}@zr_1"], TAG)
    with refused(Standing, "snapshot-missing"):
        site.port.hold([f"{site.fresh('hold-none')}@zr_1"], TAG)
    site.port.release([f"{site.fresh('hold-none')}@zr_1"], TAG)


def check_destroy_by_guid(site: ZfsSite) -> None:
    """What can go goes; held, cloned, gone and different ones are left alone and reported."""
    names = ("zr_held", "zr_cloned", "zr_other", "zr_free", "zr_free2")
    a = _with_snapshots(site, "destroy", *names)
    guids = {f"{a}@{name}": guid_of(site, a, name) for name in names}
    clone = site.fresh("destroy-clone")
    site.port.hold([f"{a}@zr_held"], TAG)
    site.make_clone(f"{a}@zr_cloned", clone)
    guids[f"{a}@zr_other"] ^= 1
    guids[f"{a}@zr_gone"] = 5
    guids[f"{site.fresh('destroy-none')}@zr_gone"] = 5
    outcomes = site.port.destroy_snapshots(guids)
    causes = ["held", "cloned", "other-guid", "", "", "gone", "gone"]
    expected = [
        DestroyOutcome(name, not cause, cause) for name, cause in zip(guids, causes, strict=True)
    ]
    same(outcomes, expected, "outcomes")
    same(names_of(site, a), ["zr_held", "zr_cloned", "zr_other"], "what is left")
    site.destroy(clone)
    site.port.release([f"{a}@zr_held"], TAG)


def check_dependents_are_named(site: ZfsSite) -> None:
    """Tags and clones by name, a send while it runs; a missing snapshot is left out."""
    names = ("zr_held", "zr_cloned", "zr_both", "zr_sent", "zr_free")
    a = _with_snapshots(site, "dependents", *names[:3])
    site.write(a, "large", os.urandom(4 << 20))
    for name in names[3:]:
        snapshot(site, a, name)
    held, cloned, both, sent, free = (f"{a}@{name}" for name in names)
    first, second = site.fresh("dependents-1"), site.fresh("dependents-2")
    site.port.hold([held, both], TAG)
    site.port.hold([held], "of: a person")
    site.make_clone(cloned, first)
    site.make_clone(both, second)
    expected = {
        held: Dependents(frozenset({TAG, "of: a person"})),
        cloned: Dependents(clones=frozenset({first})),
        both: Dependents(frozenset({TAG}), frozenset({second})),
        sent: Dependents(),
        free: Dependents(),
    }
    same(site.port.observe_dependents([*expected, f"{a}@zr_gone"]), expected, "dependents")
    same(site.port.observe_dependents([f"{site.fresh('none')}@zr_1"]), {}, "of no dataset")
    with sending(site.port, sent):
        seen = site.port.observe_dependents([sent, free])
        same(seen, {sent: Dependents(in_use=True), free: Dependents()}, "while it is sent")
    same(site.port.observe_dependents([sent]), {sent: Dependents()}, "after it was sent")
    site.destroy(first)
    site.port.release([held], "of: a person")
    site.port.release([held, both], TAG)
    left = {
        name: seen for name, seen in site.port.observe_dependents(list(expected)).items() if seen
    }
    same(left, {both: Dependents(clones=frozenset({second}))}, "after some were released")
    site.destroy(second)


def check_destroy_refuses_foreign_names(site: ZfsSite) -> None:
    """A name that zr did not make stops the whole call."""
    a = _with_snapshots(site, "destroy-foreign", "zr_1")
    site.foreign_snapshot(f"{a}@weekly")
    guids = {f"{a}@{name}": guid_of(site, a, name) for name in ("zr_1", "weekly")}
    with refused(Bug, "foreign-destroy"):
        site.port.destroy_snapshots(guids)
    for name in (a, f"{a}@", f"{a}#zr_1", f"{a}@zr"):
        with refused(Bug, "foreign-destroy"):
            site.port.destroy_snapshots({name: 1})
    with refused(Bug, "foreign-destroy"):
        site.port.destroy_bookmarks({f"{a}#weekly": guids[f"{a}@weekly"]})
    same(names_of(site, a), ["zr_1", "weekly"], "snapshots")


def check_bookmark_is_idempotent(site: ZfsSite) -> None:
    """It has the snapshot's guid and txg; the same again is no error, another one is."""
    a = _with_snapshots(site, "bookmark", "zr_1", "zr_2")
    site.port.bookmark(f"{a}@zr_1", f"{a}#zr_b")
    site.port.bookmark(f"{a}@zr_1", f"{a}#zr_b")
    site.port.bookmark(f"{a}#zr_b", f"{a}#zr_c")
    site.port.bookmark(f"{a}#zr_b", f"{a}#zr_c")
    history = site.port.observe_history(a)
    of = history.snapshots[0]
    seen = [(b.name, b.guid, b.createtxg, b.created_at) for b in history.bookmarks]
    same(seen, [(n, of.guid, of.createtxg, of.created_at) for n in ("zr_b", "zr_c")], "bookmarks")
    with refused(Refused, "snapshot-exists"):
        site.port.bookmark(f"{a}@zr_2", f"{a}#zr_b")
    with refused(Standing, "snapshot-missing"):
        site.port.bookmark(f"{a}@zr_3", f"{a}#zr_d")
    with refused(Standing, "snapshot-missing"):
        site.port.bookmark(f"{a}#zr_z", f"{a}#zr_d")
    with refused(Standing, "snapshot-missing"):
        site.port.bookmark(f"{a}@zr_3", f"{a}#zr_b")


def check_bookmark_outlives_its_snapshot(site: ZfsSite) -> None:
    """The history still has its guid as a version."""
    a = _with_snapshots(site, "outlives", "zr_1")
    guid = guid_of(site, a, "zr_1")
    site.port.bookmark(f"{a}@zr_1", f"{a}#zr_b")
    site.port.destroy_snapshots({f"{a}@zr_1": guid})
    history = site.port.observe_history(a)
    same((history.snapshots, history.bookmarks[0].guid), ((), guid), "history")
    site.port.bookmark(f"{a}#zr_b", f"{a}#zr_c")


def check_destroy_bookmarks_by_guid(site: ZfsSite) -> None:
    """Gone and different ones are reported, ours go."""
    a = _with_snapshots(site, "destroy-b", "zr_1")
    guid = guid_of(site, a, "zr_1")
    for name in ("zr_x", "zr_y"):
        site.port.bookmark(f"{a}@zr_1", f"{a}#{name}")
    outcomes = site.port.destroy_bookmarks(
        {f"{a}#zr_x": guid, f"{a}#zr_y": guid ^ 1, f"{a}#zr_z": guid}
    )
    expected = [
        DestroyOutcome(f"{a}#zr_x", True),
        DestroyOutcome(f"{a}#zr_y", False, "other-guid"),
        DestroyOutcome(f"{a}#zr_z", False, "gone"),
    ]
    same(outcomes, expected, "outcomes")
    same([b.name for b in site.port.observe_history(a).bookmarks], ["zr_y"], "bookmarks left")
