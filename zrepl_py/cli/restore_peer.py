"""`zr restore --from peer`: this node's own copies, back from the other node.

A whole snapshot of a dataset travels, for nobody reads single files over there. For a dataset it
becomes the new one; for a file or directory it goes into a scratch dataset, which is mounted for
nobody else and destroyed again (restore_fetch.py). Only as root.
"""

import stat

from zrepl_py.adapters.host.datasetcopy import check_target
from zrepl_py.adapters.host.snapdir import open_old_entry
from zrepl_py.adapters.host.treewalk import Branch
from zrepl_py.cli.restore_fetch import fetch, fetch_to_read, order_of
from zrepl_py.cli.restore_find import Found, LeftOut
from zrepl_py.cli.restore_peer_find import PeerCopy, PeerLooking, choose_version
from zrepl_py.cli.restore_say import Answer, tell
from zrepl_py.core.copies import find_copies_below, old_path
from zrepl_py.errors import Refused


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
    order = order_of(found, snapshot, target, privileged=privileged)
    size = 0
    if not dry_run:
        size = fetch(found, snapshot, order)
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
            policy=peers.look.policy_name_of(target),
        ),
        as_json=as_json,
    )


def find_in_peer(found: PeerCopy, peers: PeerLooking) -> Found:
    """Fetch the dataset into a scratch one, and look into that."""
    look, copy, inside = peers.look, found.copy, found.inside
    chosen, snapshot = choose_version(found, look)
    origin = fetch_to_read(found, snapshot, peers)
    with open_old_entry(origin, inside) as entry:
        seen = entry.stat
    branches = [Branch(origin, copy.dataset, inside, ())]
    left_out = []
    below = find_copies_below(found.others, copy, inside) if stat.S_ISDIR(seen.st_mode) else []
    for other, at in below:
        try:
            part = found.of(other)
            _, version = choose_version(part, look, chosen)
            branches.append(Branch(fetch_to_read(part, version, peers), other.dataset, (), at))
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
