"""Checks: what the model once had otherwise than real ZFS; each was found by tests/differential.

Most are about moments that no plan of zr aims at, but that a crash, a person or another program
brings about: small streams that are cut, datasets that consist of a partial receive, odd parents.
"""

import os

from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.model.observation import DestroyOutcome, Kind, ResumePoint, Unchanged, Unfinished
from zrepl_py.testing.kits.zfs_site import (
    Leg,
    ZfsSite,
    check_error,
    guid_of,
    move,
    names_of,
    refused,
    replicate,
    same,
    snapshot,
    true,
)
from zrepl_py.testing.kits.zfs_streams import MANY, increment, source_of

_HEAD_BYTES = 312
"""A BEGIN record, as the model's and as real ZFS's."""
_TAG = "zr_base_0123abcd"


def _stream(site: ZfsSite, name: str, base: str | None = None) -> bytes:
    """A small stream, whole: it has to fit into a pipe."""
    near, far = os.pipe()
    site.port.send(name, base, raw=False, fd=far, resume=None)
    with os.fdopen(near, "rb") as stream:
        return stream.read()


def _receive(site: ZfsSite, name: str, content: bytes, guid: int, from_guid: int = 0) -> None:
    near, far = os.pipe()
    os.write(far, content)
    os.close(far)
    site.port.receive(name, fd=near, to_guid=guid, from_guid=from_guid, raw=False)


def check_little_is_kept_too(site: ZfsSite) -> None:
    """A cut stream of which not even a file's content came leaves a partial receive."""
    a, r = source_of(site, "little"), site.fresh("little-r")
    guid = guid_of(site, a, "zr_1")
    content = _stream(site, f"{a}@zr_1")
    with refused(Passing, "stream-cut"):
        _receive(site, f"{r}@zr_1", content[: (len(content) + _HEAD_BYTES) // 2], guid)
    same([d.name for d in site.port.observe_datasets(r)], [r], "listed")
    point = site.port.observe_resume(r)
    if point is None:
        raise AssertionError("nothing was kept")
    same((point.to_guid, point.from_guid), (guid, 0), "of")
    resume = (point.object, point.offset)
    move(site.port, Leg(f"{a}@zr_1", f"{r}@zr_1", guid, resume=resume)).check()
    same(site.read(f"{r}@zr_1", "f"), b"one", "content")


def check_begin_alone_leaves_nothing(site: ZfsSite) -> None:
    """A stream that ends behind BEGIN creates nothing; what forbids it is said all the same."""
    a, r = source_of(site, "begin"), site.fresh("begin-r")
    guid = guid_of(site, a, "zr_1")
    begin = _stream(site, f"{a}@zr_1")[:_HEAD_BYTES]
    with refused(Passing, "stream-cut"):
        _receive(site, f"{r}@zr_1", begin, guid)
    with refused(Standing, "dataset-missing"):
        site.port.observe_datasets(r)
    replicate(site, a, r, "zr_1")
    with refused(Refused, "target-exists"):
        _receive(site, f"{r}@zr_1", begin, guid)


def check_increment_of_nothing(site: ZfsSite) -> None:
    """It is two records: a cut leaves nothing of it, and the replica counts as unchanged."""
    a, r = source_of(site, "nothing"), site.fresh("nothing-r")
    replicate(site, a, r, "zr_1")
    snapshot(site, a, "zr_2")
    leg = increment(site, a, r, "zr_2", "@zr_1")
    content = _stream(site, f"{a}@zr_2", f"{a}@zr_1")
    with refused(Passing, "stream-cut"):
        _receive(site, f"{r}@zr_2", content[:-1], leg.to_guid, leg.from_guid)
    true(site.port.observe_resume(r) is None, "a partial receive of nothing was kept")
    move(site.port, leg).check()
    outcome = site.port.snapshot_changed({r: "zr_1"}, "zr_3")[r]
    same(outcome, Unchanged(), "the replica since the version before")


def check_partial_needs_its_base(site: ZfsSite) -> None:
    """The version a partial increment started from cannot go; others can."""
    a, r = source_of(site, "itsbase"), site.fresh("itsbase-r")
    replicate(site, a, r, "zr_1")
    base = f"{r}@zr_1"
    guids = {base: guid_of(site, a, "zr_1")}
    point = _cut_increment(site, a, r)
    same(site.port.destroy_snapshots(guids), [DestroyOutcome(base, False, "cloned")], "base")
    same(site.port.observe_resume(r), point, "resume point")
    site.port.abort_receive(r, point.to_guid)
    same(site.port.destroy_snapshots(guids), [DestroyOutcome(base, True)], "afterwards")


def check_change_beneath_a_partial(site: ZfsSite) -> None:
    """Who writes to a replica between cut and resumption stops it at the end; the partial stays."""
    a, r = source_of(site, "beneath"), site.fresh("beneath-r")
    replicate(site, a, r, "zr_1")
    point = _cut_increment(site, a, r)
    site.write(r, "f", b"precious")
    leg = increment(site, a, r, "zr_2", "@zr_1")
    resumed = Leg(
        leg.source, leg.target, leg.to_guid, leg.base, leg.from_guid,
        resume=(point.object, point.offset),
    )  # fmt: skip
    check_error(move(site.port, resumed).received, Refused, "target-modified")
    left = site.port.observe_resume(r)
    same(left.to_guid if left else 0, leg.to_guid, "of the partial receive")
    same(names_of(site, r), ["zr_1"], "snapshots")


def _cut_increment(site: ZfsSite, source: str, replica: str) -> ResumePoint:
    """@zr_2, of which half arrives."""
    site.write(source, "g", MANY)
    snapshot(site, source, "zr_2")
    leg = increment(site, source, replica, "zr_2", "@zr_1")
    leg = Leg(
        leg.source, leg.target, leg.to_guid, leg.base, leg.from_guid,
        cut_after_bytes=len(MANY) // 2,
    )  # fmt: skip
    check_error(move(site.port, leg).received, Passing, "stream-cut")
    point = site.port.observe_resume(replica)
    if point is None:
        raise AssertionError("nothing was kept of a stream that was cut")
    return point


def check_snapshot_of_partial(site: ZfsSite) -> None:
    """No snapshot can be taken of a first partial receive; the others of the call are taken."""
    a, r = source_of(site, "partial"), site.fresh("partial-r")
    guid = guid_of(site, a, "zr_1")
    content = _stream(site, f"{a}@zr_1")
    with refused(Passing, "stream-cut"):
        _receive(site, f"{r}@zr_1", content[: (len(content) + _HEAD_BYTES) // 2], guid)
    outcomes = site.port.snapshot_changed({a: None, r: None}, "zr_2")
    same(outcomes[r], Unfinished(), "outcome of what is not finished")
    same(names_of(site, a), ["zr_1", "zr_2"], "snapshots")
    site.port.abort_receive(r, guid)


def check_first_name_that_fails_is_told(site: ZfsSite) -> None:
    """Of several reasons why nothing is taken, that of the first dataset by name."""
    top = site.fresh("reasons")
    site.make_filesystem(top)
    site.make_filesystem(f"{top}/b")
    snapshot(site, f"{top}/b", "zr_1")
    with refused(Refused, "snapshot-exists"):
        site.port.snapshot_changed({f"{top}/c": None, f"{top}/b": None}, "zr_1")
    with refused(Standing, "dataset-missing"):
        site.port.snapshot_changed({f"{top}/a": None, f"{top}/b": None}, "zr_1")


def check_key_is_asked_for_first(site: ZfsSite) -> None:
    """A plain stream onto an encrypted replica without its key: that, before anything else."""
    a, e, r = source_of(site, "keyfirst"), site.fresh("keyfirst-e"), site.fresh("keyfirst-r")
    site.make_encrypted(e)
    snapshot(site, e, "zr_1")
    replicate(site, e, r, "zr_1", raw=True)
    moved = move(site.port, Leg(f"{a}@zr_1", f"{r}@zr_2", guid_of(site, a, "zr_1")))
    check_error(moved.received, Standing, "key-missing")
    same(names_of(site, r), ["zr_1"], "snapshots")


def check_nothing_is_mounted_below_a_placeholder(site: ZfsSite) -> None:
    """A file system that is created or cloned there inherits that it has no mountpoint."""
    a, top = source_of(site, "below"), site.fresh("below-p")
    site.port.create_placeholder(top)
    site.make_filesystem(f"{top}/made")
    site.make_clone(f"{a}@zr_1", f"{top}/cloned")
    same({d.mounted for d in site.port.observe_datasets(top)}, {False}, "mounted")
    site.destroy(f"{top}/cloned")


def check_clone_of_volume(site: ZfsSite) -> None:
    """It is a volume."""
    v, c = site.fresh("volclone"), site.fresh("volclone-c")
    site.make_volume(v)
    snapshot(site, v, "zr_1")
    site.make_clone(f"{v}@zr_1", c)
    (seen,) = site.port.observe_datasets(c)
    same(seen.kind, Kind.VOLUME, "kind")
    true(not seen.mounted, "a volume is mounted")


def check_placeholder_where_none_can_be(site: ZfsSite) -> None:
    """Below a volume, and below an encrypted dataset without its key."""
    v, e = site.fresh("badholder-v"), site.fresh("badholder-e")
    site.make_volume(v)
    site.make_encrypted(e)
    site.unload_key(e)
    with refused(Refused, "bad-name"):
        site.port.create_placeholder(f"{v}/x")
    with refused(Standing, "key-missing"):
        site.port.create_placeholder(f"{e}/x")


def check_hold_goes_on_after_a_missing_one(site: ZfsSite) -> None:
    """One is missing, one held already: the third is held all the same."""
    a, b = source_of(site, "holdmix"), source_of(site, "holdmix-b")
    held, fresh = f"{a}@zr_1", f"{b}@zr_1"
    site.port.hold([held], _TAG)
    with refused(Standing, "snapshot-missing"):
        site.port.hold([f"{a}@zr_0", held, fresh], _TAG)
    tags = frozenset({_TAG})
    same(site.port.observe_holds([held, fresh]), {held: tags, fresh: tags}, "holds")
    site.port.release([held, fresh], _TAG)


def check_receive_below_a_volume(site: ZfsSite) -> None:
    """Never; nothing is created."""
    a, v = source_of(site, "volbelow"), site.fresh("volbelow-v")
    site.make_volume(v)
    moved = move(site.port, Leg(f"{a}@zr_1", f"{v}/x@zr_1", guid_of(site, a, "zr_1")))
    check_error(moved.received, Refused, "bad-name")
    same([d.name for d in site.port.observe_datasets(v)], [v], "listed")


def check_volume_over_a_parent(site: ZfsSite) -> None:
    """A volume's stream into a file system with datasets below it: said before the base."""
    v, r = site.fresh("volover"), source_of(site, "volover-r")
    site.make_volume(v)
    snapshot(site, v, "zr_1")
    site.write_volume(v, b"two" * 4096)
    snapshot(site, v, "zr_2")
    first, second = (s.guid for s in site.port.observe_history(v).snapshots)
    content = _stream(site, f"{v}@zr_2", f"{v}@zr_1")
    with refused(Refused, "base-mismatch"):
        _receive(site, f"{r}@zr_2", content, second, first)
    site.make_filesystem(f"{r}/child")
    with refused(Refused, "bad-name"):
        _receive(site, f"{r}@zr_2", content, second, first)


def check_bookmark_of_another_dataset(site: ZfsSite) -> None:
    """Never made, but in a clone: there, of the version it was made of."""
    a, b = source_of(site, "mark"), source_of(site, "mark-other")
    with refused(Standing, "zfs-failed"):
        site.port.bookmark(f"{a}@zr_1", f"{b}#zr_b")
    same(site.port.observe_history(b).bookmarks, (), "bookmarks")
    with refused(Standing, "snapshot-missing"):
        site.port.bookmark(f"{a}@zr_1", f"{b}-none#zr_b")
    clone = site.fresh("mark-clone")
    site.make_clone(f"{a}@zr_1", clone)
    site.port.bookmark(f"{a}@zr_1", f"{clone}#zr_b")
    same([m.name for m in site.port.observe_history(clone).bookmarks], ["zr_b"], "of a clone")
    site.destroy(clone)


def check_promoted(site: ZfsSite) -> None:
    """A promoted clone has the snapshots and bookmarks, and the other is a clone of it."""
    a, heir = source_of(site, "promoted"), site.fresh("heir")
    port = site.port
    same(port.observe_origin(a), None, "no clone")
    port.bookmark(f"{a}@zr_1", f"{a}#zr_b")
    before = port.observe_history(a).snapshots
    newest = before[-1].name
    site.make_clone(f"{a}@{newest}", heir)
    same(port.observe_origin(heir), f"{a}@{newest}", "of the clone")
    port.snapshot_changed({a: None, heir: None}, "zr_later")
    site.promote(heir)
    same([s.name for s in port.observe_history(a).snapshots], ["zr_later"], "what is left")
    same(port.observe_history(a).bookmarks, (), "its bookmarks")
    same(port.observe_history(heir).snapshots[:-1], before, "the clone's")
    same([m.name for m in port.observe_history(heir).bookmarks], ["zr_b"], "the clone's bookmarks")
    same(port.observe_origin(a), f"{heir}@{newest}", "of what it was cloned from")
    same(port.observe_origin(heir), None, "of the promoted one")
    port.bookmark(f"{heir}@zr_1", f"{a}#zr_cursor")
    same([m.guid for m in port.observe_history(a).bookmarks], [before[0].guid], "an older one")
    site.destroy(a)


def check_send_without_key(site: ZfsSite) -> None:
    """Where the key is missing, that is said, even of a snapshot that does not exist."""
    e = site.fresh("nokey")
    site.make_encrypted(e)
    snapshot(site, e, "zr_1")
    site.unload_key(e)
    for name in ("zr_1", "zr_2"):
        near, far = os.pipe()
        with refused(Standing, "key-missing"):
            site.port.send(f"{e}@{name}", None, raw=False, fd=far, resume=None)
        os.close(near)
