"""Checks: snapshot_changed is atomic, proves what it says, and takes all or nothing."""

from collections.abc import Callable

from zrepl_py.errors import Refused, Standing
from zrepl_py.model.observation import Taken, Unchanged
from zrepl_py.testing.kits.zfs_site import ZfsSite, names_of, refused, same, true


def _made(site: ZfsSite, word: str) -> str:
    name = site.fresh(word)
    site.make_filesystem(name)
    return name


def check_outcome_is_what_exists(site: ZfsSite) -> None:
    """The guid, createtxg and creation of the outcome are those of the history."""
    a = _made(site, "outcome")
    taken = site.port.snapshot_changed({a: None}, "zr_1")[a]
    found = site.port.observe_history(a).snapshots[0]
    same(taken, Taken(found.guid, found.createtxg, found.created_at), "outcome")
    same(site.port.observe_snapshot(f"{a}@zr_1"), found, "observe_snapshot")
    for missing in (f"{a}@zr_2", f"{a}x@zr_1", "nosuchpool/a@zr_1"):
        same(site.port.observe_snapshot(missing), None, missing)
    true(found.guid > 0 and found.createtxg > 0 and found.created_at > 0, "numbers are missing")


def check_one_call_is_one_txg(site: ZfsSite) -> None:
    """All snapshots of a call, a volume's too, have one createtxg and different guids."""
    a, b, v = _made(site, "txg-a"), _made(site, "txg-b"), site.fresh("txg-v")
    site.make_volume(v)
    outcomes = site.port.snapshot_changed({a: None, b: None, v: None}, "zr_1")
    same(len({o.createtxg for o in outcomes.values() if isinstance(o, Taken)}), 1, "txgs")
    same(len({o.guid for o in outcomes.values() if isinstance(o, Taken)}), 3, "guids")


def check_createtxg_grows(site: ZfsSite) -> None:
    """The history is in the order in which snapshots were taken."""
    a = _made(site, "order")
    for name in ("zr_2", "zr_1", "zr_3"):
        site.port.snapshot_changed({a: None}, name)
    same(names_of(site, a), ["zr_2", "zr_1", "zr_3"], "order")


def check_unchanged_is_proven(site: ZfsSite) -> None:
    """Where nothing was written, nothing is taken."""
    a = _made(site, "unchanged")
    site.write(a, "f", b"x")
    site.port.snapshot_changed({a: None}, "zr_1")
    same(site.port.snapshot_changed({a: "zr_1"}, "zr_2"), {a: Unchanged()}, "outcome")
    same(names_of(site, a), ["zr_1"], "snapshots")


def check_write_right_before_counts(site: ZfsSite) -> None:
    """write, chmod and unlink that returned before the call are seen, without fsync."""
    a = _made(site, "written")
    site.port.snapshot_changed({a: None}, "zr_0")
    changes: tuple[Callable[[], None], ...] = (
        lambda: site.write(a, "f", b"one"),
        lambda: site.write(a, "f", b"two"),
        lambda: site.change_mode(a, "f", 0o600),
        lambda: site.remove(a, "f"),
    )
    for number, change in enumerate(changes, 1):
        change()
        outcome = site.port.snapshot_changed({a: f"zr_{number - 1}"}, f"zr_{number}")[a]
        true(isinstance(outcome, Taken), f"change {number} was not seen")


def check_volume_write_counts(site: ZfsSite) -> None:
    """A write into a volume is seen."""
    v = site.fresh("volume")
    site.make_volume(v)
    site.port.snapshot_changed({v: None}, "zr_0")
    same(site.port.snapshot_changed({v: "zr_0"}, "zr_1"), {v: Unchanged()}, "nothing written")
    site.write_volume(v, bytes(range(256)) * 64)
    true(
        isinstance(site.port.snapshot_changed({v: "zr_0"}, "zr_2")[v], Taken), "write was not seen"
    )


def check_foreign_snapshot_between_hides_nothing(site: ZfsSite) -> None:
    """What counts is the change since the named snapshot, not since the newest one."""
    a, b = _made(site, "foreign-a"), _made(site, "foreign-b")
    site.port.snapshot_changed({a: None, b: None}, "zr_1")
    site.write(a, "f", b"x")
    for dataset in (a, b):
        site.foreign_snapshot(f"{dataset}@weekly")
    outcomes = site.port.snapshot_changed({a: "zr_1", b: "zr_1"}, "zr_2")
    true(isinstance(outcomes[a], Taken), "the change before the foreign snapshot was not seen")
    same(outcomes[b], Unchanged(), "unchanged one")


def check_missing_last_counts_as_changed(site: ZfsSite) -> None:
    """Where the named snapshot is gone, a snapshot is taken."""
    a = _made(site, "last-gone")
    site.port.snapshot_changed({a: None}, "zr_1")
    true(isinstance(site.port.snapshot_changed({a: "zr_0"}, "zr_2")[a], Taken), "not taken")


def check_changed_and_unchanged_together(site: ZfsSite) -> None:
    """One call answers for each dataset on its own."""
    a, b, c = (_made(site, f"mixed-{x}") for x in "abc")
    site.port.snapshot_changed({a: None, b: None}, "zr_1")
    site.write(b, "f", b"x")
    outcomes = site.port.snapshot_changed({a: "zr_1", b: "zr_1", c: None}, "zr_2")
    same([type(outcomes[x]) for x in (a, b, c)], [Unchanged, Taken, Taken], "outcomes")
    same([names_of(site, x)[-1:] for x in (a, b, c)], [["zr_1"], ["zr_2"], ["zr_2"]], "newest")


def check_missing_dataset_takes_nothing(site: ZfsSite) -> None:
    """One missing dataset: it is named, and nothing is taken of the others."""
    a, gone = _made(site, "with-missing"), site.fresh("missing")
    with refused(Standing, "dataset-missing"):
        site.port.snapshot_changed({a: None, gone: None}, "zr_1")
    try:
        site.port.snapshot_changed({a: None, gone: None}, "zr_1")
    except Standing as error:
        true(gone in str(error), f"the message does not name it: {error}")
    same(names_of(site, a), [], "snapshots")


def check_existing_name_takes_nothing(site: ZfsSite) -> None:
    """One name that exists already: nothing is taken of the others."""
    a, b = _made(site, "exists-a"), _made(site, "exists-b")
    site.port.snapshot_changed({b: None}, "zr_1")
    with refused(Refused, "snapshot-exists"):
        site.port.snapshot_changed({a: None, b: None}, "zr_1")
    same(names_of(site, a), [], "snapshots")


def check_odd_names(site: ZfsSite) -> None:
    """Spaces, colons, dots, dashes, and as long as ZFS allows."""
    odd = site.fresh("with space: and.dot_-")
    site.make_filesystem(odd)
    long_name = site.fresh("l")
    long_name += "o" * (200 - len(long_name))
    site.make_filesystem(long_name)
    for name in (odd, long_name):
        site.port.snapshot_changed({name: None}, "zr_1")
        same(site.port.snapshot_changed({name: "zr_1"}, "zr_2"), {name: Unchanged()}, name)
        same(names_of(site, name), ["zr_1"], name)
        true(any(d.name == name for d in site.port.observe_datasets(name)), f"{name} not listed")
    with refused(Refused, "bad-name"):
        site.port.snapshot_changed({long_name: None}, "zr_" + "1" * 60)


def check_missing_pool(site: ZfsSite) -> None:
    """No pool of that name."""
    with refused(Standing, "pool-missing"):
        site.port.snapshot_changed({"nosuchpool/a": None}, "zr_1")
    with refused(Standing, "pool-missing"):
        site.port.observe_pool("nosuchpool")
