"""Which replica of this node is meant, and is anything wrong with it at all?

A replica is named by its source's dataset as `zr status` shows it (also after a rename there), by
its own name, or by its lane. Looks only. What the daemon says is used where it answers; names and
marks in the pool do without it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zrepl_py.adapters.control import CONTROL_SOCKET, call
from zrepl_py.adapters.host.steps import run_command
from zrepl_py.adapters.journal_segments import ReadState, list_segments, read_segments
from zrepl_py.cli.pair_keep import read_pin
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.properties import LANE_PROPERTY
from zrepl_py.ports.journal import Json

ANSWER_SECONDS = 10.0
JOURNAL = "journal"
_SEGMENTS = 2
"""Of the journal, the newest: what was told last is there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A replica of this node, as ZFS shows it."""

    name: str
    source: str
    """The node whose dataset it copies, by its name here."""
    below: tuple[str, ...]
    """Replicas below it, which a rename takes along."""
    used_bytes: int
    free_bytes: int
    snapshots: int
    healthy: str
    """Why nothing seems wrong with it, as a sentence; empty where that cannot be said."""


def find_replica(node: NodeConfig, parent: str, dataset: str) -> Found:
    """Errors: Standing(dataset-missing), Refused(ambiguous, not-a-replica)."""
    seen = observe_replicas(parent)
    known = ask_replicas(node)
    name = choose_replica(parent, list(node.peers), dataset, seen, known)
    if not seen[name]:
        raise Refused(
            "not-a-replica",
            f"{name} is no replica of its own: it only holds others.",
            "Name the replica itself.",
        )
    below = tuple(other for other in seen if other.startswith(name + "/") and seen[other])
    used, free, written = observe_size(name)
    guids = observe_guids(name)
    source = name.removeprefix(parent + "/").partition("/")[0]
    told = read_told(str(Path(node.state_dir) / JOURNAL), uuid_of(node, source))
    healthy = judge_health(name, source, written, guids, told)
    return Found(name, source, below, used, free, len(guids), healthy)


def choose_replica(
    parent: str,
    peers: Iterable[str],
    dataset: str,
    seen: Mapping[str, str],
    known: Mapping[str, str],
) -> str:
    """The replica that `dataset` names. `seen`: dataset here → its lane, or empty; `known`: replica
    → its source's name, as the daemon knows it. Errors: Refused(ambiguous),
    Standing(dataset-missing)."""
    by_status = [name for name, source in known.items() if source == dataset and name in seen]
    by_lane = [name for name, lane in seen.items() if lane and lane == dataset]
    paths = {f"{parent}/{peer}/{dataset}" for peer in peers}
    by_path = [
        name
        for name in seen
        if (name in paths and known.get(name, dataset) == dataset)
        or (name == dataset and any(name.startswith(f"{parent}/{peer}/") for peer in peers))
    ]
    there = list(dict.fromkeys([*by_status, *by_lane, *by_path]))
    if len(there) > 1:
        raise Refused(
            "ambiguous", f"There are several: {', '.join(there)}.", "Say the replica's whole name."
        )
    if there:
        return there[0]
    moved = [f"{known[name]} now ({name})" for name in seen if name in paths and name in known]
    was = f" What was called so is {' and '.join(moved)}." if moved else ""
    raise Standing(
        "dataset-missing",
        f"No replica of {dataset} is below {parent}.{was}",
        f"Name it as `zr status` does here, or by its own name: zfs list -r {parent}",
    )


def observe_replicas(parent: str) -> dict[str, str]:
    """Every dataset below the parent → the lane whose replica it is; empty for others."""
    argv = ["zfs", "get", "-H", "-r", "-t", "filesystem,volume", "-o", "name,value,source"]
    lines = run_command([*argv, LANE_PROPERTY, parent]).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    return {n: value if value != "-" and source == "local" else "" for n, value, source in rows}


def ask_replicas(node: NodeConfig) -> dict[str, str]:
    """Replica → its source's name of it, as the daemon knows them; empty where it does not say."""
    try:
        status: dict[str, Any] = call(Path(node.run_dir) / CONTROL_SOCKET, "status", ANSWER_SECONDS)
    except ZrError:
        return {}
    return {one["replica"]: one["dataset"] for one in status["replicas"] if one["replica"]}


def observe_size(name: str) -> tuple[int, int, int]:
    """Used bytes, free bytes of its pool as ZFS would give them, bytes written since the newest
    snapshot."""
    argv = ["zfs", "get", "-Hp", "-o", "value", "used,available,written", name]
    used, free, written = run_command(argv).stdout.split()
    return int(used), int(free), int(written)


def observe_guids(name: str) -> list[int]:
    """Of its snapshots, oldest first."""
    argv = ["zfs", "list", "-Hp", "-o", "guid", "-t", "snapshot", "-d", "1", "-s", "createtxg"]
    return [int(line) for line in run_command([*argv, name]).stdout.splitlines()]


def uuid_of(node: NodeConfig, source: str) -> str:
    """Who the peer of this name is now; empty where its certificate is not here. One that was
    replaced has left replicas that nothing is sent to any more."""
    try:
        pin = read_pin(Path(node.peers[source].certificate)) if source in node.peers else None
    except (ZrError, OSError):
        return ""
    return pin.node.uuid if pin else ""


def read_told(directory: str, source_uuid: str) -> frozenset[int]:
    """Guids of the snapshots that are the newest ones on that source, as far as it has told this
    node; none where the journal cannot be read."""
    newest: dict[Json, dict[str, int]] = {}
    try:
        for line in read_segments(list_segments(directory)[-_SEGMENTS:], ReadState()):
            if line.kind == "manifest":
                record: Any = line.record()
                if record["source"] == source_uuid:
                    manifest = record["manifest"]
                    newest[manifest["group"]] = manifest["members"]
    except (ZrError, KeyError, TypeError):
        return frozenset()
    return frozenset(int(guid) for members in newest.values() for guid in members.values())


def judge_health(
    name: str, source: str, written_bytes: int, guids: list[int], told: frozenset[int]
) -> str:
    """Why nothing seems wrong: its last snapshot is the one that the source has told to be the
    newest, and nothing was written to it since. Empty where that is not so, or not known."""
    if not guids or written_bytes or guids[-1] not in told:
        return ""
    return (
        f"Nothing seems wrong with {name}: its last snapshot is the newest one that {source} has "
        "told this node of, and nothing was written to it since."
    )
