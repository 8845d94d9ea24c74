"""policies/*.toml → Policy. docs/formats/policy.md is the specification.

Invariants: a directory is loaded whole or not at all, with every problem named; no key is ignored;
no dataset can ever fall under two policies of one source. Reads files, changes nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from zrepl_py.config.reading import Problems, Reader, open_reader
from zrepl_py.config.suggest import nearest
from zrepl_py.config.values import parse_duration, parse_percent
from zrepl_py.core.overlap import find_overlap
from zrepl_py.core.retention import render_seconds
from zrepl_py.core.selection import check_pattern
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.policy import Keep, Limits, Policy, Selection

FORMAT = 1
_LATER = frozenset(
    ("grid", "minutely", "hourly", "daily", "weekly", "monthly", "yearly", "keep_all", "regex")
)
"""Keys of retention that are planned or known from other tools; refused by name."""


def load_policies(directory: str) -> tuple[Policy, ...]:
    """All policies of a directory, by file name; raises Standing(config) listing all problems."""
    folder = Path(directory)
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix == ".toml" and p.name[0] != ".")
    except OSError as error:
        raise Standing(
            "config",
            f"The policies in {directory} cannot be read: {error.strerror}.",
            "Create the directory, or say where the policies are.",
        ) from error
    problems = Problems()
    policies = [p for path in paths if (p := _read_policy(path, problems)) is not None]
    _check_together(policies, problems)
    problems.raise_any()
    return tuple(policies)


def load_policy(path: str) -> Policy:
    """One policy file; raises Standing(config) listing all problems."""
    problems = Problems()
    policy = _read_policy(Path(path), problems)
    problems.raise_any()
    if policy is None:
        raise Standing("config", f"{path} holds no policy.")
    return policy


def caution_policy(policy: Policy) -> tuple[str, ...]:
    """Sentences about what is allowed but perhaps not what was meant; for `zr policy check`."""
    most = policy.limits.max_snapshots
    return tuple(
        f"{policy.origin}: on {node}, a snapshot every {render_seconds(policy.every_seconds)} for "
        f"{render_seconds(keep.within_seconds)} makes up to {count} per dataset, but max_snapshots "
        f"= {most}: where more is written, the oldest go earlier."
        for node, keep in policy.keep.items()
        if keep.within_seconds is not None
        and (count := keep.within_seconds // policy.every_seconds + 1) > most
    )


def _read_policy(path: Path, problems: Problems) -> Policy | None:
    before = len(problems.sentences)
    reader = open_reader(path, FORMAT, problems)
    if reader is None:
        return None
    head = reader.sub("policy", required=True)
    limits = _read_limits(reader.sub("limits"))
    policy = Policy(
        name=_read_name(head, "name"),
        source=_read_name(head, "source"),
        selection=Selection(_read_patterns(head, "datasets"), _read_patterns(head, "exclude")),
        every_seconds=_read_every(head),
        targets=head.texts("targets", []),
        keep=_read_retention(reader, limits),
        limits=limits,
        timezone=_read_timezone(head),
        origin=str(path),
    )
    head.finish()
    reader.finish()
    if len(problems.sentences) > before:
        return None
    _check_alone(policy, head, reader)
    return policy if len(problems.sentences) == before else None


def _read_name(head: Reader, key: str) -> str:
    name = head.text_of(key)
    if name and not all(c.isascii() and (c.isalnum() or c in "-_.") for c in name):
        head.problem(key, f"{name!r} must be of letters, digits, - _ and .")
    return name


def _read_patterns(head: Reader, key: str) -> tuple[str, ...]:
    patterns = head.texts(key, None if key == "datasets" else [])
    if key == "datasets" and not patterns and head.table.get(key) == []:
        head.problem(key, "selects nothing")
    for pattern in patterns:
        try:
            check_pattern(pattern)
        except Refused as error:
            head.problem(key, str(error).rstrip("."))
    return patterns


def _read_every(head: Reader) -> int:
    if not head.has("every"):
        head.problem("every", 'is missing; expected a duration like "1m"')
    return head.parsed("every", parse_duration, 60)


def _read_timezone(head: Reader) -> str:
    name = head.text_of("timezone", "UTC")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        near = nearest(name, available_timezones())
        head.problem("timezone", f"{name!r} is not a time zone like Europe/Berlin{near}")
    return name


def _read_limits(reader: Reader) -> Limits:
    usual = Limits()
    limits = Limits(
        max_snapshots=reader.number("max_snapshots", usual.max_snapshots, 1, 1_000_000),
        min_free_percent=reader.parsed("min_free", parse_percent, usual.min_free_percent),
    )
    reader.finish()
    return limits


def _read_retention(reader: Reader, limits: Limits) -> dict[str, Keep]:
    outer = reader.sub("retention")
    keeps: dict[str, Keep] = {}
    for node, value in outer.table.items():
        if not isinstance(value, dict):
            outer.problem(node, "retention is said per node: put it below [retention.NODE]")
            continue
        inner = outer.sub(node)
        for key in sorted(_LATER & value.keys()):
            inner.asked.add(key)
            inner.problem(key, "is not supported in this version; use keep_last and keep_within")
        last = inner.number("keep_last", 1, 1, 1_000_000) if inner.has("keep_last") else None
        within = (
            inner.parsed("keep_within", parse_duration, 1) if inner.has("keep_within") else None
        )
        if not value:
            inner.problem("keep_last", "is missing: to keep everything, leave the table out")
        if last is not None and last > limits.max_snapshots:
            inner.problem("keep_last", f"{last} contradicts max_snapshots = {limits.max_snapshots}")
        inner.finish()
        keeps[node] = Keep(last, within)
    return keeps


def _check_alone(policy: Policy, head: Reader, reader: Reader) -> None:
    """What contradicts itself within one file."""
    if policy.source in policy.targets:
        head.problem("targets", f"{policy.source} is the source; it cannot be a target too")
    for pattern in policy.selection.include:
        if pattern in policy.selection.exclude:
            head.problem("exclude", f"{pattern!r} is also in datasets, so it would never count")
    known = (policy.source, *policy.targets)
    for node in policy.keep:
        if node not in known:
            near = nearest(node, known)
            reader.sub("retention").problem(
                node, f"{node} is neither the source nor a target of this policy{near}"
            )


def _check_together(policies: Sequence[Policy], problems: Problems) -> None:
    """What contradicts between files."""
    for place, second in enumerate(policies):
        for first in policies[:place]:
            files = f"{first.origin} and {second.origin}"
            if first.name == second.name:
                problems.add(f"{files}: both policies are named {first.name!r}.")
            if first.source != second.source:
                continue
            shared = find_overlap(first.selection, second.selection)
            if shared is not None:
                problems.add(
                    f"{files}: both select datasets of {first.source}, for example {shared}; "
                    "a dataset can have one policy only (use exclude)."
                )
