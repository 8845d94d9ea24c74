"""Why must a snapshot stay, whatever the policy says? Pins from what was observed.

Every voter besides the policy is here: each turns what was seen into guid → reasons that name who
needs it, so that a person can act on it. A pin is never outvoted, by the cap neither. Must never
turn something unknown into "nobody needs it": who could not look, does not prune.
"""

from collections.abc import Collection, Mapping

from zrepl_py.core.retention import Votes, join_pins
from zrepl_py.model.history import History
from zrepl_py.model.names import SCRATCH_PREFIX, parse_cursor, parse_hold
from zrepl_py.model.observation import Dependents

SOMEBODY = "somebody: it is mounted, or being sent"
PARTIAL = "base of a partial receive"


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
    so, and so does a receive that has begun and not ended: in ZFS it is a clone of its base."""
    return {
        guid: tuple(_render_clone(name) for name in sorted(names))
        for guid, names in clones.items()
        if names
    }


def _render_clone(name: str) -> str:
    if name.endswith("/%recv"):
        return PARTIAL
    if any(part.startswith(SCRATCH_PREFIX) for part in name.split("/")):
        return f"a restore or a drill is reading it ({name})"
    return f"cloned: {name}"


def pin_running(readers: Mapping[int, str]) -> Votes:
    """guid → who reads it: a drill, a comparison, a restore that the other node serves."""
    return {guid: (f"read by {who}",) for guid, who in readers.items()}


def pin_dependents(
    seen: Mapping[int, Dependents], peers: Mapping[str, str], readers: Collection[int]
) -> Votes:
    """Everything that stands on the snapshots in the pool itself. ZFS says that somebody reads one,
    not who; `readers`: guids of those whose reader is known, and pinned with its name."""
    used = [guid for guid, those in seen.items() if those.in_use and guid not in readers]
    return join_pins(
        pin_held({guid: those.tags for guid, those in seen.items()}, peers),
        pin_cloned({guid: those.clones for guid, those in seen.items()}),
        pin_running(dict.fromkeys(used, SOMEBODY)),
    )


def _peer(short: str, peers: Mapping[str, str]) -> str:
    return peers.get(short, f"the node {short}…, which is no peer now")
