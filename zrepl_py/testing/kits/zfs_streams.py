"""Checks: whole transfers, and what is refused before anything is written."""

import os
import threading

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.errors import Corrupt, Passing, Refused, Standing, ZrError
from zrepl_py.model.observation import DestroyOutcome
from zrepl_py.testing.kits.zfs_site import (
    PATIENCE_SECONDS,
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

MANY = os.urandom(1 << 20) * 4


def source_of(site: ZfsSite, word: str, content: bytes = b"one") -> str:
    """A file system with `f` and the snapshot zr_1."""
    dataset = site.fresh(word)
    site.make_filesystem(dataset)
    site.write(dataset, "f", content)
    snapshot(site, dataset, "zr_1")
    return dataset


def increment(
    site: ZfsSite, source: str, replica: str, to: str, base: str, raw: bool = False
) -> Leg:
    """The leg from `base` (`@zr_1` or `#zr_b`) to `@to`."""
    history = site.port.observe_history(source)
    versions = history.snapshots if base[0] == "@" else history.bookmarks
    from_guid = next(v.guid for v in versions if v.name == base[1:])
    to_guid = guid_of(site, source, to)
    return Leg(f"{source}@{to}", f"{replica}@{to}", to_guid, source + base, from_guid, raw)


def check_full(site: ZfsSite) -> None:
    """The replica has the snapshot's guid and content, and is not mounted."""
    a, r = source_of(site, "full", MANY), site.fresh("full-r")
    replicate(site, a, r, "zr_1")
    same(guid_of(site, r, "zr_1"), guid_of(site, a, "zr_1"), "guid")
    true(site.read(f"{r}@zr_1", "f") == MANY, "content differs")
    (seen,) = site.port.observe_datasets(r)
    same((seen.mounted, seen.encrypted), (False, False), "mounted, encrypted")
    true(site.port.observe_resume(r) is None, "a whole receive left a resume point")


def check_increment(site: ZfsSite) -> None:
    """Changed, new and removed files arrive; an empty increment too."""
    a, r = source_of(site, "incr"), site.fresh("incr-r")
    site.write(a, "removed", b"x")
    snapshot(site, a, "zr_2")
    replicate(site, a, r, "zr_2")
    site.write(a, "f", b"two")
    site.write(a, "new", MANY)
    site.remove(a, "removed")
    snapshot(site, a, "zr_3")
    snapshot(site, a, "zr_4")
    move(site.port, increment(site, a, r, "zr_3", "@zr_2")).check()
    move(site.port, increment(site, a, r, "zr_4", "@zr_3")).check()
    true(site.read(f"{r}@zr_4", "new") == MANY, "content of a new file differs")
    same(site.read(f"{r}@zr_4", "f"), b"two", "content of a changed file")
    same(site.read(f"{r}@zr_2", "removed"), b"x", "content of an old snapshot")
    try:
        site.read(f"{r}@zr_4", "removed")
    except FileNotFoundError:
        pass
    else:
        raise AssertionError("a removed file is still there")
    same(names_of(site, r), ["zr_2", "zr_3", "zr_4"], "snapshots")


def check_increment_from_bookmark(site: ZfsSite) -> None:
    """The base's snapshot is destroyed on the source: its bookmark is enough."""
    a, r = source_of(site, "frombm"), site.fresh("frombm-r")
    replicate(site, a, r, "zr_1")
    site.port.bookmark(f"{a}@zr_1", f"{a}#zr_b")
    site.port.destroy_snapshots({f"{a}@zr_1": guid_of(site, a, "zr_1")})
    site.write(a, "f", b"two")
    snapshot(site, a, "zr_2")
    move(site.port, increment(site, a, r, "zr_2", "#zr_b")).check()
    same(site.read(f"{r}@zr_2", "f"), b"two", "content")


def check_foreign_snapshot_on_replica_is_no_change(site: ZfsSite) -> None:
    """A snapshot that somebody takes of the replica does not stop the next increment."""
    a, r = source_of(site, "onreplica"), site.fresh("onreplica-r")
    replicate(site, a, r, "zr_1")
    site.foreign_snapshot(f"{r}@weekly")
    site.write(a, "f", b"two")
    snapshot(site, a, "zr_2")
    move(site.port, increment(site, a, r, "zr_2", "@zr_1")).check()
    same(names_of(site, r), ["zr_1", "weekly", "zr_2"], "snapshots")


def check_volume(site: ZfsSite) -> None:
    """Full and increment of a volume."""
    v, r = site.fresh("vol"), site.fresh("vol-r")
    site.make_volume(v)
    site.write_volume(v, b"a" * 16384)
    snapshot(site, v, "zr_1")
    replicate(site, v, r, "zr_1")
    site.write_volume(v, b"b" * 16384)
    snapshot(site, v, "zr_2")
    move(site.port, increment(site, v, r, "zr_2", "@zr_1")).check()
    same(site.port.observe_datasets(r)[0].kind, "volume", "kind")


def check_raw(site: ZfsSite) -> None:
    """An encrypted dataset travels raw, full and increment, while no key is loaded."""
    e, r = site.fresh("raw"), site.fresh("raw-r")
    site.make_encrypted(e)
    site.write(e, "f", MANY)
    snapshot(site, e, "zr_1")
    site.write(e, "f", b"two")
    snapshot(site, e, "zr_2")
    site.unload_key(e)
    replicate(site, e, r, "zr_1", raw=True)
    move(site.port, increment(site, e, r, "zr_2", "@zr_1", raw=True)).check()
    (seen,) = site.port.observe_datasets(r)
    same((seen.encrypted, seen.mounted), (True, False), "encrypted, mounted")
    same(names_of(site, r), ["zr_1", "zr_2"], "snapshots")
    moved = move(site.port, Leg(f"{e}@zr_1", f"{r}2@zr_1", guid_of(site, e, "zr_1")))
    check_error(moved.sent, Standing, "key-missing")
    check_error(moved.received, Passing, "stream-cut")


def check_raw_onto_plain(site: ZfsSite) -> None:
    """A raw increment does not fit a replica that is not encrypted."""
    e, r = site.fresh("rawplain"), site.fresh("rawplain-r")
    site.make_encrypted(e)
    for name in ("zr_1", "zr_2"):
        site.write(e, "f", name.encode())
        snapshot(site, e, name)
    replicate(site, e, r, "zr_1")
    leg = increment(site, e, r, "zr_2", "@zr_1", raw=True)
    check_error(move(site.port, leg).received, Refused, "base-mismatch")
    same(names_of(site, r), ["zr_1"], "snapshots")


def check_target_exists(site: ZfsSite) -> None:
    """A full stream never goes into an existing dataset, a snapshot never over another."""
    a, b = source_of(site, "exists-s"), source_of(site, "exists-t", b"mine")
    moved = move(site.port, Leg(f"{a}@zr_1", f"{b}@zr_9", guid_of(site, a, "zr_1")))
    check_error(moved.received, Refused, "target-exists")
    same(names_of(site, b), ["zr_1"], "snapshots")
    r = site.fresh("exists-r")
    replicate(site, a, r, "zr_1")
    site.write(a, "f", b"two")
    snapshot(site, a, "zr_2")
    leg = increment(site, a, r, "zr_2", "@zr_1")
    site.foreign_snapshot(f"{r}@zr_2")
    check_error(move(site.port, leg).received, Refused, "target-exists")


def check_target_modified(site: ZfsSite) -> None:
    """A replica that somebody changed is never rolled back."""
    a, r = source_of(site, "modified"), site.fresh("modified-r")
    replicate(site, a, r, "zr_1")
    site.write(a, "f", b"two")
    snapshot(site, a, "zr_2")
    site.write(r, "f", b"precious")
    check_error(
        move(site.port, increment(site, a, r, "zr_2", "@zr_1")).received, Refused, "target-modified"
    )
    snapshot(site, r, "zr_9")
    same(site.read(f"{r}@zr_9", "f"), b"precious", "what was written into the replica")


def check_base_mismatch(site: ZfsSite) -> None:
    """An increment of another dataset is refused by receiver, an impossible one by the sender."""
    a, b, r = source_of(site, "base-a"), source_of(site, "base-b"), site.fresh("base-r")
    replicate(site, b, r, "zr_1")
    site.write(a, "f", b"two")
    snapshot(site, a, "zr_2")
    check_error(
        move(site.port, increment(site, a, r, "zr_2", "@zr_1")).received, Refused, "base-mismatch"
    )
    backwards = Leg(f"{a}@zr_1", f"{r}@zr_1", 1, f"{a}@zr_2", 2)
    check_error(move(site.port, backwards).sent, Refused, "base-mismatch")
    other = Leg(f"{a}@zr_2", f"{r}@zr_1", 1, f"{b}@zr_1", 2)
    check_error(move(site.port, other).sent, Refused, "base-mismatch")


def check_target_missing(site: ZfsSite) -> None:
    """No parent to receive below, or no dataset for an increment."""
    a = source_of(site, "nowhere")
    site.write(a, "f", b"two")
    snapshot(site, a, "zr_2")
    below = site.fresh("nowhere-r")
    moved = move(site.port, Leg(f"{a}@zr_1", f"{below}/x@zr_1", guid_of(site, a, "zr_1")))
    check_error(moved.received, Standing, "dataset-missing")
    moved = move(site.port, increment(site, a, below, "zr_2", "@zr_1"))
    check_error(moved.received, Standing, "dataset-missing")


def check_unexpected_stream(site: ZfsSite) -> None:
    """Another guid, another base, raw or not: refused before anything exists."""
    a, r = source_of(site, "unexpected"), site.fresh("unexpected-r")
    guid = guid_of(site, a, "zr_1")
    wrong = ((guid ^ 1, 0, False), (guid, 7, False), (guid, 0, True))
    for to_guid, from_guid, raw in wrong:
        near, far = os.pipe()
        sender = _send_in_background(site, f"{a}@zr_1", far)
        with refused(Refused, "unexpected-stream"):
            site.port.receive(f"{r}@zr_1", fd=near, to_guid=to_guid, from_guid=from_guid, raw=raw)
        sender.join(PATIENCE_SECONDS)
        with refused(Standing, "dataset-missing"):
            site.port.observe_datasets(r)


def check_not_a_stream(site: ZfsSite) -> None:
    """Something else, nothing, or half a BEGIN record."""
    r = site.fresh("garbage-r")
    for content, kind, reason in (
        (b"GET / HTTP/1.1\r\n" * 40, Refused, "unexpected-stream"),
        (b"", Passing, "stream-cut"),
        (b"x" * 100, Passing, "stream-cut"),
    ):
        near, far = os.pipe()
        os.write(far, content)
        os.close(far)
        with refused(kind, reason):
            site.port.receive(f"{r}@zr_1", fd=near, to_guid=1, from_guid=0, raw=False)
        _check_closed(near)
    with refused(Standing, "dataset-missing"):
        site.port.observe_history(r)


def check_damaged_stream(site: ZfsSite) -> None:
    """A flipped bit is found; nothing is committed, and the next try works."""
    a, r = source_of(site, "damaged", MANY), site.fresh("damaged-r")
    guid = guid_of(site, a, "zr_1")
    moved = move(site.port, Leg(f"{a}@zr_1", f"{r}@zr_1", guid, flip_at_byte=2_500_000))
    check_error(moved.received, Corrupt, "stream-damaged")
    if site.port.observe_resume(r) is not None:
        same(names_of(site, r), [], "snapshots")
        site.port.abort_receive(r, guid)
    replicate(site, a, r, "zr_1")
    true(site.read(f"{r}@zr_1", "f") == MANY, "content differs")


def check_send_of_missing(site: ZfsSite) -> None:
    """No such snapshot, no such base; the descriptor is closed."""
    a = source_of(site, "send-missing")
    for name, base in (
        (f"{a}@zr_9", None),
        (f"{a}@zr_1", f"{a}@zr_0"),
        (f"{a}@zr_1", f"{a}#zr_0"),
        (f"{site.fresh('send-none')}@zr_1", None),
    ):
        near, far = os.pipe()
        with refused(Standing, "snapshot-missing"):
            site.port.send(name, base, raw=False, fd=far, resume=None)
        same(os.read(near, 1), b"", "what was written")
        os.close(near)


def check_send_ends_with_its_reader(site: ZfsSite) -> None:
    """Closing the other end ends a send within a second, also one that is blocked."""
    a = source_of(site, "send-cut", MANY)
    near, far = os.pipe()
    errors: list[ZrError] = []

    def sending() -> None:
        try:
            site.port.send(f"{a}@zr_1", None, raw=False, fd=far, resume=None)
        except ZrError as error:
            errors.append(error)

    sender = threading.Thread(target=sending, daemon=True)
    sender.start()
    os.read(near, 312)
    MachineClock().sleep(0.1)
    os.close(near)
    sender.join(5.0)  # a busy machine may need more than that second
    true(not sender.is_alive(), "the send did not end")
    check_error(errors[0] if errors else None, Passing, "stream-cut")


def check_destroy_of_what_is_sent(site: ZfsSite) -> None:
    """A snapshot that is being sent is busy; afterwards it can go."""
    a = source_of(site, "send-busy", MANY)
    name, guid = f"{a}@zr_1", guid_of(site, a, "zr_1")
    near, far = os.pipe()
    sender = _send_in_background(site, name, far)
    os.read(near, 312)
    same(site.port.destroy_snapshots({name: guid}), [DestroyOutcome(name, False, "busy")], "sent")
    os.close(near)
    sender.join(PATIENCE_SECONDS)
    same(site.port.destroy_snapshots({name: guid}), [DestroyOutcome(name, True)], "afterwards")


def _send_in_background(site: ZfsSite, name: str, fd: int) -> threading.Thread:
    def sending() -> None:
        try:
            site.port.send(name, None, raw=False, fd=fd, resume=None)
        except ZrError:
            return

    thread = threading.Thread(target=sending, daemon=True)
    thread.start()
    return thread


def _check_closed(fd: int) -> None:
    try:
        os.fstat(fd)
    except OSError:
        return
    raise AssertionError("the descriptor was not closed")
