"""What is shown of a group's role: in `zr status --json`, and to the commands that change it.

Remembered facts only, no look at a pool, as in daemon/status.py: what is not known is null.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from zrepl_py.adapters.zfs.rights import DELEGATED, RECEIVE_USER
from zrepl_py.core.diff import newest_own
from zrepl_py.core.role_moves import FOLLOWING
from zrepl_py.core.roles import RIGHTS, WAITING
from zrepl_py.core.siteview import find_whole_tick
from zrepl_py.daemon.contacts import describe_error
from zrepl_py.daemon.role_rescues import RescueSeen
from zrepl_py.daemon.role_seen import describe_address, describe_services
from zrepl_py.daemon.roles import SERVING, GroupRole
from zrepl_py.engine.role_sight import list_receivable
from zrepl_py.model.roles import Order
from zrepl_py.model.site import Manifest

NO_TICK = "No tick of the group is known here yet."
Landed = Mapping[str, int]
"""Member → guid of the newest version of it that has come, by whoever received it."""
NONE_LANDED: Landed = {}


def describe_role(
    role: GroupRole, now: float, monotonic: float, landed: Landed = NONE_LANDED
) -> dict[str, Any]:
    """One of `roles`, and of what `role_show` answers. `landed`: of a node that follows; it may
    have come since the newest look."""
    look, node = role.look, role.node
    whole = find_whole(role, landed)
    address = role.plan.hosting.address
    blocked = node.blocked
    theirs = look.theirs if look is not None else None
    return {
        "group": role.key[0],
        "name": role.name,
        "state": str(role.state),
        "says": _say(role),
        "since": _moment(role.since) if role.since else None,
        "epoch": str(role.epoch) if role.epoch else None,
        "primary": find_primary(role),
        "here": role.plan.here.name,
        "peer": role.peer.name,
        "peer_state": str(theirs.said.state) if theirs is not None else None,
        "apart": bool(role.apart),
        "claim": str(look.view.claim) if look is not None else None,
        "verdict": str(look.view.verdict) if look is not None else None,
        "fit": str(look.view.fit) if look is not None else None,
        "whole_tick": _moment(whole.at) if whole is not None else None,
        "lag_seconds": measure_lag(role, now, monotonic, landed),
        "coming": list_coming(role, whole, landed),
        "looked_seconds": round(monotonic - role.looked_at, 1) if look is not None else None,
        "members": sorted(node.group.members),
        "order": _find_order(role),
        "step": role.what,
        "error": describe_error(role.error),
        "blocked": None
        if blocked is None
        else {"reason": blocked.reason, "sentence": blocked.sentence, "way_out": blocked.way_out},
        "mountpoints": sorted(one["mountpoint"] for one in role.inherited.values()),
        "address": describe_address(role),
        "ip": address.ip if address is not None else None,
        "services": describe_services(role),
        "peer_address": theirs.address if theirs is not None else None,
        "peer_services": dict(theirs.services) if theirs is not None else {},
        "peer_trouble": (theirs.trouble or None) if theirs is not None else None,
        "rescues": [describe_rescue(rescue, role.peer.name) for rescue in role.rescues],
        "sending": None
        if (sending := role.sending) is None
        else {"label": sending.label, "member": sending.member, "bytes": sending.bytes},
    }


def _say(role: GroupRole) -> str:
    if not role.restored or role.node.group.members:
        said = (WAITING[role.state], role.apart, *_list_kept_out(role))
        return " ".join(word for word in said if word)
    return f"{WAITING[role.state]} {NO_TICK}"


def _list_kept_out(role: GroupRole) -> Iterator[str]:
    """Members that are not here yet, and that no stream may make by itself."""
    if role.look is None or not RIGHTS[role.state].accepts:
        return
    let_in = list_receivable(role.node, role.look.trees)
    for place in role.node.group.receive_below:
        if place not in let_in:
            yield (
                f"{place} is new on {role.peer.name}, and would stand directly below the pool "
                f"here, where no stream may make it. To let it in: `zfs allow -l -u "
                f"{RECEIVE_USER} {DELEGATED[0]} {role.pool}`; when it is here: "
                f"`zfs unallow -l -u {RECEIVE_USER} {role.pool}`."
            )


def find_primary(role: GroupRole) -> str | None:
    """The node that took the newest epoch that this one believes; None: none was taken."""
    head = role.node.memory.head
    if head is None:
        return None
    names = {node.uuid: node.name for node in (role.plan.here, role.peer)}
    return names.get(head.node, head.node)


def find_whole(role: GroupRole, landed: Landed = NONE_LANDED) -> Manifest | None:
    """The newest tick that is here as a whole, by the newest look and by what came since."""
    look, members = role.look, role.node.group.members
    if look is None:
        return None
    since = {m: g for m, g in landed.items() if m in members and _is_new(role, m, g)}
    if not since:
        return look.whole
    have = {m: {s.guid for s in h.snapshots} for m, h in look.trees.reachable(role.node).items()}
    for member, guid in since.items():
        have.setdefault(member, set()).add(guid)
    return find_whole_tick(role.node.manifests, have)


def _is_new(role: GroupRole, member: str, guid: int) -> bool:
    assert role.look is not None
    return role.look.trees.history(role.node.group.members[member]).snapshot(guid) is None


def list_coming(role: GroupRole, whole: Manifest | None, landed: Landed) -> list[str] | None:
    """Of a node that follows: members of which a later tick has something newer than the `whole`
    one, and nothing newer has come. None: not known, or it does not follow."""
    look, node = role.look, role.node
    if look is None or role.state not in FOLLOWING or not node.manifests:
        return None
    coming, before = [], whole.members if whole is not None else {}
    for member, wanted in node.manifests[-1].members.items():
        newest = newest_own(look.trees.history(node.group.members.get(member, "")))
        guid = landed.get(member, newest.guid if newest is not None else None)
        if guid != wanted and guid == before.get(member):
            coming.append(member)
    return sorted(coming)


def measure_lag(
    role: GroupRole, now: float, monotonic: float, landed: Landed = NONE_LANDED
) -> int | None:
    """How old the newest tick is that the standby has as a whole: this node, or, where it serves,
    the other one as it said itself; 0 where it is the newest of all. None: not known."""
    look = role.look
    if look is None:
        return None
    ticks = role.node.manifests
    whole = find_whole(role, landed)
    told = now
    if role.state in SERVING:
        whole = find_whole_tick(ticks, look.theirs_has()) if look.theirs is not None else None
        if whole is not None and ticks and whole == ticks[-1]:
            return 0
    elif (last := role.node.hear_last(monotonic)) is not None:
        told = last.at + last.silent_seconds
    return None if whole is None else max(0, round(told - whole.at))


def _find_order(role: GroupRole) -> str:
    running = [o.order for o in role.orders.known if not o.over]
    return str(running[-1] if running else Order.NONE)


def describe_rescue(rescue: RescueSeen, peer: str) -> dict[str, Any]:
    """One of `rescues`; `peer`: the other node's name."""
    return {
        "label": rescue.label,
        "of": rescue.of,
        "peer": peer,
        "own": rescue.own,
        "members": sorted(part.member for part in rescue.parts),
        "bytes": rescue.bytes,
        "shipped": rescue.shipped,
    }


def describe_places(rescues: Iterable[RescueSeen], label: str) -> list[Mapping[str, Any]]:
    """Where a rescue's datasets are, and from which snapshot each went its own way."""
    return [
        {
            "member": part.member,
            "dataset": part.dataset,
            "snapshot": f"{part.dataset}@zr-rescue_{label}",
            "base": part.base,
            "of": rescue.of,
        }
        for rescue in rescues
        if rescue.label == label
        for part in rescue.parts
    ]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
