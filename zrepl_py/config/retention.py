"""[retention.NODE] of a policy → Keep. docs/formats/policy.md is the specification.

Must never accept a retention that keeps nothing, or one that contradicts itself or the cap.
"""

import re
from typing import Any

from zrepl_py.config.reading import Reader
from zrepl_py.config.values import parse_duration
from zrepl_py.core.voters import UNITS, render_seconds
from zrepl_py.errors import Refused
from zrepl_py.model.names import check_dataset_name
from zrepl_py.model.policy import CALENDAR, Keep, Limits, Rung

MOST = 1_000_000
_RUNG = re.compile(r"([0-9]{1,7})\s*x\s*(\S.*)\Z")
_SHARE = re.compile(r"([0-9]{1,3})\s?%\Z")
_OTHERS = {
    "minutely": 'write grid = ["60 x 1m"]',
    "keep_all": "to keep everything, leave the table out",
    "regex": "keep_matching takes patterns with * and ?",
    "keep_hourly": "the key is hourly",
    "keep_daily": "the key is daily",
    "keep_weekly": "the key is weekly",
    "keep_monthly": "the key is monthly",
    "keep_yearly": "the key is yearly",
    "last_n": "the key is keep_last",
}
"""Keys of other tools, and what zr has instead."""


def read_retention(reader: Reader, limits: Limits, timezone: str) -> dict[str, Keep]:
    """The tables of all nodes; what is wrong is noted in the reader."""
    outer = reader.sub("retention")
    keeps: dict[str, Keep] = {}
    for node, value in outer.table.items():
        if not isinstance(value, dict):
            outer.problem(node, "retention is said per node: put it below [retention.NODE]")
            continue
        keeps[node] = _read_node(outer.sub(node), limits, timezone)
    return keeps


def parse_rung(text: str) -> Rung:
    """`24 x 1h` → Rung(24, 3600). Errors: ValueError."""
    match = _RUNG.match(text)
    if match is None or not 0 < int(match[1]) <= MOST:
        raise ValueError(f'{text!r} is not like "24 x 1h": how many, x, and how wide')
    return Rung(int(match[1]), parse_duration(match[2]))


def parse_share(text: str) -> int:
    """`50%` → 50, from 1 to 100. Errors: ValueError."""
    match = _SHARE.match(text)
    if match is None or not 1 <= int(match[1]) <= 100:
        raise ValueError(f'{text!r} is not a share like "50%" (from 1% to 100%)')
    return int(match[1])


def _read_node(inner: Reader, limits: Limits, timezone: str) -> Keep:
    for key in sorted(_OTHERS.keys() & inner.table.keys()):
        inner.asked.add(key)
        inner.problem(key, f"this key is not known; {_OTHERS[key]}")
    calendar = tuple((name, inner.number(name, 1, 1, MOST)) for name in CALENDAR if inner.has(name))
    keep = Keep(
        last=inner.number("keep_last", 1, 1, MOST) if inner.has("keep_last") else None,
        within_seconds=(
            inner.parsed("keep_within", parse_duration, 1) if inner.has("keep_within") else None
        ),
        grid=_read_grid(inner),
        calendar=calendar,
        at_least=inner.number("keep_at_least", 1, 1, MOST) if inner.has("keep_at_least") else None,
        matching=_read_matching(inner),
        timezone=timezone if calendar else "UTC",
    )
    if not inner.table:
        inner.problem("keep_last", "is missing: to keep everything, leave the table out")
    elif set(inner.table) == {"keep_matching"}:
        inner.problem("keep_matching", "alone keeps nothing of what it does not match: add a rule")
    _check_cap(inner, keep, limits)
    inner.finish()
    return keep


def _read_grid(inner: Reader) -> tuple[Rung, ...]:
    rungs: list[Rung] = []
    for text in inner.texts("grid", []):
        try:
            rungs.append(parse_rung(text))
        except ValueError as error:
            inner.problem("grid", str(error))
    if inner.table.get("grid") == []:
        inner.problem("grid", "is empty: it would keep nothing")
    widths = [rung.cell_seconds for rung in rungs]
    for width in sorted({w for w in widths if widths.count(w) > 1}):
        inner.problem("grid", f"has cells of {render_seconds(width)} twice")
    return tuple(rungs)


def _read_matching(inner: Reader) -> tuple[str, ...]:
    patterns = inner.texts("keep_matching", [])
    if inner.table.get("keep_matching") == []:
        inner.problem("keep_matching", "is empty: it matches nothing")
    for pattern in patterns:
        try:
            check_dataset_name(re.sub(r"[*?\[\]!]", "x", pattern))
        except Refused:
            inner.problem("keep_matching", f"{pattern!r} can match no snapshot's name")
    return patterns


def _check_cap(inner: Reader, keep: Keep, limits: Limits) -> None:
    """No rule may ask for more than the cap lets stay."""
    most = limits.max_snapshots
    counts = [("keep_last", keep.last), ("keep_at_least", keep.at_least), *keep.calendar]
    counts += [("grid", rung.count) for rung in keep.grid]
    for key, number in counts:
        if number is not None and number > most:
            inner.problem(key, f"{number} contradicts max_snapshots = {most}")


def render_keep(keep: Keep) -> str:
    """Retention of one place, in words: `the newest 60 and all of the last 2d`."""
    rules = []
    if keep.last is not None:
        rules.append(f"the newest {keep.last}")
    if keep.within_seconds is not None:
        rules.append(f"all of the last {render_seconds(keep.within_seconds)}")
    for rung in keep.grid:
        rules.append(f"the last of each of {rung.count} x {render_seconds(rung.cell_seconds)}")
    for name, number in keep.calendar:
        rules.append(f"the last of each of {number} {UNITS[name]}")
    if keep.matching:
        rules.append(f"for ever what matches {' or '.join(keep.matching)}")
    if keep.at_least is not None:
        rules.append(f"never fewer than {keep.at_least}")
    return " and ".join(rules) or "everything"


def render_waiting(limits: Limits) -> str:
    """What stays for targets that are away, in words."""
    if not limits.keep_waiting:
        kept = "nothing waits for a target"
    else:
        kept = (
            f"of what a target has not yet, the newest {limits.keep_waiting}, then some of each day"
        )
    if not limits.thin_percent:
        return kept
    return f"{kept}; thinner with less than {limits.thin_percent} % of the pool free"


def describe_keep(keep: Keep) -> dict[str, Any]:
    """The same as JSON; the keys are those of the file."""
    return {
        "keep_last": keep.last,
        "keep_within_seconds": keep.within_seconds,
        "grid": [{"count": r.count, "cell_seconds": r.cell_seconds} for r in keep.grid],
        **{name: dict(keep.calendar).get(name) for name in CALENDAR},
        "keep_matching": list(keep.matching),
        "keep_at_least": keep.at_least,
    }
