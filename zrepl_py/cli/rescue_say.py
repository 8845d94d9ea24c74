"""What does `zr rescue` say of rescues, of what only they have, and of what was copied out?"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zrepl_py.cli.diff_say import MARKS
from zrepl_py.cli.rescue_diff import Only, Tail
from zrepl_py.cli.rescue_export import Exported, Wanted
from zrepl_py.cli.rescue_find import Aside, Rescue, name_volume_clone
from zrepl_py.cli.words import count, render_size, render_table
from zrepl_py.core.restoring import printable
from zrepl_py.core.treediff import Change

SHOWN = 1000
NAMED = 10
"""Files that are named before a rescue is dropped."""
Tails = Mapping[Aside, Tail | None]


def render_rescues(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each, as the daemon names them."""
    if not found:
        yield "There is no rescue on this node."
        return
    rows = []
    for one in found:
        members: list[str] = one["members"]
        named = members[0] if members else "none"
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        size = "unknown" if one["bytes"] is None else render_size(one["bytes"])
        sent = f"to {one['peer']}" if one["shipped"] else "NOT YET"
        sent = sent if one["own"] else f"from {one['of']}"
        rows.append((one["label"], one["of"], f"{named}{more}", size, sent))
    yield from render_table(("LABEL", "OF", "DATASETS", "SIZE HERE", "SENT"), rows)


LISTED_BOTH = (
    "The same LABEL on both nodes is the same rescue, though it may take more room on one of them."
)


def render_elsewhere(told: Sequence[Mapping[str, Any]], label: str) -> Iterator[str]:
    """Before a rescue is dropped: what the other node said just now."""
    for one in told:
        peer = one["peer"]
        if one["has"] == "all":
            yield f"{peer} has it too, as it says now: there it stays until it is dropped there."
        elif one["has"] == "part":
            yield f"{peer} HAS ONLY A PART OF IT: of the rest this is the last copy that zr knows."
        elif one["has"] == "none":
            yield f"{peer} DOES NOT HAVE IT: this is the last copy that zr knows."
        else:
            why = f": {one['why']}" if one["why"] else "."
            yield f"WHETHER {peer} HAS IT IS NOT KNOWN NOW, so take this for the last copy{why}"
    if any(one["has"] != "all" for one in told):
        yield f"To keep its files first: zr rescue export {label} --to DIR"


def render_named(tails: Tails) -> Iterator[str]:
    """Before a rescue is dropped: what only it has, in short."""
    found = [(aside, one) for aside, tail in tails.items() if tail for one in tail.only]
    yield f"Not at their places with this content: {_render_total(tails)}"
    for aside, one in found[:NAMED]:
        yield f"  {aside.member}: {_render_only(one)}"
    if len(found) > NAMED:
        yield f"  … {len(found) - NAMED:,} more: `zr rescue diff` names them."


def _render_total(tails: Tails) -> str:
    """`2 files, 70.0 MiB`; and what that leaves out."""
    known = [tail for tail in tails.values() if tail is not None]
    files, size = sum(len(t.only) for t in known), sum(t.size_bytes for t in known)
    said = f"{count(files, 'file')}, {render_size(size)}"
    if volumes := len(tails) - len(known):
        said += f"; besides, {count(volumes, 'volume')}, which nobody compared"
    if left := sum(len(tail.troubles) for tail in known):
        said += f"; {count(left, 'file')} could not be looked into"
    return f"{said}."


def render_tails(found: Rescue, tails: Tails, *, everything: bool) -> Iterator[str]:
    """Dataset by dataset, then the command that copies it."""
    files = size = both = 0
    empty = []
    for aside, tail in tails.items():
        if tail == Tail():
            empty.append(aside.member)
            continue
        since = aside.base or "the beginning: nothing is in common"
        yield f"{aside.member}, as it was on {found.of}, since {since}:"
        if tail is None:
            yield f"  a volume: its blocks are not compared. {name_volume_clone(aside)}"
            continue
        files, size = files + len(tail.only), size + tail.size_bytes
        both += sum(one.also_changed for one in tail.only)
        shown = tail.only if everything else tail.only[:SHOWN]
        yield from (f"  {_render_only(one)}" for one in shown)
        if len(tail.only) > len(shown):
            yield f"  … {len(tail.only) - len(shown):,} more; --all shows them."
        if rest := _render_rest(tail):
            yield f"  {rest}"
    if empty:
        yield f"Nothing in {', '.join(empty)}."
    if files:
        yield "+ is new, M changed, R renamed since then."
    if both:
        yield (
            "ALSO CHANGED: on the primary it was changed or removed, too. Both are kept: its owner "
            "chooses, and it stays named here."
        )
    yield f"{count(files, 'file')}, {render_size(size)}, not at their places with this content." + (
        f" To copy them: zr rescue export {found.label} --to DIR" if files else ""
    )


def _render_only(one: Only) -> str:
    path = printable("/".join(one.path))
    if one.change is Change.RENAMED:
        path = f"{printable('/'.join(one.old_path))} -> {path}"
    size = f"{one.size_bytes:,} bytes" if one.regular else "no regular file"
    both = "; ALSO CHANGED on the primary since" if one.also_changed else ""
    return f"{MARKS[one.change]}  {path}  ({size}{both})"


def _render_rest(tail: Tail) -> str:
    """What is not named, in numbers."""
    parts = [
        (tail.already, "is there now with the same content"),
        (tail.removed, "was removed in that time"),
        (tail.attributes, "has only other attributes"),
        (len(tail.troubles), "could not be looked into"),
    ]
    said = [f"{number:,} {words}" for number, words in parts if number]
    return f"Besides: {'; '.join(said)}." if said else ""


def describe_tails(found: Rescue, tails: Tails) -> dict[str, Any]:
    """For `--json`; docs/reference/cli.md describes it."""
    return {
        "label": found.label,
        "of": found.of,
        "shipped_here": found.shipped,
        "datasets": [_describe(aside, tail) for aside, tail in tails.items()],
    }


def _describe(aside: Aside, tail: Tail | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "dataset": aside.member,
        "stored": aside.stored,
        "snapshot": aside.snapshot,
        "base": aside.base,
        "place": aside.place,
        "volume": tail is None,
    }
    if tail is None:
        return told
    return told | {
        "only": [
            {
                "change": one.change.value,
                "path": "/".join(one.path),
                "old_path": "/".join(one.old_path) if one.change is Change.RENAMED else None,
                "size_bytes": one.size_bytes,
                "also_changed": one.also_changed,
            }
            for one in tail.only
        ],
        "already": tail.already,
        "removed": tail.removed,
        "attributes": tail.attributes,
        "not_compared": [
            {"path": "/".join(path), "why": error.message} for path, error in tail.troubles
        ],
    }


def render_exported(
    found: Rescue, done: Exported, planned: Sequence[Wanted] | None, folder: str
) -> Iterator[str]:
    """What came out; `planned`: what would."""
    if planned is not None:
        for one in planned[:SHOWN]:
            yield f"would copy {printable('/'.join((one.aside.member, *one.inside)))}"
        if len(planned) > SHOWN:
            yield f"… and {len(planned) - SHOWN:,} more"
        yield f"{count(len(planned), 'file')} of the rescue {found.label} would go to {folder}."
        return
    for path, error in done.left:
        yield f"NOT copied: {printable(path)}: {error.message}"
    already = f" There already, the same: {done.already:,}." if done.already else ""
    yield (
        f"Copied {count(len(done.paths), 'file')} ({render_size(done.size_bytes)}) of the rescue "
        f"{found.label} to {folder}, each compared with it.{already}"
    )


def describe_exported(
    found: Rescue, done: Exported, planned: Sequence[Wanted] | None, folder: str
) -> dict[str, Any]:
    """For `--json`."""
    paths = done.paths
    if planned is not None:
        where = os.path.abspath(folder)
        paths = [os.path.join(where, *w.aside.member.split("/"), *w.inside) for w in planned]
    return {
        "label": found.label,
        "done": planned is None,
        "paths": paths,
        "size_bytes": done.size_bytes,
        "already": done.already,
        "left": [
            {"path": path, "reason": error.reason, "why": error.message}
            for path, error in done.left
        ],
    }
