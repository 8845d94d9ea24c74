"""`zr where FILE`: which node has copies of it, in which snapshots, and is the newest one safe?

One screen. The same looks, cache and questions as `zr versions`. Reads only.
"""

from collections.abc import Iterator
from typing import Any

import click

from zrepl_py.adapters.host.catalogcache import Listed
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.versions import (
    ask_option,
    file_argument,
    look_option,
    observe_told,
    policies_option,
)
from zrepl_py.cli.versions_say import (
    Told,
    render_json,
    render_notes,
    render_subject_json,
    snapshot_json,
)
from zrepl_py.cli.words import count, render_table, render_taken
from zrepl_py.core.restoring import printable
from zrepl_py.core.whereabouts import Holder, Known


@click.command(epilog="Example: zr where interview.wav")
@file_argument
@ask_option
@look_option
@json_option
@policies_option
@config_option
def where(
    file: str, ask: bool, most: int | None, as_json: bool, policies: str, config: str
) -> None:
    """Say where copies of FILE are: on which node, in which snapshots, the oldest and the newest.

    FILE may be a directory, and need not exist any more; a bare name is looked for as by zr
    restore. A node counts only for snapshots that it is known to have.
    """
    told = observe_told(file, ask, most, policies, config)
    if as_json:
        click.echo(render_json(_render_json(told)))
        return
    for line in _render(told):
        click.echo(line)


def held_by(holder: Holder, told: Told) -> list[Listed]:
    """Those of this node's snapshots with the file (under any name it had) that `holder` has."""
    snapshots = told.seen.catalog.snapshots
    has = holder.has_which([s.guid for s in snapshots])
    indices = {
        i
        for named in told.life.versions
        for first, last in named.version.runs
        for i in range(first, last + 1)
        if has[i]
    }
    return [snapshots[i] for i in sorted(indices)]


def others_of(holder: Holder, told: Told) -> int:
    """How many snapshots it has that this node has not: what is in them, only it can show."""
    if holder.known is not Known.ASKED:
        return 0
    return len(holder.guids - {s.guid for s in told.seen.catalog.snapshots})


def _render(told: Told) -> Iterator[str]:
    subject, zone = told.seen.subject, told.seen.subject.zone
    yield f"{printable(subject.path)}, of {subject.node or 'this node'}'s {subject.dataset}:"
    yield ""
    header = ("NODE", "SNAPSHOTS WITH IT", f"OLDEST ({zone.key})", "NEWEST", "VERSIONS")
    rows = []
    for holder in told.holders:
        held = held_by(holder, told)
        taken = [render_taken(s.name, zone) for s in (held[0], held[-1])] if held else ["-", "-"]
        versions = sum(holder.node in nodes for nodes in told.safe)
        amount = f"{len(held):,}" if holder.known in (Known.HERE, Known.ASKED) else "not known"
        rows.append((holder.node, amount, *taken, f"{versions:,}"))
    yield from render_table(header, rows)
    yield ""
    yield _newest(told)
    for holder in told.holders:
        if others := others_of(holder, told):
            snapshots = count(others, "snapshot")
            yield f"{holder.node} has {snapshots} more that this node has not; look there for them."
    yield from render_notes(told)


def _newest(told: Told) -> str:
    """Which nodes have the newest version, and since when it is so."""
    named, nodes = told.life.versions[0], told.safe[0]
    zone = told.seen.subject.zone
    since = render_taken(told.seen.catalog.snapshots[named.version.first].name, zone)
    what = "It" if named.version.stand.is_directory else "The newest version"
    if len(told.life.versions) > 1 or not named.version.stand.is_directory:
        what += f" (since {since}, {named.version.stand.size_bytes:,} bytes)"
    return f"{what} is safe on {' and '.join(nodes)}." if nodes else f"{what} is safe nowhere else."


def _render_json(told: Told) -> dict[str, Any]:
    zone = told.seen.subject.zone
    copies = []
    for holder in told.holders:
        held = held_by(holder, told)
        copies.append(
            {
                "node": holder.node,
                "known": holder.known.value,
                "dataset": holder.dataset,
                "snapshots": len(held),
                "oldest": snapshot_json(held[0], zone) if held else None,
                "newest": snapshot_json(held[-1], zone) if held else None,
                "versions": sum(holder.node in nodes for nodes in told.safe),
                "other_snapshots": others_of(holder, told),
                "trouble": holder.trouble or None,
            }
        )
    return {
        "format": 1,
        **render_subject_json(told),
        "versions": len(told.life.versions),
        "newest_safe_on": list(told.safe[0]),
        "copies": copies,
        "notes": list(render_notes(told)),
    }
