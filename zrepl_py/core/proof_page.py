"""Where does a page of a reading end? The same on every node: it follows from the records alone.
Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from zrepl_py.core.proof_digest import Record, chain, render_path
from zrepl_py.model.proof import (
    PAGE_BYTES,
    PAGE_RECORDS,
    PAGE_TEXT_BYTES,
    Page,
    Position,
)


@dataclass
class Reading:
    """A sequence of records, cut into pages."""

    records: Iterator[Record]
    at: Position
    """Where the next page begins."""
    acls: bool

    def next_page(self, *, listed: bool) -> Page:
        """The next one. Errors: those of the records."""
        entries = size = unreadable = text = 0
        at, lines, ended = self.at, [], True
        for count, record in enumerate(self.records, 1):
            at = Position(
                render_path(record.components), record.index + 1, chain(at.chain, record.line)
            )
            entries += record.is_entry
            unreadable += record.is_unreadable
            size += record.size_bytes
            text += len(record.line)
            if listed:
                lines.append(record.line)
            if size >= PAGE_BYTES or text >= PAGE_TEXT_BYTES or count >= PAGE_RECORDS:
                ended = False
                break
        self.at = at
        return Page(at, ended, entries, size, unreadable, self.acls, tuple(lines))
