"""How much of a group's histories must be told, where they are too many for one word? Pure.

Two histories are compared from their newest versions down to the newest that both have, and no
further (core/diff.py, engine/role_tree.find_common). So what is told is the newest of each member,
and all that is newer than what both have, as far as this side knows it from what the other one
told. What was left out is marked: where nothing that both have was told then, nobody may conclude
that there is nothing.
"""

from collections.abc import Mapping

from zrepl_py.core.role_words import MOST_VERSIONS
from zrepl_py.errors import Refused
from zrepl_py.model.history import EMPTY, Bookmark, History, Snapshot


def trim_histories(
    mine: Mapping[str, History], theirs: Mapping[str, History], *, asks: bool
) -> dict[str, History]:
    """Member → what is told of `mine`; `theirs` is what the other side told of its own before.

    Whole, unless it is too much. Refused(message-too-large) where even this is. Who `asks` compares
    with what is answered; what it tells itself only says what the answer has to go back to. So of a
    member of which the other side told nothing, the answer is whole: it may have it elsewhere."""
    if sum(map(count_versions, mine.values())) <= MOST_VERSIONS:
        return dict(mine)
    newest = max(1, MOST_VERSIONS // (2 * len(mine)))
    told = {
        name: _trim(h, theirs.get(name, EMPTY), newest) if asks or name in theirs else h
        for name, h in mine.items()
    }
    if sum(map(count_versions, told.values())) > MOST_VERSIONS:
        raise too_many()
    return told


def share_version(mine: History, theirs: History) -> bool:
    """Whether something that one side has as a snapshot is known to the other one."""
    return _find_shared(mine, theirs) is not None


def count_versions(history: History) -> int:
    """Snapshots and bookmarks."""
    return len(history.snapshots) + len(history.bookmarks)


def too_many() -> Refused:
    """More versions than can be compared."""
    return Refused(
        "message-too-large",
        f"The group has more than {MOST_VERSIONS} versions since what both nodes have.",
        "Keep fewer snapshots or bookmarks per dataset.",
    )


def _trim(mine: History, theirs: History, newest: int) -> History:
    if count_versions(mine) <= newest:
        return mine
    txgs = sorted(v.createtxg for v in _versions(mine))
    since = txgs[-newest]
    shared = _find_shared(mine, theirs)
    if shared is not None:
        since = min(since, shared)
    return History(
        tuple(s for s in mine.snapshots if s.createtxg >= since),
        tuple(b for b in mine.bookmarks if b.createtxg >= since),
    )


def _find_shared(mine: History, theirs: History) -> int | None:
    """createtxg on this side of the newest version that this side has as a snapshot and the other
    one knows, or of that which it is the other way round: of the older one."""
    snapshots = {s.guid for s in theirs.snapshots}
    known = snapshots | {b.guid for b in theirs.bookmarks}
    own = [s.createtxg for s in mine.snapshots if s.guid in known]
    other = [v.createtxg for v in _versions(mine) if v.guid in snapshots]
    newest = [max(txgs) for txgs in (own, other) if txgs]
    return min(newest, default=None)


def _versions(history: History) -> list[Snapshot | Bookmark]:
    return [*history.snapshots, *history.bookmarks]
