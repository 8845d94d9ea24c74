"""policies/*.toml → Policy. docs/formats/policy.md is the specification.

Invariants: a directory is loaded whole or not at all, with every problem named; no key is ignored;
no dataset can ever fall under two policies of one source. Reads files, changes nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from zrepl_py.config.reading import Problems, Reader, open_reader
from zrepl_py.config.retention import parse_share, read_retention
from zrepl_py.config.suggest import nearest
from zrepl_py.config.values import parse_duration, parse_percent
from zrepl_py.core.overlap import find_overlap
from zrepl_py.core.selection import check_pattern
from zrepl_py.core.voters import render_rung, render_seconds
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.policy import Keep, Limits, Policy, Selection

FORMAT = 1


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
    return tuple(
        f"{policy.origin}: on {node}, {sentence}"
        for node, keep in policy.keep.items()
        for sentence in caution_keep(keep, policy)
    )


def caution_keep(keep: Keep, policy: Policy) -> Iterator[str]:
    """The sentences about one node's retention."""
    most, every = policy.limits.max_snapshots, policy.every_seconds
    if keep.within_seconds is not None and (count := keep.within_seconds // every + 1) > most:
        yield (
            f"a snapshot every {render_seconds(every)} for {render_seconds(keep.within_seconds)} "
            f"makes up to {count} per dataset, but max_snapshots = {most}: where more is written, "
            "the oldest go earlier."
        )
    for rung in keep.grid:
        if rung.cell_seconds < every:
            yield (
                f"{render_rung(rung)} has cells shorter than every = {render_seconds(every)}: it "
                f"keeps the newest {rung.count}, as keep_last does."
            )
    if keep.calendar and keep.last is None and keep.within_seconds is None and not keep.grid:
        shortest = keep.calendar[0][0]
        if shortest != "hourly":
            yield (
                f"{shortest} is the finest rule: of the snapshots of one day only the last stays, "
                "so no minute of today can be restored but the newest. Add keep_last or "
                "keep_within."
            )


def _read_policy(path: Path, problems: Problems) -> Policy | None:
    before = len(problems.sentences)
    reader = open_reader(path, FORMAT, problems)
    if reader is None:
        return None
    head = reader.sub("policy", required=True)
    limits = _read_limits(reader.sub("limits"))
    timezone = _read_timezone(head)
    policy = Policy(
        name=_read_name(head, "name"),
        source=_read_name(head, "source"),
        selection=Selection(_read_patterns(head, "datasets"), _read_patterns(head, "exclude")),
        every_seconds=_read_every(head),
        targets=head.texts("targets", []),
        keep=read_retention(reader, limits, timezone),
        limits=limits,
        timezone=timezone,
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
        max_remove_percent=reader.parsed("max_remove_share", parse_share, usual.max_remove_percent),
        thin_free_percent=reader.parsed("thin_free", parse_percent, usual.thin_free_percent),
        keep_waiting=reader.number("keep_waiting", usual.keep_waiting, 0, 1_000_000),
    )
    if 0 < limits.thin_percent <= limits.min_free_percent:
        reader.problem(
            "thin_free",
            f"{limits.thin_percent}% must be more than min_free = {limits.min_free_percent}%, "
            'at which snapshots stop; "0%" lets nothing give way before that',
        )
    reader.finish()
    return limits


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
