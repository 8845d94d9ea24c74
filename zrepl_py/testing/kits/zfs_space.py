"""Checks: quotas and full pools."""

from zrepl_py.errors import Passing, Standing
from zrepl_py.testing.kits.zfs_site import (
    Leg,
    ZfsSite,
    check_error,
    guid_of,
    move,
    names_of,
    same,
    snapshot,
    true,
)
from zrepl_py.testing.kits.zfs_streams import MANY, source_of


def check_quota(site: ZfsSite) -> None:
    """A receive that a quota stops; with a larger quota it can be resumed."""
    a, top = source_of(site, "quota", MANY), site.fresh("quota-r")
    site.port.create_placeholder(top)
    site.set_property(top, "quota", str(2 << 20))
    r = f"{top}/r"
    leg = Leg(f"{a}@zr_1", f"{r}@zr_1", guid_of(site, a, "zr_1"))
    check_error(move(site.port, leg).received, Standing, "quota")
    site.set_property(top, "quota", "none")
    point = site.port.observe_resume(r)
    resume = (point.object, point.offset) if point else None
    move(site.port, Leg(leg.source, leg.target, leg.to_guid, resume=resume)).check()
    true(site.read(f"{r}@zr_1", "f") == MANY, "content differs")


def check_full_pool(site: ZfsSite) -> None:
    """A full pool takes no snapshot and no stream, but lets go of snapshots."""
    a = source_of(site, "full", MANY)
    pool = site.make_small_pool()
    try:
        b = f"{pool}/b"
        site.make_filesystem(b)
        site.write(b, "f", b"x")
        snapshot(site, b, "zr_1")
        guid = guid_of(site, b, "zr_1")
        site.fill(pool)
        leg = Leg(f"{a}@zr_1", f"{pool}/r@zr_1", guid_of(site, a, "zr_1"))
        check_error(move(site.port, leg).received, Passing, "no-space")
        before = names_of(site, b)
        try:
            site.port.snapshot_changed({b: None, pool: None}, "zr_2")
        except Passing as error:
            same(error.reason, "no-space", "reason")
            same((names_of(site, b), names_of(site, pool)), (before, []), "left of all or nothing")
        (outcome,) = site.port.destroy_snapshots({f"{b}@zr_1": guid})
        true(outcome.destroyed, f"a full pool did not let a snapshot go: {outcome}")
    finally:
        site.drop_small_pool(pool)
