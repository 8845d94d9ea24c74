"""Copies made of records, for the tests of proofs: a ProofPort and a FarPort without a disk."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from zrepl_py.core.proof_digest import Record, key_of, key_of_line
from zrepl_py.core.proof_page import Reading
from zrepl_py.errors import Standing
from zrepl_py.model.proof import Form, Page, Position, Proof, ScratchOrder
from zrepl_py.model.wire import Committed

GUID = 7


def make_tree(files: int, pieces: int = 1) -> list[str]:
    """Lines of a root with so many files of so many pieces."""
    lines = ["e . directory 0755 0 0 2 - - 1 1 1 - - - -"]
    for number in range(files):
        lines.append(f"e f{number:04} file 0644 0 0 1 {number + 8} 9 1 1 1 - - - -")
        lines += [f"c f{number:04} {p << 22} 409600 {'ab' * 32}" for p in range(pieces)]
    return lines


keys_of = cache(key_of_line)


def records_of(lines: Iterable[str], after: Position) -> Iterator[Record]:
    """Those behind the position."""
    first = key_of(after)
    for line in lines:
        path, index = keys_of(line)
        if (path, index) >= first:
            size = int(line.split(" ")[3]) if line.startswith("c ") else 0
            yield Record(path, index, line, size)


class Copies:
    """Snapshots by their whole names; the far ones by their lanes."""

    def __init__(self) -> None:
        self.trees: dict[str, list[str]] = {}
        self.keyless: set[str] = set()
        self.without_acls: set[str] = set()
        self.scratch: dict[str, str] = {}
        self.pages = 0
        self.told: list[Proof] = []

    def read_page(
        self, snapshot: str, guid: int, after: Position, form: Form, acls: bool, listed: bool
    ) -> Page:
        self.pages += 1
        if snapshot in self.keyless and form is not Form.SEALED:
            raise Standing("key-missing", "Its key is not loaded.")
        lines = self.trees[snapshot]
        shown = acls and snapshot not in self.without_acls
        if not shown:
            lines = [_without_acl(line) for line in lines]
        return Reading(records_of(lines, after), after, shown).next_page(listed=listed)

    def read_far_page(
        self, lane: str, guid: int, after: Position, form: Form, acls: bool, listed: bool
    ) -> Page:
        return self.read_page(lane, guid, after, form, acls, listed)

    def let_go(self, snapshot: str) -> None:
        return None

    def observe_bytes(self, snapshot: str) -> int:
        return 0

    def observe_scratch_properties(self, dataset: str) -> dict[str, str]:
        return {}

    def observe_scratch(self, pool: str) -> dict[str, str]:
        return dict(self.scratch)

    def receive_scratch(self, pool: str, order: ScratchOrder, fd: int) -> None:
        raise AssertionError

    def destroy_scratch(self, dataset: str, mark: str) -> None:
        assert self.scratch.pop(dataset) == mark

    def tell_proof(self, proof: Proof) -> None:
        self.told.append(proof)

    def fetch(
        self,
        lane: str,
        guid: int,
        receive: Callable[[int], Committed],
        count: Callable[[int], None],
    ) -> Committed:
        raise AssertionError


def _without_acl(line: str) -> str:
    return line.rpartition(" ")[0] + " ?" if line.startswith("e ") else line
