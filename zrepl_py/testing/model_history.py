"""A model dataset's snapshots and bookmarks, as an observation shows them."""

from zrepl_py.model.history import Bookmark, History, history_of
from zrepl_py.testing.model_zfs_state import ModelDataset


def show_history(found: ModelDataset) -> History:
    """The same objects every time, where nothing changed."""
    marks = found.bookmarks.values()
    return history_of(
        [version.seen() for version in found.snapshots],
        [Bookmark(m.guid, m.createtxg, m.name, m.created_at) for m in marks],
    )
