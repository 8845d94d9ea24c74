"""One snapshot of a copy, from the peer to this node: into a new dataset, or a scratch one to read.

A scratch dataset is marked by the process that made it, and destroyed again however the restore
ends. What one leaves that was killed, the next one takes away.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.host.datasetcopy import DatasetOrder, receive_from
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.host.scratchowner import OWNER_PROPERTY, observe_scratch, render_owner
from zrepl_py.adapters.host.snapdir import Origin
from zrepl_py.adapters.zfs.scratch import (
    SCRATCH_PROPERTY,
    destroy_scratch,
    observe_available_bytes,
)
from zrepl_py.cli.restore_peer_find import PeerCopy, PeerLooking
from zrepl_py.cli.restore_say import fetch_progress
from zrepl_py.errors import Passing, Refused, Standing, ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import SCRATCH_PREFIX
from zrepl_py.model.observation import Kind
from zrepl_py.model.wire import Committed

_KEPT_FREE_PERCENT = 10
_TRIES = 20
_PAUSE_SECONDS = 0.25


def fetch_to_read(found: PeerCopy, snapshot: Snapshot, peers: PeerLooking) -> Origin:
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
    _remove_left(peers.scratch_pool)
    mark = str(uuid.uuid4())
    name = f"{peers.scratch_pool}/{SCRATCH_PREFIX}{mark[:13]}"
    extra = {
        SCRATCH_PROPERTY: mark,
        OWNER_PROPERTY: render_owner(),
        "mountpoint": "none",
        "canmount": "off",
        "readonly": "on",
        "exec": "off",
    }
    order = order_of(found, snapshot, name, privileged=False, extra=extra)
    click.echo(
        f"zr: fetching {found.copy.dataset}@{snapshot.name} from {found.fetcher.peer} into the "
        f"scratch dataset {name}, which goes again afterwards.",
        err=True,
    )
    try:
        fetch(found, snapshot, order)
        yield name
    finally:
        _remove_scratch(name, mark)


def _remove_left(pool: str) -> None:
    """Scratch datasets of restores that do not run any more; that it cannot be done is said, and
    hinders nothing."""
    try:
        left = [one for one in observe_scratch(pool) if one.owner and not one.alive]
    except ZrError as error:
        click.echo(f"zr: {error}", err=True)
        return
    for one in left:
        click.echo(f"zr: {one.name} is left from a restore that was killed; it goes.", err=True)
        _remove_scratch(one.name, one.mark)


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


def order_of(
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


def fetch(found: PeerCopy, snapshot: Snapshot, order: DatasetOrder) -> int:
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
