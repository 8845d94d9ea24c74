"""What differs between two trees of the same dataset, as far as the caller may look?

Both are walked at once, directory by directory, so memory goes with what differs, not with what is
there. Follows no link and leaves no file system. What cannot be looked into is told, and the walk
goes on. Reads directories, no files.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from zrepl_py.adapters.host.snapdir import translate_open_error
from zrepl_py.adapters.host.statx import Facts, observe_facts
from zrepl_py.adapters.host.treewalk import Components, open_folder
from zrepl_py.core.restoring import printable
from zrepl_py.core.treediff import Difference, Entry, find_differences, judge_pair
from zrepl_py.errors import ZrError

_HIDDEN = ".zfs"
_STEP = 4096


@dataclass(frozen=True, slots=True)
class Tree:
    """One of the two. `top` is a descriptor of its directory, which stays the caller's."""

    top: int
    shown: str
    """For sentences: a snapshot's name, or `now`."""


@dataclass
class Compared:
    """What was found."""

    differences: list[Difference] = field(default_factory=list)
    entries: int = 0
    """How many were looked at, in both together."""
    troubles: list[tuple[Components, ZrError]] = field(default_factory=list)


def compare_trees(old: Tree, new: Tree, progress: Callable[[int], None]) -> Compared:
    """`progress`: told how many entries were looked at. Errors: none; see Compared.troubles."""
    pairing = _Pairing(old, new, progress)
    pairing.walk()
    done = pairing.done
    done.differences = find_differences(pairing.pairs, pairing.removed, pairing.added)
    return done


class _Pairing:
    def __init__(self, old: Tree, new: Tree, progress: Callable[[int], None]) -> None:
        self._old, self._new, self._progress = old, new, progress
        self.done = Compared()
        self.pairs: list[tuple[Components, Entry, Entry]] = []
        self.removed: dict[Components, Entry] = {}
        self.added: dict[Components, Entry] = {}
        self._mounted: set[Components] = set()
        """Where another file system hides what stands there."""

    def walk(self) -> None:
        waiting: list[tuple[Components, bool, bool]] = [((), True, True)]
        while waiting:
            path, in_old, in_new = waiting.pop()
            before = self._list(self._old, path) if in_old else {}
            after = self._list(self._new, path) if in_new else {}
            if before is None or after is None:
                continue  # told; what is below cannot be compared
            for name in sorted(before.keys() | after.keys()):
                waiting += self._judge((*path, name), before.get(name), after.get(name))

    def _judge(
        self, path: Components, old: Entry | None, new: Entry | None
    ) -> Iterator[tuple[Components, bool, bool]]:
        """Note an entry; what is to be looked into next."""
        if path in self._mounted and old and new:
            return
        if old and new and stat.S_IFMT(old.mode) == stat.S_IFMT(new.mode):
            if judge_pair(old, new):
                self.pairs.append((path, old, new))
            if old.is_directory:
                yield path, True, True
            return
        if old:
            self.removed[path] = old
        if new:
            self.added[path] = new
        if path in self._mounted:
            return
        if (old and old.is_directory) or (new and new.is_directory):
            yield path, bool(old and old.is_directory), bool(new and new.is_directory)

    def _list(self, tree: Tree, path: Components) -> dict[str, Entry] | None:
        """Name → entry; None where it cannot be looked into."""
        try:
            folder = open_folder(tree.top, path)
        except OSError as error:
            self._tell(tree, path, error)
            return None
        try:
            device = observe_facts("", folder).device
            found = {}
            for name in os.listdir(folder):
                if name == _HIDDEN and not path:
                    continue
                facts = observe_facts(name, folder)
                found[name] = _entry(facts)
                if facts.device != device:
                    self._mounted.add((*path, name))
                self.done.entries += 1
                if self.done.entries % _STEP == 0:
                    self._progress(self.done.entries)
            return found
        except OSError as error:
            self._tell(tree, path, error)
            return None
        finally:
            os.close(folder)

    def _tell(self, tree: Tree, path: Components, error: OSError) -> None:
        shown = printable("/".join(path)) or "/"
        self.done.troubles.append((path, translate_open_error(error, tree.shown, shown)))


def _entry(facts: Facts) -> Entry:
    return Entry(
        facts.inode,
        facts.born_ns,
        facts.size_bytes,
        facts.modified_ns,
        facts.changed_ns,
        facts.mode,
        (facts.uid, facts.gid),
    )
