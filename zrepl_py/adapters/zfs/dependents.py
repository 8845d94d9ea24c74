"""What stands on the snapshots of a dataset: holds and clones, by `zfs list` and `zfs holds`.

For a person's look at retention; the daemon's cycle asks the port instead. No rights are needed,
nothing is changed. One fork, and one more for each snapshot that is held.
"""

from dataclasses import dataclass, field

from zrepl_py.adapters.doctor.datasets import SNAPSHOTS_SECONDS, listed
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.parse import parse_holds

_COLUMNS = "name,guid,userrefs,clones"


@dataclass(frozen=True, slots=True)
class Dependents:
    """guid of a snapshot → what stands on it; those with nothing are left out."""

    tags: dict[int, frozenset[str]] = field(default_factory=dict)
    clones: dict[int, frozenset[str]] = field(default_factory=dict)


def observe_dependents(dataset: str) -> Dependents:
    """Errors: dataset-missing, too-slow, …"""
    argv = ["zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", _COLUMNS]
    held, clones = parse_dependents(listed(argv, dataset, SNAPSHOTS_SECONDS))
    tags = {guid: found for name, guid in held.items() if (found := _observe_tags(name))}
    return Dependents(tags, clones)


def parse_dependents(text: str) -> tuple[dict[str, int], dict[int, frozenset[str]]]:
    """Lines `name guid userrefs clones` → held snapshots with their guids; guid → clones."""
    held: dict[str, int] = {}
    clones: dict[int, frozenset[str]] = {}
    for row in (line.split("\t") for line in text.splitlines()):
        if len(row) != 4:
            continue
        name, guid, references, names = row[0], int(row[1]), row[2], row[3]
        if references not in ("0", "-"):
            held[name] = guid
        if names not in ("", "-"):
            clones[guid] = frozenset(names.split(","))
    return held, clones


def _observe_tags(snapshot: str) -> frozenset[str]:
    ended = run(["zfs", "holds", "-Hp", "--", snapshot])
    # Who is held by nobody knows whom stays: what cannot be read is a hold too.
    tags = parse_holds(ended.out).get(snapshot, frozenset()) if ended.code == 0 else None
    return frozenset({"a hold that could not be read"}) if tags is None else tags
