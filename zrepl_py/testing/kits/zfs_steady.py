"""Checks: what a steady cycle needs, without a fork."""

from zrepl_py.adapters.zfs.forks import FORKS
from zrepl_py.testing.kits.zfs_pins import TAG
from zrepl_py.testing.kits.zfs_site import Leg, ZfsSite, guid_of, move, same
from zrepl_py.testing.kits.zfs_streams import increment, source_of


def check_steady_cycle_forks_nothing(site: ZfsSite) -> None:
    """Snapshot, hold, send, receive, read back, move the cursor, prune: no process is started."""
    if site.port.observe_versions()["adapter"] == "command":
        return
    port = site.port
    a, r = source_of(site, "steady"), site.fresh("steady-r")
    first = guid_of(site, a, "zr_1")
    move(port, Leg(f"{a}@zr_1", f"{r}@zr_1", first)).check()
    port.bookmark(f"{a}@zr_1", f"{a}#zr_b1")
    site.write(a, "f", b"two")
    port.snapshot_changed({a: "zr_1"}, "zr_2")
    leg = increment(site, a, r, "zr_2", "@zr_1")
    before = FORKS.total
    port.observe_pool(site.pool)
    port.snapshot_changed({a: "zr_2"}, "zr_3")
    port.hold([f"{a}@zr_2"], TAG)
    move(port, leg).check()
    same(port.observe_resume(r), None, "resume point")
    taken = port.observe_snapshot(f"{r}@zr_2")
    same(taken.guid if taken else None, leg.to_guid, "guid that was read back")
    port.bookmark(f"{a}@zr_2", f"{a}#zr_b2")
    port.destroy_bookmarks({f"{a}#zr_b1": first})
    port.observe_holds([f"{a}@zr_2"])
    port.release([f"{a}@zr_2"], TAG)
    port.set_user_properties([r], {"zr:lane": "x"})
    port.create_placeholder(site.fresh("steady-p"))
    port.abort_receive(r, leg.to_guid)
    port.destroy_snapshots({f"{a}@zr_1": first})
    same(FORKS.total - before, 0, "processes started")
