"""What do `zr versions` and its like say: a table with commands to type, or one JSON object?

Names may hold anything: they are made printable for the terminal, and quoted where they are typed.
"""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from zrepl_py.adapters.host.catalogcache import Listed
from zrepl_py.cli.progress import count_shown
from zrepl_py.cli.versions_find import Seen, Subject
from zrepl_py.cli.versions_trace import Life, NamedVersion
from zrepl_py.cli.words import count, render_moment, render_table
from zrepl_py.core.restoring import MAX_COMPONENT_BYTES, printable
from zrepl_py.core.sights import Absent, Hidden, Sight, Stand
from zrepl_py.core.times import render_instant
from zrepl_py.core.whereabouts import Holder, Known

SHOWN = 20
_STEP = 50
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to tell of a file."""

    seen: Seen
    life: Life
    holders: list[Holder]
    safe: list[tuple[str, ...]]
    """For each version of `life`: the nodes on which it is known to be."""
    now: Sight | None
    looked: int

    @property
    def now_word(self) -> str:
        """`same` as the newest version, `changed`, `gone`, `hidden`, or `elsewhere`."""
        if self.now is None:
            return "elsewhere"
        if isinstance(self.now, Stand):
            newest = self.life.versions[0].version.stand
            return "same" if self.now.is_same_version(newest) else "changed"
        return "gone" if isinstance(self.now, Absent) else "hidden"


def path_of(subject: Subject, inside: tuple[str, ...]) -> str:
    """Where `inside` is or was, absolute."""
    root = subject.path[: len(subject.path) - len("/".join(subject.inside))]
    return os.path.join(root or "/", *inside)


def render_command(told: Told, named: NamedVersion) -> str:
    """What restores this version, beside what is there now."""
    subject, snapshot = told.seen.subject, told.seen.catalog.snapshots[named.version.last]
    path = path_of(subject, named.inside)
    words = ["zr", "restore", f"{path}@{snapshot.name}"]
    if subject.node or told.now_word not in ("gone",) or named.inside != subject.inside:
        stamp = snapshot.name.rpartition("_")[2] if snapshot.at is not None else snapshot.name
        beside = f"{os.path.basename(path)}.{stamp}"
        fits = len(os.fsencode(beside)) <= MAX_COMPONENT_BYTES
        folder = "." if subject.node else os.path.dirname(path)
        words += ["--to", os.path.join(folder, beside) if fits else "."]
    return " ".join(quote(word) for word in words)


def quote(word: str) -> str:
    """One word for a shell; what would steer a terminal, or is no UTF-8, as bash's $'…'."""
    if word.isprintable():
        return shlex.quote(word)
    plain = {b: chr(b) for b in range(32, 127) if b not in b"'\\"}
    return "$'" + "".join(plain.get(b, f"\\x{b:02x}") for b in os.fsencode(word)) + "'"


def render_versions(told: Told, *, everything: bool) -> Iterator[str]:
    """The lines for people."""
    subject, zone = told.seen.subject, told.seen.subject.zone
    named = list(zip(told.life.versions, told.safe, strict=True))
    shown = named if everything else named[:SHOWN]
    yield f"{printable(subject.path)} ({_source(subject)}): {count(len(named), 'version')}."
    yield ""
    snapshots = told.seen.catalog.snapshots
    header = (f"FROM ({zone.key})", "TO", "SNAPSHOTS", "BYTES", "SAFE ON")
    rows = []
    for one, nodes in shown:
        version = one.version
        first, last = snapshots[version.first], snapshots[version.last]
        times = (_time(first, zone), _time(last, zone))
        amounts = (f"{version.count:,}", f"{version.stand.size_bytes:,}")
        rows.append((*times, *amounts, ", ".join(nodes)))
    table = render_table(header, rows)
    yield table[0]
    inside = subject.inside
    for line, (one, _) in zip(table[1:], shown, strict=True):
        if one.inside != inside:
            inside = one.inside
            yield f"Before, it was called {printable(path_of(subject, inside))}:"
        yield line
        yield f"    {render_command(told, one)}"
    if len(named) > len(shown):
        yield f"… {count(len(named) - len(shown), 'older version')}; --all shows them."
    yield ""
    yield from render_notes(told)


def render_notes(told: Told) -> Iterator[str]:
    """How it stands now, who is there, and what is not known."""
    yield from _now(told)
    yield from _fate(told)
    for holder in told.holders:
        if holder.known is Known.ACKNOWLEDGED:
            yield (
                f"{holder.node} was not asked, which only root may: only what it acknowledged last "
                "counts as safe there."
            )
        elif holder.known is Known.SILENT:
            trouble = holder.trouble.rstrip(".")
            yield (
                f"{holder.node} could not be asked ({trouble}): only what it acknowledged last "
                "counts as safe there."
            )
    if told.seen.subject.node:
        yield f"Which snapshots {told.seen.subject.node} itself still has is not known here."
    hidden = [s for s in told.seen.timeline.sights if isinstance(s, Hidden)]
    if hidden:
        yield f"{count(len(hidden), 'snapshot')} could not be looked into: {hidden[-1].message}"
    if unknown := told.seen.timeline.unknown:
        yield (
            f"{count(unknown, 'snapshot')} were not looked into, so versions may be missing. The "
            "same command goes on there."
        )


def _now(told: Told) -> Iterator[str]:
    word = told.now_word
    newest = told.life.versions[0].version
    if word == "changed" and isinstance(told.now, Stand):
        size = f"{told.now.size_bytes:,} bytes"
        yield f"As it is now ({size}) it is in no snapshot yet: only this disk has it."
    elif word == "same":
        yield "As it is now, it is the newest version."
    elif word == "gone" and newest.last == len(told.seen.timeline.sights) - 1:
        yield "It is gone since the newest snapshot."


def _fate(told: Told) -> Iterator[str]:
    life, subject = told.life, told.seen.subject
    if life.gone_after is not None:
        snapshots = told.seen.catalog.snapshots
        first = _time(snapshots[life.gone_after], subject.zone)
        after = _time(snapshots[life.gone_after + 1], subject.zone)
        if life.became is not None:
            name = path_of(subject, life.became)
            command = f"zr versions {quote(name)}"
            yield f"Renamed between {first} and {after}, to {printable(name)}: {command}"
        elif not life.doubt:
            yield f"Deleted between {first} and {after}."
        else:
            yield f"Gone between {first} and {after}."
    if life.doubt:
        yield life.doubt


def render_json(value: Any) -> str:
    """For scripts; escaped, for paths need not be UTF-8."""
    return json.dumps(value, indent=2)


def render_versions_json(told: Told) -> dict[str, Any]:
    """docs/reference/cli.md describes it."""
    subject, life = told.seen.subject, told.life
    return {
        "format": 1,
        **render_subject_json(told),
        "versions": [
            _version_json(told, one, nodes)
            for one, nodes in zip(life.versions, told.safe, strict=True)
        ],
        "renamed_to": path_of(subject, life.became) if life.became else None,
        "gone_after": told.seen.catalog.snapshots[life.gone_after].name
        if life.gone_after is not None
        else None,
        "notes": list(render_notes(told)),
    }


def render_subject_json(told: Told) -> dict[str, Any]:
    """What both commands say of the file and of the looks."""
    subject, timeline = told.seen.subject, told.seen.timeline
    return {
        "path": subject.path,
        "dataset": subject.dataset,
        "node": subject.node or None,
        "now": told.now_word,
        "snapshots": len(timeline.sights),
        "looked_into": told.looked,
        "not_looked_into": timeline.unknown,
        "hidden": sum(isinstance(s, Hidden) for s in timeline.sights),
    }


def _version_json(told: Told, named: NamedVersion, nodes: tuple[str, ...]) -> dict[str, Any]:
    subject, version = told.seen.subject, named.version
    snapshots = told.seen.catalog.snapshots
    return {
        "path": path_of(subject, named.inside),
        "size_bytes": version.stand.size_bytes,
        "modified_at": render_instant(version.stand.modified_ns // _SECOND_NS, subject.zone),
        "inode": version.stand.inode,
        "first": snapshot_json(snapshots[version.first], subject.zone),
        "last": snapshot_json(snapshots[version.last], subject.zone),
        "snapshots": version.count,
        "unbroken": len(version.runs) == 1,
        "safe_on": list(nodes),
        "restore": render_command(told, named),
    }


def snapshot_json(snapshot: Listed, zone: ZoneInfo) -> dict[str, Any]:
    """Name and time."""
    at = None if snapshot.at is None else render_instant(snapshot.at, zone)
    return {"snapshot": snapshot.name, "taken_at": at}


def _source(subject: Subject) -> str:
    return f"{subject.node}'s {subject.dataset}" if subject.node else subject.dataset


def _time(snapshot: Listed, zone: ZoneInfo) -> str:
    return snapshot.name if snapshot.at is None else render_moment(snapshot.at, zone)


def looks_shown(
    what: str = "snapshots looked into",
) -> AbstractContextManager[Callable[[int], None]]:
    """On a terminal: how much was looked at, where that takes a while."""
    return count_shown(_STEP, lambda looked: f"{looked:,} {what}")
