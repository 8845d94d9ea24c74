"""A mini-language for histories: `"1 2 f3 4#"` is what a person sees of one dataset.

A number is a snapshot of zr with that guid, `f3` a foreign one, `4#` a cursor bookmark (for target
"be7a0000") of guid 4, `4@#` both. Order in the text is order of createtxg.
"""

from zrepl_py.model.history import Bookmark, History, Snapshot, history_of
from zrepl_py.model.names import Epoch, TickName, render_cursor, render_tick

TARGET = "be7a0000"
EPOCH = Epoch(1, "9f3a21cc")


def own_name(guid: int) -> str:
    """The name of the snapshot with this guid: one tick a minute."""
    return render_tick(TickName(EPOCH, guid, 60 * guid))


def parse_history(text: str, txg_offset: int = 0) -> History:
    """See the module's docstring; createtxg is 10 × position + offset."""
    snapshots, bookmarks = [], []
    for position, word in enumerate(text.split(), start=1):
        txg = 10 * position + txg_offset
        guid = int(word.strip("f@#"))
        name = f"foreign{guid}" if word.startswith("f") else own_name(guid)
        if not word.endswith("#") or "@" in word:
            snapshots.append(Snapshot(guid, txg, name, 60 * guid))
        if word.endswith("#"):
            bookmarks.append(Bookmark(guid, txg, render_cursor(TARGET, guid), 60 * guid))
    return history_of(snapshots, bookmarks)
