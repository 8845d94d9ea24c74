"""What does `zr restore` say: a sentence and its notes, one JSON object, a bar on a terminal?

Paths need not be UTF-8. What was left out is always said, never hidden.
"""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import click

from zrepl_py.adapters.host.attributes import Loss
from zrepl_py.adapters.host.filecopy import Progress
from zrepl_py.cli.progress import count_shown
from zrepl_py.core.restoring import printable
from zrepl_py.core.times import render_instant
from zrepl_py.core.versions import Chosen

_BIG_BYTES = 16 * 1024 * 1024
_SHOWN = 5
_WORDS = {
    "owner": "the owner (yours now)",
    "group": "the group (its rights are off)",
    "acl": "the access control list",
    "xattrs": "extended attributes",
    "setuid": "the set-user-id or set-group-id bit",
    "capabilities": "the capabilities",
    "device": "the device",
}
_PRIVILEGED = frozenset(("setuid", "capabilities", "device"))


@dataclass
class Answer:
    """What is said of one restore, whatever it was of."""

    kind: str
    """`file`, `directory`, `dataset`, `other` (a link, pipe, socket, device), or `unknown`: what
    was not fetched yet."""
    path: str
    """Where it is now; of a dataset its name; `-` for standard output."""
    dataset: str
    node: str
    """Of which node's dataset a replica was used; empty for this machine's own snapshots."""
    chosen: Chosen
    zone: ZoneInfo
    size_bytes: int
    amount: str
    """For people: `7 bytes`, `12 files, 3,000 bytes`."""
    proof: str = ""
    """For people: how it was compared."""
    done: bool = True
    peer: str = ""
    """The node from whose copy it was fetched; empty where it was here."""
    sha256: str = ""
    kept: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)
    examples: Sequence[tuple[str, Loss]] = ()
    """(path within the tree or "", what was lost)"""
    left_out: Sequence[tuple[str, str]] = ()
    """(path, why)"""
    advice: str = ""
    policy: str = ""
    """Of a dataset: the policy of this node under which it falls from now on."""


def tell(answer: Answer, *, as_json: bool) -> None:
    """The answer on standard output, notes on standard error."""
    if as_json:
        click.echo(json.dumps(_render_json(answer)))
        return
    chosen = answer.chosen
    at = None if chosen.at is None else render_instant(chosen.at, answer.zone)
    taken = f"taken at {at}" if at else "not made by zr"
    copy = f"{answer.node}'s " if answer.node else ""
    copy = f"{answer.peer}'s copy of " if answer.peer else copy
    source = f"{copy}{answer.dataset}@{chosen.name}, {taken}"
    path = printable(answer.path)
    proof = f", {answer.proof}" if answer.done and answer.proof else ""
    verb = "Restored" if answer.done else "Would restore"
    to_output = answer.path == "-"
    click.echo(f"{verb} {path} ({answer.amount}{proof}) from {source}.", err=to_output)
    if answer.kept:
        kept = printable(answer.kept)
        word = "is now" if answer.done else "would be kept as"
        click.echo(f"What was there {word} {kept}.", err=to_output)
    for note in (*_notes(answer), _falls_under(answer), answer.advice):
        if note:
            click.echo(f"Note: {note}", err=True)


def _notes(answer: Answer) -> Iterator[str]:
    single = [loss.words for path, loss in answer.examples if not path]
    if single and answer.kind != "directory":
        yield f"{'; '.join(single)}."
    elif answer.losses:
        for kind, count in sorted(answer.losses.items()):
            paths = [p or "." for p, loss in answer.examples if loss.kind == kind]
            yield f"not restored: {_WORDS[kind]} of {count:,}: {_some(paths, count)}."
    if _PRIVILEGED & ({loss.kind for _, loss in answer.examples} | set(answer.losses)):
        yield "--privileged, as root, brings set-user-id bits, capabilities and devices back too."
    for path, why in answer.left_out[:_SHOWN]:
        yield f"left out: {printable(path)}: {why.rstrip('.')}."
    if len(answer.left_out) > _SHOWN:
        yield f"{len(answer.left_out) - _SHOWN} more were left out; --json names all of them."
    if answer.chosen.doubt:
        yield (
            f"a clock was wrong around then, or after: {answer.chosen.doubt} was taken later than "
            "this one, and perhaps before the time you gave. To see that one, give its name "
            "instead of a time."
        )


def _falls_under(answer: Answer) -> str:
    if not answer.policy:
        return ""
    verb = "falls" if answer.done else "would fall"
    return (
        f"{answer.path} {verb} under the policy {answer.policy}: it is snapshotted and sent like "
        f"all that it selects, until you destroy it. If that is not meant, add it to `exclude` "
        f"there and run zr reload (zr policy explain {answer.path})."
    )


def _some(paths: list[str], count: int) -> str:
    shown = ", ".join(printable(p) for p in paths[:_SHOWN])
    return shown if count <= _SHOWN else f"{shown}, …"


def _render_json(answer: Answer) -> dict[str, Any]:
    chosen = answer.chosen
    notes = [loss.words for path, loss in answer.examples if not path]
    return {
        "format": 1,
        "done": answer.done,
        "kind": answer.kind,
        "path": answer.path,
        "from": "peer" if answer.peer else "local",
        "peer": answer.peer or None,
        "node": answer.node or None,
        "dataset": answer.dataset,
        "snapshot": chosen.name,
        "taken_at": None if chosen.at is None else render_instant(chosen.at, answer.zone),
        "later_snapshot": chosen.doubt or None,
        "size_bytes": answer.size_bytes,
        "sha256": answer.sha256 or None,
        "kept": answer.kept or None,
        "counts": answer.counts,
        "notes": notes,
        "lost": [
            {"path": path, "kind": loss.kind, "what": loss.words} for path, loss in answer.examples
        ],
        "left_out": [{"path": path, "why": why} for path, why in answer.left_out],
        "policy": answer.policy or None,
    }


def count_words(parts: Iterable[tuple[int, str]]) -> str:
    """`((2, "file"), (0, "other"), (1, "directory"))` → `2 files, 1 directory`."""
    plural = {"directory": "directories", "other": "others", "file": "files"}
    return ", ".join(f"{n:,} {w if n == 1 else plural[w]}" for n, w in parts if n)


@contextlib.contextmanager
def show_progress(total: int, label: str = "Restoring and checking") -> Iterator[Progress]:
    """A bar on a terminal for what takes a while, with the time that remains."""
    if total < _BIG_BYTES or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total, label=label, file=sys.stderr, show_eta=True) as bar:
        yield bar.update


def fetch_progress() -> AbstractContextManager[Progress]:
    """How much came so far, on a terminal; told the total each time."""
    return count_shown(_BIG_BYTES, lambda total: f"{total >> 20:,} MiB fetched")


def joined(base: str, path: Sequence[str]) -> str:
    """A path below `base`, for people."""
    return os.path.join(base, *path)
