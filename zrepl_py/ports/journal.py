"""The journal port: what this node must not forget, appended and fsynced.

Contract: when `append` returns, the record survives a power loss. A torn last record is dropped on
opening, any other damage is Corrupt(journal-damaged). Records are hash-chained. The journal is for
proof and for the daemon's start; recovery from a crash is to observe the pools again.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class JournalPort(Protocol):
    """One append-only journal."""

    def append(self, kind: str, fields: Mapping[str, Json]) -> str:
        """Append a record durably; returns its hash (hex). Errors: no-space (Passing)."""

    def records(self, kind: str | None = None) -> Iterator[Mapping[str, Json]]:
        """All records still kept, oldest first; each has `kind`, `at`, `hash` and its fields."""
