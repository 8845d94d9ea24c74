"""Why must a snapshot stay, whatever the policy says? Pins from what was observed.

Every voter besides the policy is here: each turns what was seen into guid → reasons that name who
needs it, so that a person can act on it. A pin is never outvoted, by the cap neither. Must never
turn something unknown into "nobody needs it": who could not look, does not prune.
"""

from collections.abc import Collection, Iterable, Mapping

from zrepl_py.core.retention import Votes
from zrepl_py.model.history import History
from zrepl_py.model.names import SCRATCH_PREFIX, parse_cursor, parse_hold


def pin_held(tags: Mapping[int, Collection[str]], peers: Mapping[str, str]) -> Votes:
    """`tags`: guid → tags of its holds. `peers`: first 8 hex digits of a node's uuid → its name."""
    return {
        guid: tuple(_render_hold(tag, peers) for tag in sorted(those))
        for guid, those in tags.items()
        if those
    }


def _render_hold(tag: str, peers: Mapping[str, str]) -> str:
    target = parse_hold(tag)
    if target is None:
        return f"held: {tag}"
    return f"held for {_peer(target, peers)}: the last common version, or on its way ({tag})"


def pin_bases(history: History, peers: Mapping[str, str]) -> Votes:
    """The last common version with every peer, also with one that has been away for months: the
    cursor bookmark that replication leaves says which it is, without asking the peer."""
    pins: dict[int, tuple[str, ...]] = {}
    for bookmark in history.bookmarks:
        cursor = parse_cursor(bookmark.name)
        if cursor is not None and cursor[1] == bookmark.guid:
            reason = f"the last common version with {_peer(cursor[0], peers)}"
            pins[bookmark.guid] = (*pins.get(bookmark.guid, ()), reason)
    return pins


def pin_cloned(clones: Mapping[int, Collection[str]]) -> Votes:
    """`clones`: guid → datasets that were made of it. Those of a restore or drill that runs say
    so; a rescue dataset is a clone as any other, and is named."""
    return {
        guid: tuple(_render_clone(name) for name in sorted(names))
        for guid, names in clones.items()
        if names
    }


def _render_clone(name: str) -> str:
    if any(part.startswith(SCRATCH_PREFIX) for part in name.split("/")):
        return f"a restore or a drill is reading it ({name})"
    return f"cloned: {name}"


def pin_partial(from_guid: int | None) -> Votes:
    """The base of a receive that has begun and not ended."""
    return {from_guid: ("base of a partial receive",)} if from_guid else {}


def pin_running(guids: Iterable[int], what: str) -> Votes:
    """What a restore, a drill or a comparison is reading now; `what` names it."""
    return dict.fromkeys(guids, (f"read by {what}",))


def pin_rescued(names: Mapping[int, Collection[str]]) -> Votes:
    """guid → rescue datasets whose history goes on from it: the only way back to both sides."""
    return {guid: tuple(f"rescue: {name}" for name in sorted(n)) for guid, n in names.items() if n}


def pin_offsite(guids: Iterable[int], bucket: str = "the bucket") -> Votes:
    """What an offsite copy builds on, or is being sent there."""
    return dict.fromkeys(guids, (f"offsite: {bucket} builds on it",))


def _peer(short: str, peers: Mapping[str, str]) -> str:
    return peers.get(short, f"the node {short}…, which is no peer now")
