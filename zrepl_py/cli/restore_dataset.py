"""`zr restore DATASET@TIME --to NEW`: a whole file system or volume, into a new dataset."""

from dataclasses import dataclass

from zrepl_py.adapters.host.datasetcopy import (
    DatasetOrder,
    check_target,
    observe_stream_bytes,
    perform_dataset,
)
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.cli.restore_find import Looking
from zrepl_py.cli.restore_say import Answer, show_progress, tell
from zrepl_py.core.restoring import could_be_dataset
from zrepl_py.core.times import parse_time
from zrepl_py.core.versions import choose_snapshot
from zrepl_py.errors import Refused, ZrError
from zrepl_py.model.observation import Dataset, Kind


@dataclass(frozen=True, slots=True)
class Meant:
    """A dataset that a person named."""

    name: str
    """On the node that it is of."""
    stored: str
    """Here; another one where it is a replica."""
    kind: Kind
    encrypted: bool
    node: str
    properties: dict[str, str]
    below: tuple[str, ...]
    """Datasets below it, which are not restored with it."""


def find_dataset(words: str, look: Looking) -> Meant | None:
    """The dataset called `words`, of this machine or among the replicas kept here, else None."""
    name = words.rstrip("/")
    if not could_be_dataset(words):
        return None
    own = _observe_own(name)
    if own:
        top = own[0]
        properties = CommandZfs().observe_properties(name)
        below = tuple(d.name for d in own[1:])
        return Meant(name, name, top.kind, top.encrypted, "", properties, below)
    copies = [c for c in look.observe_copies() if c.dataset == name or c.stored == name]
    if not copies:
        return None
    if len(copies) > 1:
        raise Refused(
            "several-files",
            f"Several nodes have a dataset {name}.",
            f"Name the replica: {', '.join(c.stored for c in copies)}.",
        )
    copy = copies[0]
    below = tuple(
        c.dataset
        for c in look.observe_copies()
        if c.source == copy.source and c.dataset.startswith(copy.dataset + "/")
    )
    return Meant(
        copy.dataset, copy.stored, copy.kind, copy.encrypted, copy.source, copy.properties, below
    )


def _observe_own(name: str) -> list[Dataset]:
    try:
        return CommandZfs().observe_datasets(name)
    except ZrError:
        return []  # no such dataset, or no ZFS: then it is a path


def restore_dataset(
    meant: Meant,
    look: Looking,
    to: str | None,
    *,
    reserved: str | None,
    privileged: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Restore it and say so. Errors: Refused(no-target), those of datasetcopy."""
    target = choose_target(meant.name, to)
    check_target(target, reserved)
    history = look.observe_history(meant.stored)
    names = {s.name: s.createtxg for s in history.snapshots}
    zone = look.zone(meant.name)
    wanted = parse_time(look.moment, look.now, zone, names)
    chosen = choose_snapshot(names, wanted, zone, names)
    guid = next(s.guid for s in history.snapshots if s.name == chosen.name)
    order = DatasetOrder(
        meant.stored,
        chosen.name,
        guid,
        meant.kind,
        meant.encrypted,
        target,
        meant.properties,
        foreign=bool(meant.node),
        privileged=privileged,
    )
    size = observe_stream_bytes(order)
    if not dry_run:
        with show_progress(size, "Restoring") as progress:
            size = perform_dataset(order, progress)
    tell(
        Answer(
            kind="dataset",
            path=target,
            dataset=meant.name,
            node=meant.node,
            chosen=chosen,
            zone=zone,
            size_bytes=size,
            amount=f"{size:,} bytes of stream",
            proof=f"guid {guid:016x}",
            done=not dry_run,
            left_out=tuple((name, "a dataset of its own") for name in meant.below),
            advice="" if dry_run or as_json else _advice(order),
            policy=look.policy_name_of(target),
        ),
        as_json=as_json,
    )


def _advice(order: DatasetOrder) -> str:
    key = f"zfs load-key {order.target}, then " if order.encrypted else ""
    if order.kind is Kind.VOLUME:
        return f"{key or 'its device is '}/dev/zvol/{order.target}."
    return f"it is not mounted; {key}zfs mount {order.target} shows it."


def choose_target(name: str, to: str | None) -> str:
    """The new dataset's name. Raises Refused(no-target)."""
    if to is None:
        raise Refused(
            "no-target",
            f"{name} is a dataset; it comes back as a new one, and --to names it.",
            f"Say for instance --to {name}-restored. If its files are meant, name the directory "
            f"where it is mounted, such as /{name}.",
        )
    if to.startswith(("/", ".", "-")):
        raise Refused(
            "no-target",
            f"{name} is a dataset; {to} is not the name of a new one.",
            "Name a dataset like tank/restored. For its files in a directory, name the directory "
            "it was mounted at instead of the dataset.",
        )
    return to
