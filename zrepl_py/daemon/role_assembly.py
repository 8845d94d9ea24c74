"""The roles' part of the daemon, made of Parts: for each group a keeper, for all a desk and verbs.

A node without roles gets empty ones: no thread, no connection, no desk.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from zrepl_py.adapters.bootid import read_boot_id
from zrepl_py.adapters.peer.certificates import Pin
from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.adapters.peer.roles import RoleLink
from zrepl_py.adapters.peer.server import PeerServer
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.courses import GroupKey, Role
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.role_desk import RoleDesk
from zrepl_py.daemon.role_groups import check_kept, plan_roles
from zrepl_py.daemon.role_keeper import Keeper
from zrepl_py.daemon.role_lanes import RoleLanes
from zrepl_py.daemon.role_shipping import count_sent
from zrepl_py.daemon.role_told import RoleTold
from zrepl_py.daemon.roles import GroupRole, Roles
from zrepl_py.daemon.source import Source
from zrepl_py.errors import Standing
from zrepl_py.model.policy import Policy
from zrepl_py.ports.journal import Json
from zrepl_py.wiring import Parts

RESCUE_THREADS = 1
"""For rescues on their way to the other node, of all groups."""


@dataclass(frozen=True)
class RoleService:
    """What a service runs of them."""

    roles: Roles
    keepers: tuple[Keeper, ...]
    told: RoleTold
    agendas: tuple[Agenda, ...]
    """One with a thread for each group, and one for streams; none where there is no group."""

    def restore(self) -> None:
        """What the journal says of each that was not taken over; before anything asks them."""
        for keeper in self.keepers:
            keeper.restore()

    def start(self) -> None:
        """Take turns."""
        for keeper in self.keepers:
            keeper.wake()


def make_roles(parts: Parts, pins: Mapping[str, Pin]) -> Roles:
    """The groups that have roles, not started. Errors: Standing(config)."""
    config = parts.config
    nodes = {name: pin.node for name, pin in pins.items()}
    plans = plan_roles(
        config.roles,
        parts.policies,
        parts.state.node,
        nodes,
        config.replica_parent,
        config.peers.keys(),
    )
    recorded = {str(r["group"]) for r in parts.journal.records("role") if _has_lineage(r)}
    check_kept(recorded, plans, parts.policies, parts.state.node, nodes)
    if not plans:
        return Roles()
    if config.listen is None:
        raise Standing(
            "config",
            f"zr.toml has [roles.{plans[0].key[0]}], but this node takes no connections.",
            'Add `listen = "ADDRESS:PORT"` to [node]: the two nodes of a group ask each other.',
        )
    return Roles(plans, parts.boot, read_boot_id(), lambda: secrets.token_hex(4))


def _has_lineage(record: Mapping[str, Json]) -> bool:
    memory = record["memory"]
    return isinstance(memory, dict) and bool(memory.get("lineage"))


def by_key(roles: Roles) -> dict[GroupKey, tuple[Policy, Role]]:
    """As the source's courses and the arrivals want them."""
    return {role.key: (role.policy, role) for role in roles}


def make_desk(parts: Parts, roles: Roles, agenda: Agenda) -> RoleDesk | None:
    """What answers the other node; None where there is nothing to be asked."""
    if not roles.all:
        return None
    ports = parts.role_ports()
    return RoleDesk(roles, agenda.monitor, agenda.run, ports, parts.clock, parts.log.tell)


def keep_roles(
    parts: Parts,
    roles: Roles,
    source: Source,
    receiver: Receiver,
    server: PeerServer | None,
    clients: Mapping[str, PeerClient],
    main: Agenda,
    failed: Callable[[BaseException], None],
) -> RoleService:
    """A keeper for each, with a thread of its own, which shares the monitor of `main`; `failed`
    hears what one could not deal with."""
    agenda = Agenda(parts.clock, len(roles.all), failed, main.monitor)
    streams = Agenda(parts.clock, min(len(roles.all), RESCUE_THREADS), failed, main.monitor)
    ports: dict[str, Any] = parts.role_ports() if roles.all else {}
    keepers, links = [], {}
    for role in roles:
        lanes = RoleLanes(
            role,
            parts.clock,
            receiver.running,
            partial(_sever, server, role.peer.uuid),
            partial(source.send_group, role.key, agenda.monitor),
        )
        link = RoleLink(clients[role.peer.name], role.plan.uuid, partial(count_sent, role))
        links[role.plan.uuid] = link
        own = {**ports, "RolePeerPort": link, "RoleLanesPort": lanes}
        tell, hear = parts.log.tell, roles.changed
        followed = partial(source.wake, target=role.peer.name)
        keepers.append(Keeper(role, own, agenda, parts.clock, tell, hear, streams, followed))
    roles.changed.append(lambda role: source.turn_round(role.key))
    roles.changed.append(lambda role: receiver.replicas.turn_round(role.peer.uuid))

    def version(role: GroupRole) -> str | None:
        hello = clients[role.peer.name].peer_hello
        return hello.version if hello is not None else None

    told = RoleTold(roles, agenda, ports, parts.clock, parts.log.tell, version, links)
    return RoleService(roles, tuple(keepers), told, (agenda, streams))


def _sever(server: PeerServer | None, source: str) -> None:
    if server is not None:
        server.sever_source(source)
