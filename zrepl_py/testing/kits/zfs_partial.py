"""Checks: streams that are cut, resume points, resuming, and throwing partial receives away."""

from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.model.observation import Dependents, ResumePoint
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

CUT = 2_500_000


def _cut(site: ZfsSite, leg: Leg) -> ResumePoint:
    """Cut the transfer in the middle; the resume point that is left."""
    moved = move(site.port, _but(leg, cut_after_bytes=CUT))
    check_error(moved.received, Passing, "stream-cut")
    replica = leg.target.partition("@")[0]
    point = site.port.observe_resume(replica)
    if point is None:
        raise AssertionError("nothing was kept of a stream that was cut")
    same((point.to_guid, point.from_guid, point.raw), (leg.to_guid, leg.from_guid, leg.raw), "of")
    true(0 < point.bytes_received <= CUT, f"bytes_received is {point.bytes_received}")
    return point


def _but(leg: Leg, **changes: object) -> Leg:
    values = {name: getattr(leg, name) for name in Leg.__slots__}
    return Leg(**{**values, **changes})


def check_resume_of_full(site: ZfsSite) -> None:
    """A first receive that was cut is listed, has a resume point, and is continued."""
    a, r = source_of(site, "cut", MANY), site.fresh("cut-r")
    leg = Leg(f"{a}@zr_1", f"{r}@zr_1", guid_of(site, a, "zr_1"))
    point = _cut(site, leg)
    same([d.name for d in site.port.observe_datasets(r)], [r], "listed")
    same(names_of(site, r), [], "snapshots of a partial one")
    move(site.port, _but(leg, resume=(point.object, point.offset))).check()
    true(site.read(f"{r}@zr_1", "f") == MANY, "content differs")
    true(site.port.observe_resume(r) is None, "the resume point is still there")


def check_resume_of_increment(site: ZfsSite) -> None:
    """The same for an increment; the replica shows its old snapshot meanwhile."""
    a, r = source_of(site, "cuti"), site.fresh("cuti-r")
    replicate(site, a, r, "zr_1")
    site.write(a, "g", MANY)
    snapshot(site, a, "zr_2")
    leg = increment(site, a, r, "zr_2", "@zr_1")
    point = _cut(site, leg)
    same(names_of(site, r), ["zr_1"], "snapshots")
    same([d.name for d in site.port.observe_datasets(r)], [r], "listed")
    move(site.port, _but(leg, resume=(point.object, point.offset))).check()
    true(site.read(f"{r}@zr_2", "g") == MANY, "content differs")


def check_a_partial_receive_is_a_dependent(site: ZfsSite) -> None:
    """What it builds on has it as a clone, until it ends."""
    a, r = source_of(site, "dep"), site.fresh("dep-r")
    replicate(site, a, r, "zr_1")
    site.write(a, "g", MANY)
    snapshot(site, a, "zr_2")
    leg = increment(site, a, r, "zr_2", "@zr_1")
    point = _cut(site, leg)
    expected = {f"{r}@zr_1": Dependents(clones=frozenset({f"{r}/%recv"}))}
    same(site.port.observe_dependents([f"{r}@zr_1"]), expected, "dependents")
    move(site.port, _but(leg, resume=(point.object, point.offset))).check()
    same(site.port.observe_dependents([f"{r}@zr_1"]), {f"{r}@zr_1": Dependents()}, "afterwards")


def check_resume_of_raw(site: ZfsSite) -> None:
    """The same for a raw stream."""
    e, r = site.fresh("cutraw"), site.fresh("cutraw-r")
    site.make_encrypted(e)
    site.write(e, "f", MANY)
    snapshot(site, e, "zr_1")
    leg = Leg(f"{e}@zr_1", f"{r}@zr_1", guid_of(site, e, "zr_1"), raw=True)
    point = _cut(site, leg)
    move(site.port, _but(leg, resume=(point.object, point.offset))).check()
    same(guid_of(site, r, "zr_1"), leg.to_guid, "guid")


def check_resuming_nothing(site: ZfsSite) -> None:
    """A resumed stream that continues nothing is refused: no dataset, a whole one, another one."""
    a, r = source_of(site, "nothing", MANY), site.fresh("nothing-r")
    leg = Leg(f"{a}@zr_1", f"{r}@zr_1", guid_of(site, a, "zr_1"))
    point = _cut(site, leg)
    resumed = _but(leg, resume=(point.object, point.offset))
    b, other = source_of(site, "nothing-b", MANY), site.fresh("nothing-o")
    _cut(site, Leg(f"{b}@zr_1", f"{other}@zr_1", guid_of(site, b, "zr_1")))
    for target in (site.fresh("nothing-n"), other):
        moved = move(site.port, _but(resumed, target=f"{target}@zr_1"))
        check_error(moved.received, Refused, "base-mismatch")
    move(site.port, resumed).check()
    check_error(move(site.port, resumed).received, Refused, "base-mismatch")


def check_cut_again(site: ZfsSite) -> None:
    """A resumed stream that is cut again goes on from further ahead, or from the same place."""
    a, r = source_of(site, "twice", MANY), site.fresh("twice-r")
    leg = Leg(f"{a}@zr_1", f"{r}@zr_1", guid_of(site, a, "zr_1"))
    first = _cut(site, leg)
    again = _but(leg, resume=(first.object, first.offset), cut_after_bytes=1_000_000)
    check_error(move(site.port, again).received, Passing, "stream-cut")
    second = site.port.observe_resume(r)
    if second is None:
        raise AssertionError("the resume point is gone")
    true((second.object, second.offset) >= (first.object, first.offset), "it went backwards")
    move(site.port, _but(leg, resume=(second.object, second.offset))).check()
    true(site.read(f"{r}@zr_1", "f") == MANY, "content differs")


def check_partial_blocks_other_streams(site: ZfsSite) -> None:
    """While a partial receive is there, another stream is turned away and the partial kept."""
    a, r = source_of(site, "blocks", MANY), site.fresh("blocks-r")
    leg = Leg(f"{a}@zr_1", f"{r}@zr_1", guid_of(site, a, "zr_1"))
    point = _cut(site, leg)
    check_error(move(site.port, leg).received, Passing, "busy")
    same(site.port.observe_resume(r), point, "resume point")


def check_abort_of_full(site: ZfsSite) -> None:
    """Only with its own guid; then the dataset is gone, and a new receive works."""
    a, r = source_of(site, "abort", MANY), site.fresh("abort-r")
    leg = Leg(f"{a}@zr_1", f"{r}@zr_1", guid_of(site, a, "zr_1"))
    point = _cut(site, leg)
    site.port.abort_receive(r, leg.to_guid ^ 1)
    same(site.port.observe_resume(r), point, "resume point after another's abort")
    site.port.abort_receive(r, leg.to_guid)
    true(site.port.observe_resume(r) is None, "the partial receive is still there")
    with refused(Standing, "dataset-missing"):
        site.port.observe_datasets(r)
    site.port.abort_receive(r, leg.to_guid)
    move(site.port, leg).check()
    site.port.abort_receive(r, leg.to_guid)
    same(names_of(site, r), ["zr_1"], "a whole replica after abort")


def check_abort_with_something_below(site: ZfsSite) -> None:
    """A first receive that has a dataset below it cannot be thrown away, and stays."""
    a, r = source_of(site, "abortbelow", MANY), site.fresh("abortbelow-r")
    leg = Leg(f"{a}@zr_1", f"{r}@zr_1", guid_of(site, a, "zr_1"))
    point = _cut(site, leg)
    site.port.create_placeholder(f"{r}/x")
    with refused(Standing, "zfs-failed"):
        site.port.abort_receive(r, leg.to_guid)
    same(site.port.observe_resume(r), point, "resume point")
    site.destroy(f"{r}/x")
    site.port.abort_receive(r, leg.to_guid)
    true(site.port.observe_resume(r) is None, "the partial receive is still there")


def check_abort_of_increment(site: ZfsSite) -> None:
    """The replica keeps what it had, and the increment works from the start."""
    a, r = source_of(site, "aborti"), site.fresh("aborti-r")
    replicate(site, a, r, "zr_1")
    site.write(a, "g", MANY)
    snapshot(site, a, "zr_2")
    leg = increment(site, a, r, "zr_2", "@zr_1")
    point = _cut(site, leg)
    site.port.abort_receive(r, leg.from_guid)
    same(site.port.observe_resume(r), point, "resume point after another's abort")
    site.port.abort_receive(r, leg.to_guid)
    true(site.port.observe_resume(r) is None, "the partial receive is still there")
    same(names_of(site, r), ["zr_1"], "snapshots")
    move(site.port, leg).check()
    true(site.read(f"{r}@zr_2", "g") == MANY, "content differs")


def check_no_partial(site: ZfsSite) -> None:
    """No partial receive, or no dataset: None, and nothing to abort."""
    a = source_of(site, "nopartial")
    for name in (a, site.fresh("nodataset"), "nosuchpool/a"):
        true(site.port.observe_resume(name) is None, f"{name} has a resume point")
        site.port.abort_receive(name, 5)
    same(names_of(site, a), ["zr_1"], "snapshots")
