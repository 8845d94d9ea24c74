"""What does `zr diff` say of two files, or of two trees: lines, or one JSON object?"""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.host.filepair import FilePair
from zrepl_py.adapters.host.treepair import Compared
from zrepl_py.cli.diff_find import State
from zrepl_py.cli.words import count
from zrepl_py.core.restoring import printable
from zrepl_py.core.times import render_instant
from zrepl_py.core.treediff import Change, Difference

SHOWN = 1000
MARKS = {Change.ADDED: "+", Change.REMOVED: "-", Change.MODIFIED: "M", Change.RENAMED: "R"}


@dataclass(frozen=True, slots=True)
class Compare:
    """What is compared, for sentences."""

    path: str
    dataset: str
    node: str
    """Whose replica, where it is one."""
    old: State
    new: State
    zone: ZoneInfo


def tell_lines(lines: Iterable[str]) -> None:
    """Content goes out as it is, but never to a terminal, which it could steer."""
    on_terminal = sys.stdout.isatty()
    for line in lines:
        if on_terminal:
            click.echo(printable(line.replace("\t", "        ")))
        else:
            click.echo(line.encode("utf-8", "surrogateescape"))


def render_state(state: State, zone: ZoneInfo) -> str:
    """`snapshot zr_…, taken at …`, or `now`."""
    if state.found is None:
        return "now" if state.name == "now" else f"at {state.name}"
    taken = "" if state.at is None else f", taken at {render_instant(state.at, zone)}"
    return f"in {state.name}{taken}"


def render_presence(compare: Compare) -> Iterator[str]:
    """Where one of the two is missing, or is of another kind."""
    path = printable(compare.path)
    old, new = compare.old, compare.new
    for state, other, word in ((old, new, "was not there"), (new, old, "is not there")):
        if state.stat is None and other.stat is not None:
            yield f"{path} {word} {render_state(state, compare.zone)}."
            size = "" if other.is_directory else f", with {other.stat.st_size:,} bytes"
            yield f"It is there {render_state(other, compare.zone)}{size}."


def render_pair(compare: Compare, pair: FilePair) -> Iterator[str]:
    """Two files whose lines are not compared."""
    if pair.first_difference is None:
        yield (
            f"{printable(compare.path)} is the same {render_state(compare.old, compare.zone)} and "
            f"{render_state(compare.new, compare.zone)}: {pair.sizes[0]:,} bytes, "
            f"sha256 {pair.digests[0]}."
        )
        return
    yield f"{printable(compare.path)} differs, first at byte {pair.first_difference:,}:"
    for state, size, digest in zip(
        (compare.old, compare.new), pair.sizes, pair.digests, strict=True
    ):
        yield f"  {size:,} bytes, sha256 {digest}, {render_state(state, compare.zone)}"


def render_file_json(compare: Compare, pair: FilePair | None, lines: list[str] | None) -> Any:
    """docs/reference/cli.md describes it."""
    return {
        **_common(compare, "file"),
        "same": pair is not None and pair.first_difference is None,
        "sizes_bytes": list(pair.sizes) if pair else None,
        "sha256": list(pair.digests) if pair else None,
        "first_difference": pair.first_difference if pair else None,
        "diff": lines,
    }


def render_tree(compare: Compare, done: Compared, *, everything: bool) -> Iterator[str]:
    """A line for each entry that is not as it was."""
    shown = done.differences if everything else done.differences[:SHOWN]
    for one in shown:
        yield f"{MARKS[one.change]}  {_render_entry(one)}"
    if len(done.differences) > len(shown):
        yield f"… {len(done.differences) - len(shown):,} more; --all shows them."
    yield (
        f"{count(len(done.differences), 'difference')} in {printable(compare.path)} between "
        f"{render_state(compare.old, compare.zone)} and {render_state(compare.new, compare.zone)}."
    )


def _render_entry(one: Difference) -> str:
    slash = "/" if one.is_directory else ""
    path = printable("/".join(one.path)) + slash
    if one.change is Change.RENAMED:
        path = f"{printable('/'.join(one.old_path))}{slash} -> {path}"
    if one.what == "attributes":
        return f"{path}  (attributes)"
    if one.what == "content" and one.old and one.new:
        return f"{path}  ({one.old.size_bytes:,} -> {one.new.size_bytes:,} bytes)"
    return path


def render_tree_json(compare: Compare, done: Compared | None) -> Any:
    """docs/reference/cli.md describes it."""
    return {
        **_common(compare, "directory"),
        "same": done is not None and not (done.differences or done.troubles),
        "entries": done.entries if done else 0,
        "differences": [
            {
                "change": one.change.value,
                "path": "/".join(one.path),
                "old_path": "/".join(one.old_path) if one.new and one.old else None,
                "directory": one.is_directory,
                "what": one.what or None,
                "old_size_bytes": one.old.size_bytes if one.old else None,
                "new_size_bytes": one.new.size_bytes if one.new else None,
            }
            for one in (done.differences if done else ())
        ],
        "not_compared": [
            {"path": os.path.join(compare.path, *path), "why": error.message}
            for path, error in (done.troubles if done else ())
        ],
    }


def _common(compare: Compare, kind: str) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": kind,
        "path": compare.path,
        "dataset": compare.dataset,
        "node": compare.node or None,
        "old": _state_json(compare.old, compare.zone),
        "new": _state_json(compare.new, compare.zone),
    }


def _state_json(state: State, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "snapshot": state.name if state.found is not None else None,
        "taken_at": None if state.at is None else render_instant(state.at, zone),
        "there": state.stat is not None,
        "size_bytes": state.stat.st_size if state.stat and not state.is_directory else None,
    }
