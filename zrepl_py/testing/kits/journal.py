"""Conformance kit of JournalPort. Which question: does this journal keep what it promised?

Each `check_` function takes a JournalCase, which can open the same journal again after a crash of
the machine, and fails with AssertionError. `JOURNAL_CHECKS` lists them all.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from zrepl_py.errors import Bug
from zrepl_py.ports.journal import JournalPort, Json


class JournalCase(Protocol):
    """A journal under test, empty at first."""

    @property
    def journal(self) -> JournalPort:
        """The one that is open now."""

    def crash_and_reopen(self) -> None:
        """The machine loses power, what was not synced is lost, `journal` is a new one."""


def _shown(record: Mapping[str, Json]) -> dict[str, Json]:
    return {k: v for k, v in record.items() if k not in ("at", "hash")}


def _is_refused(journal: JournalPort, fields: Mapping[str, Json]) -> bool:
    try:
        journal.append("note", fields)
    except Bug:
        return True
    return False


def check_empty_at_first(case: JournalCase) -> None:
    """A new journal has no records, also after a restart."""
    assert list(case.journal.records()) == []
    case.crash_and_reopen()
    assert list(case.journal.records()) == []


def check_keeps_order_and_fields(case: JournalCase) -> None:
    """Records come back oldest first, with their fields, kind, time and hash."""
    hashes = [
        case.journal.append("tick", {"seq": 1, "members": {"tank/a": 2**64 - 1}}),
        case.journal.append("receipt", {"guid": 7, "why": "für alle\n\x00😀", "none": None}),
        case.journal.append("tick", {"seq": 2, "list": [1, 2.5, "x", [True]], "members": {}}),
    ]
    records = list(case.journal.records())
    assert [r["hash"] for r in records] == hashes
    assert len(set(hashes)) == 3
    assert all(isinstance(r["at"], float) for r in records)
    assert [_shown(r) for r in records] == [
        {"kind": "tick", "seq": 1, "members": {"tank/a": 2**64 - 1}},
        {"kind": "receipt", "guid": 7, "why": "für alle\n\x00😀", "none": None},
        {"kind": "tick", "seq": 2, "list": [1, 2.5, "x", [True]], "members": {}},
    ]
    assert [r["seq"] for r in case.journal.records("tick")] == [1, 2]
    assert list(case.journal.records("nothing")) == []


def check_acknowledged_survives(case: JournalCase) -> None:
    """What `append` returned for is there after every crash, and the chain goes on."""
    hashes: list[str] = []
    for generation in range(3):
        for n in range(4):
            hashes.append(case.journal.append("note", {"generation": generation, "n": n}))
        case.crash_and_reopen()
        assert [r["hash"] for r in case.journal.records()] == hashes


def check_same_content_has_other_hash(case: JournalCase) -> None:
    """The hash covers the chain: equal records differ by what came before them."""
    first = case.journal.append("note", {"n": 1})
    assert case.journal.append("note", {"n": 1}) != first


def check_reading_while_appending(case: JournalCase) -> None:
    """A reader that began earlier goes on undisturbed."""
    for n in range(3):
        case.journal.append("note", {"n": n})
    reader = case.journal.records()
    assert next(reader)["n"] == 0
    case.journal.append("note", {"n": 3})
    assert [r["n"] for r in reader][:2] == [1, 2]


def check_refuses_what_is_not_a_record(case: JournalCase) -> None:
    """A reserved field's name, or NaN, is a Bug, and leaves no trace."""
    case.journal.append("note", {"n": 1})
    for fields in ({"hash": "x"}, {"prev": "x"}, {"kind": "x"}, {"at": 1}, {"n": float("nan")}):
        assert _is_refused(case.journal, fields)
    case.journal.append("note", {"n": 2})
    case.crash_and_reopen()
    assert [r["n"] for r in case.journal.records()] == [1, 2]


JOURNAL_CHECKS: tuple[Callable[[JournalCase], None], ...] = (
    check_empty_at_first,
    check_keeps_order_and_fields,
    check_acknowledged_survives,
    check_same_content_has_other_hash,
    check_reading_while_appending,
    check_refuses_what_is_not_a_record,
)
