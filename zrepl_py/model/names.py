"""How things are called: datasets, snapshots, bookmarks, hold tags; parse and render.

parse(render(x)) == x for every value here (property test). Names are for people and for
recognising what is ours; identity is the guid and order is the createtxg (model/history.py).

Limits are those of OpenZFS's zfs_namecheck.c: components of letters, digits, `-_.: ` (a space is
allowed), 255 bytes for the whole name including the snapshot.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from zrepl_py.errors import Refused

MAX_NAME_BYTES = 255
ROOM_BYTES = 41
"""What a snapshot's name takes, with its @: enough for 99 promotions and 100 million ticks."""
OWN_PREFIX = "zr_"
SCRATCH_PREFIX = "zr-restore-"
"""Begins the name of a dataset that lives only for one restore; it is never protected."""
_COMPONENT = re.compile(r"[A-Za-z0-9_.: -]+\Z")
_SNAPSHOT = re.compile(
    r"zr_(0|[1-9]\d{0,9})-([0-9a-f]{8})_(0|[1-9]\d{0,11})_([1-9]\d{7}T\d{6}Z)\Z", re.ASCII
)
"""What render_tick writes, and nothing else: without zeros in front."""
_CURSOR = re.compile(r"zr_cursor_([0-9a-f]{8})_([0-9a-f]{16})\Z")
_HOLD = re.compile(r"zr_base_([0-9a-f]{8})\Z")


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """(n, fork): n counts promotions, fork (8 hex digits) tells apart two that had the same n."""

    n: int
    fork: str

    def __str__(self) -> str:
        return f"{self.n}-{self.fork}"


def parse_epoch(text: str) -> Epoch:
    """`1-9f3a21cc` → Epoch; raises Refused(bad-name)."""
    match = re.match(r"(\d{1,10})-([0-9a-f]{8})\Z", text)
    if match is None:
        raise Refused("bad-name", f"{text!r} is not an epoch like 1-9f3a21cc.")
    return Epoch(int(match[1]), match[2])


@dataclass(frozen=True, slots=True)
class TickName:
    """The name of a snapshot that zr takes: epoch, tick number of the group, second of UTC."""

    epoch: Epoch
    seq: int
    at: int
    """Seconds since 1970, UTC: what the clock said at the tick. For people, never for order."""


def render_tick(tick: TickName) -> str:
    """TickName → `zr_1-9f3a21cc_42_20261121T081500Z` (the part after the @)."""
    stamp = datetime.fromtimestamp(tick.at, UTC).isoformat(timespec="seconds")[:19]
    return f"zr_{tick.epoch}_{tick.seq}_{stamp.replace('-', '').replace(':', '')}Z"


@lru_cache(maxsize=131_072)  # every look at a history asks this of every name, again and again
def parse_tick(text: str) -> TickName | None:
    """The part after the @ → TickName, or None where the snapshot is not one of ours."""
    match = _SNAPSHOT.match(text)
    if match is None:
        return None
    at = match[4]  # not strptime: a hundred thousand names are read at once
    day, hour = (int(at[:4]), int(at[4:6]), int(at[6:8])), int(at[9:11])
    try:
        moment = datetime(*day, hour, int(at[11:13]), int(at[13:15]), tzinfo=UTC)
    except ValueError:
        return None
    return TickName(Epoch(int(match[1]), match[2]), int(match[3]), int(moment.timestamp()))


def render_cursor(target: str, guid: int) -> str:
    """Name (after the #) of the bookmark that keeps a base for `target` (8 hex digits)."""
    return f"zr_cursor_{target}_{guid:016x}"


def parse_cursor(text: str) -> tuple[str, int] | None:
    """The part after the # → (target, guid), or None where the bookmark is not ours."""
    match = _CURSOR.match(text)
    return (match[1], int(match[2], 16)) if match else None


def render_hold(target: str) -> str:
    """The tag of the hold that keeps in-flight snapshots and the last common base of `target`."""
    return f"zr_base_{target}"


def parse_hold(tag: str) -> str | None:
    """A hold's tag → target (8 hex digits), or None where the hold is not ours."""
    match = _HOLD.match(tag)
    return match[1] if match else None


@lru_cache(maxsize=4096)  # the same few, before every command
def check_dataset_name(name: str) -> str:
    """Return `name` if OpenZFS would accept it as a dataset's name, else raise Refused(bad-name).

    `@`, `#`, `%`, empty components, `.` and `..` are not names; neither is anything too long.
    """
    # What was typed need not be text; the components below refuse that.
    if len(name.encode(errors="surrogateescape")) > MAX_NAME_BYTES:
        raise Refused("bad-name", f"The dataset name {name[:60]!r}… is longer than 255 bytes.")
    for component in name.split("/"):
        if not _COMPONENT.match(component) or component in (".", ".."):
            raise Refused("bad-name", f"{name!r} is not a valid dataset name.")
    return name


def check_room(dataset: str) -> str:
    """Return `dataset` if its snapshots can be named now and in years, else Refused(bad-name).

    Ticks' names grow with their number: one that just fits today would fail some night.
    """
    size = len(dataset.encode())
    if size > MAX_NAME_BYTES - ROOM_BYTES:
        raise Refused(
            "bad-name",
            f"{dataset!r} has a name of {size} bytes; with a snapshot's name it would be longer "
            "than ZFS's 255 bytes.",
            f"Rename it, or shorten the replica's prefix: {MAX_NAME_BYTES - ROOM_BYTES} bytes are "
            "the most.",
        )
    return dataset


def join_snapshot(dataset: str, name: str) -> str:
    """`tank/a`, `zr_…` → `tank/a@zr_…`, within ZFS's length limit; raises Refused(bad-name)."""
    full = f"{dataset}@{name}"
    if len(full.encode()) > MAX_NAME_BYTES:
        raise Refused(
            "bad-name",
            f"{full!r} would be longer than ZFS's 255 bytes.",
            "Shorten the dataset's name or the replica's prefix.",
        )
    return full
