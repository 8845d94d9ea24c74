"""`zr restore --from peer`: this node's own copies, back from the other node.

A whole snapshot of a dataset travels, for nobody reads single files over there. For a dataset it
becomes the new one; for a file or directory it goes into a scratch dataset, which is mounted for
nobody else and destroyed again, however this ends. Only as root.
"""

import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.datasetcopy import (
    DatasetOrder,
    check_target,
    receive_from,
)
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.host.snapdir import Origin, open_old_entry
from zrepl_py.adapters.host.treewalk import Branch
from zrepl_py.adapters.zfs.scratch import (
    SCRATCH_PROPERTY,
    destroy_scratch,
    observe_available_bytes,
)
from zrepl_py.cli.restore_find import Found, LeftOut
from zrepl_py.cli.restore_peer_find import PeerCopy, PeerLooking, choose_version
from zrepl_py.cli.restore_say import Answer, fetch_progress, tell
from zrepl_py.core.copies import (
    find_copies_below,
    old_path,
)
from zrepl_py.errors import Passing, Refused, Standing, ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import SCRATCH_PREFIX
from zrepl_py.model.observation import Kind
from zrepl_py.model.wire import Committed

_KEPT_FREE_PERCENT = 10
_TRIES = 20
_PAUSE_SECONDS = 0.25


def restore_dataset_from_peer(
    found: PeerCopy,
    peers: PeerLooking,
    target: str,
    *,
    privileged: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """A whole dataset into the new one `target`, and say so."""
    check_target(target, peers.reserved)
    chosen, snapshot = choose_version(found, peers.look)
    order = _order(found, snapshot, target, privileged=privileged)
    size = 0
    if not dry_run:
        size = _fetch(found, snapshot, order)
    tell(
        Answer(
            kind="dataset",
            path=target,
            dataset=found.copy.dataset,
            node="",
            chosen=chosen,
            zone=peers.look.zone(found.copy.dataset),
            size_bytes=size,
            amount=f"{size:,} bytes of stream" if size else "its size is known when it was sent",
            proof=f"guid {snapshot.guid:016x}",
            done=not dry_run,
            peer=found.fetcher.peer,
        ),
        as_json=as_json,
    )


def find_in_peer(found: PeerCopy, peers: PeerLooking) -> Found:
    """Fetch the dataset into a scratch one, and look into that."""
    look, copy, inside = peers.look, found.copy, found.inside
    chosen, snapshot = choose_version(found, look)
    origin = _fetch_to_read(found, snapshot, peers)
    with open_old_entry(origin, inside) as entry:
        seen = entry.stat
    branches = [Branch(origin, copy.dataset, inside, ())]
    left_out = []
    below = find_copies_below(found.others, copy, inside) if stat.S_ISDIR(seen.st_mode) else []
    for other, at in below:
        try:
            part = found.of(other)
            _, version = choose_version(part, look, chosen)
            branches.append(Branch(_fetch_to_read(part, version, peers), other.dataset, (), at))
        except Refused as error:
            why = f"dataset {other.dataset}: {error.message}"
            left_out.append(LeftOut(old_path(other, ()), why))
    return Found(
        origin,
        copy.dataset,
        "",
        found.path,
        inside,
        chosen,
        look.zone(copy.dataset),
        seen,
        tuple(branches),
        tuple(left_out),
        peer=found.fetcher.peer,
    )


def _fetch_to_read(found: PeerCopy, snapshot: Snapshot, peers: PeerLooking) -> Origin:
    """Fetched, and open until the command ends. Errors: Refused(key-needed), those of fetching."""
    if found.copy.encrypted:
        name = found.copy.dataset
        raise Refused(
            "key-needed",
            f"{name} is encrypted: single files cannot be taken out of its copy.",
            f"Restore it whole: zr restore {name}@TIME --from peer --to NEW, then `zfs load-key` "
            "and `zfs mount`.",
        )
    scratch = peers.look.stack.enter_context(_scratch(found, snapshot, peers))
    return peers.look.hold(MountedSnapshot(scratch, snapshot.name))


@contextmanager
def _scratch(found: PeerCopy, snapshot: Snapshot, peers: PeerLooking) -> Iterator[str]:
    """The snapshot in a scratch dataset, which is destroyed afterwards."""
    if peers.scratch_pool is None:
        raise Standing("pool-missing", "This node has no pool for a scratch dataset.")
    mark = str(uuid.uuid4())
    name = f"{peers.scratch_pool}/{SCRATCH_PREFIX}{mark[:13]}"
    extra = {
        SCRATCH_PROPERTY: mark,
        "mountpoint": "none",
        "canmount": "off",
        "readonly": "on",
        "exec": "off",
    }
    order = _order(found, snapshot, name, privileged=False, extra=extra)
    click.echo(
        f"zr: fetching {found.copy.dataset}@{snapshot.name} from {found.fetcher.peer} into the "
        f"scratch dataset {name}, which goes again afterwards.",
        err=True,
    )
    try:
        _fetch(found, snapshot, order)
        yield name
    finally:
        _remove_scratch(name, mark)


def _remove_scratch(name: str, mark: str) -> None:
    """Its mount may end a moment after its last descriptor was closed."""
    for turn in range(_TRIES):
        try:
            destroy_scratch(name, mark)
            return
        except Passing as error:
            if turn == _TRIES - 1:
                click.echo(f"zr: {error}", err=True)
            MachineClock().sleep(_PAUSE_SECONDS)
        except ZrError as error:
            click.echo(f"zr: {error}", err=True)
            return


def say_dry_run(found: PeerCopy, peers: PeerLooking, *, as_json: bool) -> None:
    """What would be fetched; what is in it is known only afterwards."""
    chosen, _ = choose_version(found, peers.look)
    tell(
        Answer(
            kind="unknown",
            path=found.path,
            dataset=found.copy.dataset,
            node="",
            chosen=chosen,
            zone=peers.look.zone(found.copy.dataset),
            size_bytes=0,
            amount="if it was there; the whole dataset has to be fetched first",
            done=False,
            peer=found.fetcher.peer,
        ),
        as_json=as_json,
    )


def _order(
    found: PeerCopy,
    snapshot: Snapshot,
    target: str,
    *,
    privileged: bool,
    extra: dict[str, str] | None = None,
) -> DatasetOrder:
    return DatasetOrder(
        found.copy.dataset,
        snapshot.name,
        snapshot.guid,
        found.copy.kind,
        found.copy.encrypted,
        target,
        found.copy.properties,
        foreign=True,
        privileged=privileged,
        extra=extra or {},
    )


def _fetch(found: PeerCopy, snapshot: Snapshot, order: DatasetOrder) -> int:
    """Receive the stream; its bytes. Never fills the pool: a tenth of what is free stays so."""
    if found.copy.kind is Kind.VOLUME and order.extra:
        raise Refused(
            "not-a-file",
            f"{order.stored} is a volume: there are no files in it to restore.",
            "Restore it whole, with --to NEW-DATASET.",
        )
    room = observe_available_bytes(order.target.rpartition("/")[0])
    budget = room - room * _KEPT_FREE_PERCENT // 100
    total = 0

    def receive(fd: int) -> Committed:
        receive_from(order, fd)
        return Committed(snapshot.guid, snapshot.createtxg)

    with fetch_progress() as shown:

        def count(size_bytes: int) -> None:
            nonlocal total
            total += size_bytes
            shown(total)
            if total > budget:
                raise Passing(
                    "no-space",
                    f"The copy does not fit: {budget:,} bytes may be used in this pool, and more "
                    "came.",
                    "Free some space, or restore on the peer and copy the file over.",
                )

        found.fetcher.fetch(found.name.lane, snapshot.guid, receive, count)
    return total
