"""Are the pools well, and is there room?

Leaves are judged, not the pool's own word: after a failed probe a disk is FAULTED while its pool
and its vdev still say ONLINE.
"""

from zrepl_py.core.audit.finding import Findings, error, note, warning
from zrepl_py.core.audit.seen import Leaf, Pool, Room

SCRUB_SECONDS = 60 * 86_400
SOON_PERCENT = 5
_WELL = ("ONLINE", "AVAIL", "INUSE")


def judge_pool(pool: Pool, now: float) -> Findings:
    """Health, damage, scrubs. `now`: seconds since 1970."""
    found: Findings = []
    status = f"zpool status -v {pool.name}"
    if pool.state == "SUSPENDED":
        found.append(
            error(
                "pool-suspended",
                pool.name,
                f"Pool {pool.name} is suspended: everything that uses it hangs.",
                f"Bring its disks back, then: zpool clear {pool.name}",
            )
        )
    leaves = [finding for leaf in pool.leaves for finding in _judge_leaf(pool.name, leaf)]
    found += leaves
    if pool.state not in ("ONLINE", "SUSPENDED") and not leaves:
        found.append(
            error("pool-degraded", pool.name, f"Pool {pool.name} is {pool.state}.", f"See {status}")
        )
    if not pool.errors.startswith("No known"):
        found.append(
            error(
                "pool-damaged",
                pool.name,
                f"Pool {pool.name} has damaged files: {pool.errors}.",
                f"See {status}; restore them from the other node with `zr restore`, then scrub.",
            )
        )
    found += _judge_scrub(pool, now)
    return found


def _judge_leaf(pool: str, leaf: Leaf) -> Findings:
    if leaf.state not in _WELL:
        remark = f" ({leaf.remark})" if leaf.remark else ""
        return [
            error(
                "disk-failed",
                f"{pool} {leaf.name}",
                f"Disk {leaf.name} of pool {pool} is {leaf.state}{remark}.",
                f"Bring it back, then: zpool clear {pool} {leaf.name}; or put a new one in: zpool "
                f"replace {pool} {leaf.name} NEW",
            )
        ]
    counts = (leaf.read_errors, leaf.write_errors, leaf.checksum_errors)
    if any(counts):
        read, write, checksum = counts
        return [
            warning(
                "disk-errors",
                f"{pool} {leaf.name}",
                f"Disk {leaf.name} of pool {pool} had {read} read, {write} write and {checksum} "
                "checksum errors.",
                f"Look at smartctl -a and the kernel's log, then: zpool scrub {pool}; zpool clear "
                f"{pool} once the cause is mended.",
            )
        ]
    return []


def _judge_scrub(pool: Pool, now: float) -> Findings:
    remedy = f"zpool scrub {pool.name}, and once a month: zfs-scrub-monthly@{pool.name}.timer"
    if pool.scanning:
        return []
    if pool.scrubbed_at is None:
        return [note("never-scrubbed", pool.name, f"Pool {pool.name} was never scrubbed.", remedy)]
    days = (now - pool.scrubbed_at) / 86_400
    if now - pool.scrubbed_at > SCRUB_SECONDS:
        sentence = f"Pool {pool.name} was last scrubbed {days:.0f} days ago."
        return [warning("scrub-old", pool.name, sentence, remedy)]
    return []


def judge_pool_missing(name: str, why: str) -> Findings:
    """A pool of zr.toml that is not there."""
    return [
        error(
            "pool-missing",
            name,
            f"Pool {name}, which zr.toml names, cannot be seen: {why}",
            f"zpool import {name}; if it was renamed, correct `pools` in zr.toml.",
        )
    ]


def judge_pool_silent(name: str, why: str) -> Findings:
    """A pool that a look hung in."""
    return [
        error(
            "pool-silent",
            name,
            f"Pool {name} does not answer: {why}",
            "zpool status; dmesg. A disk that hangs is often the cause.",
        )
    ]


def judge_room(room: Room) -> Findings:
    """A pool's free space, against the limit at which zr pauses."""
    shown = f"{room.free_percent:.0f} % of pool {room.name} is free"
    remedy = (
        "Delete what is not needed, shorten retention, or add disks: docs/runbooks/disk-full.md"
    )
    if room.free_percent < room.limit_percent:
        paused = f"{shown}: below {room.limit_percent} % zr pauses."
        return [error("space-low", room.name, paused, remedy)]
    if room.free_percent < room.limit_percent + SOON_PERCENT:
        soon = f"{shown}; at {room.limit_percent} % zr will pause."
        return [warning("space-soon", room.name, soon, remedy)]
    return []


def judge_state_disk(room: Room) -> Findings:
    """The disk below the state directory: without room, nothing can be journalled."""
    if room.free_percent >= SOON_PERCENT and room.free_bytes >= 100 << 20:
        return []
    return [
        warning(
            "state-disk-full",
            room.name,
            f"Only {room.free_bytes >> 20} MiB are free below {room.name}; when they are used up, "
            "nothing can be journalled, and replication stops.",
            "Make room on that disk.",
        )
    ]
