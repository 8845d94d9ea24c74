"""Checks: an increment that becomes a clone of its base on the receiving side, as a rescue does."""

from dataclasses import replace

from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.testing.kits.zfs_site import (
    Leg,
    ZfsSite,
    check_error,
    guid_of,
    move,
    names_of,
    replicate,
    same,
    snapshot,
    true,
)
from zrepl_py.testing.kits.zfs_streams import MANY, source_of

RESCUE = "zr-rescue_1-00000001-00000002"


def tail_of(site: ZfsSite, word: str, *, raw: bool = False) -> Leg:
    """A dataset on both sides; of the sending one a clone that has more: how that one travels."""
    a, r = site.fresh(word), site.fresh(f"{word}-r")
    (site.make_encrypted if raw else site.make_filesystem)(a)
    site.write(a, "f", b"one")
    snapshot(site, a, "zr_1")
    replicate(site, a, r, "zr_1", raw=raw)
    tail, to = site.fresh(f"{word}-tail"), site.fresh(f"{word}-to")
    site.make_clone(f"{a}@zr_1", tail)
    site.write(tail, "g", MANY)
    site.foreign_snapshot(f"{tail}@{RESCUE}")
    base, guid = guid_of(site, a, "zr_1"), guid_of(site, tail, RESCUE)
    return Leg(
        f"{tail}@{RESCUE}", f"{to}@{RESCUE}", guid, f"{a}@zr_1", base, raw, origin=f"{r}@zr_1"
    )


def check_a_clones_tail_becomes_a_clone(site: ZfsSite) -> None:
    """Of the replica's snapshot; with the old content and the new, not mounted; once."""
    leg = tail_of(site, "origin")
    move(site.port, leg).check()
    to = leg.target.partition("@")[0]
    same(site.port.observe_origin(to), leg.origin, "origin")
    same(guid_of(site, to, RESCUE), leg.to_guid, "guid")
    same(names_of(site, to), [RESCUE], "snapshots")
    same(site.read(leg.target, "f"), b"one", "content of the base")
    true(site.read(leg.target, "g") == MANY, "content of the tail")
    (seen,) = site.port.observe_datasets(to)
    true(not seen.mounted, "it is mounted")
    true(site.port.observe_resume(to) is None, "a whole receive left a resume point")
    check_error(move(site.port, leg).received, Refused, "target-exists")


def check_a_datasets_own_tail_becomes_a_clone(site: ZfsSite) -> None:
    """The sending dataset need be no clone; the replica goes on as it was."""
    a, r, to = source_of(site, "own"), site.fresh("own-r"), site.fresh("own-to")
    replicate(site, a, r, "zr_1")
    site.write(a, "f", b"two")
    snapshot(site, a, "zr_2")
    base, guid = guid_of(site, a, "zr_1"), guid_of(site, a, "zr_2")
    leg = Leg(f"{a}@zr_2", f"{to}@zr_2", guid, f"{a}@zr_1", base, origin=f"{r}@zr_1")
    move(site.port, leg).check()
    same(site.read(f"{to}@zr_2", "f"), b"two", "content")
    same(names_of(site, r), ["zr_1"], "snapshots of the replica")
    move(site.port, replace(leg, target=f"{r}@zr_2", origin=None)).check()
    same(site.read(f"{r}@zr_2", "f"), b"two", "content of the replica")


def check_a_raw_tail_becomes_a_clone(site: ZfsSite) -> None:
    """Also while no key is loaded."""
    leg = tail_of(site, "rawtail", raw=True)
    (tail,) = site.datasets.observe_trees([leg.source.partition("@")[0]])
    site.datasets.unmount(tail.name, tail.guid)
    site.unload_key((leg.base or "").partition("@")[0])
    move(site.port, leg).check()
    to = leg.target.partition("@")[0]
    same(site.port.observe_origin(to), leg.origin, "origin")
    (seen,) = site.port.observe_datasets(to)
    true(seen.encrypted, "it is not encrypted")


def check_of_a_cut_tail_nothing_is_kept(site: ZfsSite) -> None:
    """And the next attempt is a new one."""
    leg = tail_of(site, "cuttail")
    moved = move(site.port, replace(leg, cut_after_bytes=1 << 20))
    check_error(moved.received, Passing, "stream-cut")
    to = leg.target.partition("@")[0]
    true(site.port.observe_resume(to) is None, "something was kept for resuming")
    parent = to.rpartition("/")[0]
    names = [d.name for d in site.port.observe_datasets(parent)]
    true(to not in names, "something was left")
    move(site.port, leg).check()


def check_a_wrong_origin_is_refused(site: ZfsSite) -> None:
    """Another snapshot than the stream's base, and one that is not there."""
    leg = tail_of(site, "wrongorigin")
    other = source_of(site, "otherorigin")
    moved = move(site.port, replace(leg, origin=f"{other}@zr_1"))
    check_error(moved.received, Refused, "base-mismatch")
    moved = move(site.port, replace(leg, origin=f"{other}@zr_9"))
    check_error(moved.received, Standing, "dataset-missing")
    true(moved.received is not None, "a stream without its origin was received")


def check_a_clone_is_taken_only_with_its_origin(site: ZfsSite) -> None:
    """A stream of a clone is not received where the receiver has not said of what."""
    leg = tail_of(site, "unsaid")
    check_error(move(site.port, replace(leg, origin=None)).received, Refused, "unexpected-stream")
