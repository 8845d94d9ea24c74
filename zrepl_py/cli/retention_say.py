"""What stays and why, what goes and why: as a timeline for people, as JSON for scripts. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from zrepl_py.cli.retention_find import Looked
from zrepl_py.cli.words import count, find_zone, render_moment, render_table
from zrepl_py.config.retention import describe_keep, render_keep
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import parse_tick

STAYS, GOES, ASKED, FOREIGN = "stays", "goes", "asked", "foreign"
DESTROYED, GONE = "destroyed", "gone"
NOT_OURS = ("not made by zr: never touched",)
WORDS = {STAYS: "stays", GOES: "GOES", ASKED: "WOULD GO", FOREIGN: "stays"}


@dataclass(frozen=True, slots=True)
class Fate:
    """One line of the timeline."""

    snapshot: Snapshot
    fate: str
    """`stays`, `goes`, `asked` (goes when a person allows it), `foreign`."""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one snapshot that a plan let go."""

    name: str
    """Its whole name."""
    fate: str
    """`destroyed`; `gone`: somebody else had destroyed it before; `stays`."""
    cause: str = ""
    """Why it stays: the hold's tag, the clone's name, who reads it."""


def fates_of(looked: Looked) -> list[Fate]:
    """Every snapshot of the dataset, oldest first, foreign ones too."""
    asked = {v.snapshot.guid for v in looked.removal.withheld}
    verdicts = {v.snapshot.guid: v for v in looked.verdicts}
    fates = []
    for snapshot in looked.history.snapshots:
        verdict = verdicts.get(snapshot.guid)
        if verdict is None:
            fates.append(Fate(snapshot, FOREIGN, NOT_OURS))
        elif verdict.keep:
            fates.append(Fate(snapshot, STAYS, verdict.reasons))
        else:
            fate = ASKED if snapshot.guid in asked else GOES
            fates.append(Fate(snapshot, fate, verdict.reasons))
    return fates


def render_timeline(looked: Looked, *, every: bool) -> list[str]:
    """Neighbours with the same fate for the same reasons are one line, unless `every`."""
    meant, fates = looked.meant, fates_of(looked)
    zone = find_zone({meant.policy.timezone})
    of = f" (the copy of {meant.dataset} of {meant.source})" if meant.is_replica else ""
    lines = [
        f"{meant.name}{of}: by {meant.policy.origin}, {render_keep(meant.keep)} stays here.",
    ]
    rows = [_row(list(group), zone) for group in _grouped(fates, every)]
    if rows:
        lines += [f"  {line}" for line in render_table(("taken", "", "fate", "why"), rows)]
    return [*lines, *_render_end(looked, fates)]


def render_difference(now: Looked, then: Looked) -> str:
    """What another policy would change, as a sentence."""
    stay_now = {f.snapshot.guid for f in fates_of(now) if f.fate == STAYS}
    stay_then = {f.snapshot.guid for f in fates_of(then) if f.fate == STAYS}
    lost, spared = len(stay_now - stay_then), len(stay_then - stay_now)
    if not lost and not spared:
        return "By the policies in force the same ones stay: nothing would change."
    return (
        f"Against the policies in force: {count(lost, 'snapshot')} more would go, and "
        f"{count(spared, 'snapshot')} that now go would stay. What is gone does not come back."
    )


def describe_look(looked: Looked) -> dict[str, Any]:
    """One dataset as JSON."""
    meant, removal, fates = looked.meant, looked.removal, fates_of(looked)
    doubt = removal.doubt
    return {
        "dataset": meant.name,
        "source": meant.source,
        "source_dataset": meant.dataset,
        "policy": meant.policy.name,
        "file": meant.policy.origin,
        "retention": describe_keep(meant.keep),
        "plan": removal.digest if removal.doomed or removal.withheld else None,
        "doubt": {"reason": doubt.reason, "message": doubt.sentence} if doubt else None,
        "counts": {word: sum(f.fate == word for f in fates) for word in WORDS},
        "snapshots": [
            {
                "name": f.snapshot.name,
                "guid": str(f.snapshot.guid),
                "created_at": f.snapshot.created_at,
                "fate": f.fate,
                "reasons": list(f.reasons),
            }
            for f in fates
        ],
    }


def render_outcomes(dataset: str, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """How many went; then a line for each one that stays against the plan."""
    gone = sum(o.fate == GONE for o in outcomes)
    also = f", {count(gone, 'snapshot')} had gone before" if gone else ""
    went = sum(o.fate == DESTROYED for o in outcomes)
    yield f"{dataset}: {count(went, 'snapshot')} destroyed{also}."
    for outcome in outcomes:
        if outcome.fate == STAYS:
            yield f"  left: {outcome.name}: {outcome.cause}"


def describe_outcomes(dataset: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The same as JSON, with each snapshot of the plan."""
    return {
        "format": 1,
        "dataset": dataset,
        "destroyed": sum(o.fate == DESTROYED for o in outcomes),
        "left": [f"{o.name}: {o.cause}" for o in outcomes if o.fate == STAYS],
        "snapshots": [
            {"name": o.name.partition("@")[2], "fate": o.fate, "cause": o.cause} for o in outcomes
        ],
    }


def _grouped(fates: list[Fate], every: bool) -> Iterator[Iterator[Fate]]:
    if every:
        yield from (iter([fate]) for fate in fates)
        return
    for _, group in groupby(fates, key=lambda f: (f.fate, f.reasons)):
        yield group


def _row(group: list[Fate], zone: ZoneInfo) -> tuple[str, ...]:
    first, last = group[0], group[-1]
    taken = _taken(first.snapshot, zone)
    if first is not last:
        taken = f"{taken} … {_taken(last.snapshot, zone)}"
    many = f"{len(group)}" if first is not last else first.snapshot.name
    return taken, many, WORDS[first.fate], "; ".join(first.reasons)


def _taken(snapshot: Snapshot, zone: ZoneInfo) -> str:
    tick = parse_tick(snapshot.name)
    return render_moment(tick.at if tick else snapshot.created_at, zone)


def _render_end(looked: Looked, fates: list[Fate]) -> Iterator[str]:
    numbers: Mapping[str, int] = {w: sum(f.fate == w for f in fates) for w in WORDS}
    said = [f"{numbers[STAYS]} stay", f"{numbers[GOES]} go"]
    if numbers[ASKED]:
        said.append(f"{numbers[ASKED]} would go when you allow it")
    if numbers[FOREIGN]:
        said.append(f"{numbers[FOREIGN]} are not zr's")
    yield f"  {count(len(fates), 'snapshot')}: {', '.join(said)}."
    removal, name = looked.removal, looked.meant.name
    if removal.doubt is not None:
        yield f"  The daemon asks first: {removal.doubt.sentence}"
        yield (f"  To allow exactly this plan: zr retention apply {name} --plan {removal.digest}")
