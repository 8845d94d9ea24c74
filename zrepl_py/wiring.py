"""All construction on one page: which adapter stands behind which port."""

import os
import pwd
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from zrepl_py import __version__
from zrepl_py.adapters.authority import ManualAuthority
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.eventfiles import DIRECTORY as EVENTS_DIRECTORY
from zrepl_py.adapters.events import EventFiles, EventLog
from zrepl_py.adapters.host.prepare import ensure_run_directory
from zrepl_py.adapters.journal import FileJournal
from zrepl_py.adapters.peer.certificates import Identity, Pin, parse_pin
from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.adapters.peer.dial import Target as Dialled
from zrepl_py.adapters.peer.fetch import Fetcher
from zrepl_py.adapters.peer.greeting import ROLES
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.server import PeerServer
from zrepl_py.adapters.peer.starts import Starts
from zrepl_py.adapters.proof.position import PositionFile
from zrepl_py.adapters.state import NodeState, load_state
from zrepl_py.adapters.worker import PoolSockets, WorkerZfs
from zrepl_py.adapters.worker.hosts import WorkerHost
from zrepl_py.adapters.worker.proofs import WorkerProof
from zrepl_py.adapters.worker.spawn import Running, start_workers, worker_specs
from zrepl_py.adapters.zfs.kstat import read_kernel_version
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import Refused, Standing
from zrepl_py.events import Event
from zrepl_py.model.config import NodeConfig, PeerConfig
from zrepl_py.model.policy import Policy
from zrepl_py.model.site import Lane
from zrepl_py.model.wire import FEATURES, PROTOCOL, Committed, Hello
from zrepl_py.ports.copies import CopyPort
from zrepl_py.ports.peer import ReceiverPort, Transfer
from zrepl_py.ports.rolepeer import RoleDeskPort, RoleGuardPort

STATE_FILE = "state.json"
JOURNAL_DIRECTORY = "journal"
PROOFS_DIRECTORY = "proofs"
JOURNAL_SEGMENTS = 8
"""Of 16 MiB: about two months of minutes of thirty datasets, read whole at every start."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a daemon is made of, below its own logic."""

    config: NodeConfig
    policies: tuple[Policy, ...]
    state: NodeState
    clock: MachineClock
    log: EventLog
    zfs: WorkerZfs
    journal: FileJournal
    proof: WorkerProof
    proofs: FileJournal
    """A journal of its own for evidence: the other one keeps only some months."""
    kernel: str
    """OpenZFS's version in the kernel, asked once: it cannot change under a live pool."""
    boot: str
    """A nonce of this start: a peer that sees another one knows that this daemon forgot."""
    starts: Starts
    """Of the other nodes."""
    host: WorkerHost | None = None
    """What a change of roles does to this machine; None where zr.toml has no [roles]."""

    def ports(self) -> dict[str, Any]:
        """Port's name → adapter, as engine.commands.run wants them."""
        return {"ZfsPort": self.zfs, "JournalPort": self.journal}

    def proof_ports(self) -> dict[str, Any]:
        """The same, for proofs: their journal is one of its own."""
        return {"ProofPort": self.proof, "JournalPort": self.proofs, "ClockPort": self.clock}

    def role_ports(self) -> dict[str, Any]:
        """Of the roles' engine, what belongs to this node alone; the caller adds what is a group's:
        RolePeerPort, RoleLanesPort. Only where zr.toml has [roles]."""
        here = {"HostPort": self.host, "DatasetPort": self.host, "AuthorityPort": ManualAuthority()}
        return {**self.ports(), **here, "ClockPort": self.clock}

    def tell(self, event: Event, fields: Mapping[str, Any]) -> None:
        """The log, in the form that adapters use."""
        self.log.tell(event, **fields)


def start_own_workers(config_path: str, user: str, adapter: str) -> Running:
    """The workers of a daemon that root started by hand. Call before any thread exists."""
    config = load_node_config(config_path)
    entry = find_user(user)
    ensure_run_directory(config.run_dir, entry.pw_gid)
    specs = [
        spec
        for pool, sockets in _sockets(config).items()
        for spec in worker_specs(
            pool, sockets, allow_uid=entry.pw_uid, adapter=adapter, config=config_path
        )
    ]
    return start_workers(specs, MachineClock())


def find_user(name: str) -> pwd.struct_passwd:
    """The system's entry of a user. Errors: Standing(no-user)."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise Standing(
            "no-user",
            f"There is no user {name!r}.",
            "Run `zr init`, which makes it, or say --user.",
        ) from None


def wire_parts(config_path: str) -> Parts:
    """Read the configuration and open what the daemon stands on. Errors: Standing(config, …),
    Refused(already-running)."""
    config = load_node_config(config_path)
    policies = load_policies(config.policy_dir)
    state = _load_state(str(Path(config.state_dir) / STATE_FILE))
    if state is None:
        raise Standing(
            "not-initialised", "This node was never prepared.", "Run `zr init` here first."
        )
    clock = MachineClock()
    log = EventLog(clock, EventFiles(str(Path(config.state_dir) / EVENTS_DIRECTORY)))
    folder = str(Path(config.state_dir) / JOURNAL_DIRECTORY)
    journal = FileJournal(folder, clock, keep_segments=JOURNAL_SEGMENTS)

    def report(event: Event, fields: Mapping[str, Any]) -> None:
        log.tell(event, **fields)

    sockets = _sockets(config)
    zfs = WorkerZfs(sockets, clock=clock, report=report)
    proof = WorkerProof({p: s.proof for p, s in config.workers.items()}, clock, report)
    hosts = {pool: one.host for pool, one in sockets.items() if one.host is not None}
    host = WorkerHost(hosts, clock, report) if hosts else None
    folder = str(Path(config.state_dir) / PROOFS_DIRECTORY)
    proofs = FileJournal(folder, clock, keep_segments=JOURNAL_SEGMENTS)
    kernel = zfs.observe_versions()["kernel"]
    boot = secrets.token_hex(8)
    return Parts(
        config, policies, state, clock, log, zfs, journal, proof, proofs, kernel, boot,
        Starts(clock, lambda event, fields: log.tell(event, **fields)), host,
    )  # fmt: skip


def _load_state(path: str) -> NodeState | None:
    """See load_state; who may not read it is told who must run the daemon."""
    try:
        return load_state(path)
    except Standing as error:
        if error.reason != "no-rights":
            raise
        raise Standing(
            "no-rights",
            f"This user ({pwd.getpwuid(os.geteuid()).pw_name}) cannot run the daemon: "
            f"{error.message}",
            "Start it with `systemctl start zr`; by hand, as root: sudo zr daemon",
        ) from None


def reread_parts(parts: Parts) -> Parts:
    """The same parts with what the configuration says now; nothing is opened again.

    Errors: Standing(config); Refused(restart-needed) for a change of what is opened at the start.
    """
    config = load_node_config(parts.config.origin)
    policies = load_policies(config.policy_dir)
    fixed = ("name", "pools", "replica_parent", "workers", "state_dir", "run_dir")
    changed = [key for key in fixed if getattr(config, key) != getattr(parts.config, key)]
    if bool(config.roles) != bool(parts.config.roles):
        changed.append("roles")  # their workers
    if changed:
        raise Refused(
            "restart-needed",
            f"{config.origin}: what changed ({', '.join(changed)}) counts from the daemon's start.",
            "Restart it: systemctl restart zr",
        )
    return replace(parts, config=config, policies=policies)


def wire_pins(config: NodeConfig) -> dict[str, Pin]:
    """Peer's name → its certificate; a peer that was never paired is left out, and picked up when
    the configuration is read again. Errors: Standing(peer-certificate)."""
    pins = {name: _read_pin(peer) for name, peer in config.peers.items()}
    return {name: pin for name, pin in pins.items() if pin is not None}


class CountedClient(PeerClient):
    """A PeerClient whose `progress` also hears when a stream begins: with 0 bytes."""

    def transfer(self, lane: Lane, step: Transfer) -> Committed:
        """See PeerPort."""
        self._progress(lane, 0)
        return super().transfer(lane, step)


def wire_client(parts: Parts, pin: Pin, progress: Callable[[Lane, int], None]) -> PeerClient:
    """The way to one peer. `progress(lane, bytes of the running stream)` must be quick."""
    peer, limits = parts.config.peers[pin.node.name], _limits(parts.config)
    where = (peer.endpoint.host, peer.endpoint.port)
    dialled = Dialled(where, pin, _identity(parts.config), parts.starts)
    return CountedClient(
        parts.zfs,
        dialled,
        lambda: hello(parts),
        parts.clock,
        limits,
        squeezable=attrgetter("squeezable"),
        progress=progress,
    )


def wire_fetcher(parts: Parts, pin: Pin) -> Fetcher:
    """The way to this node's own copies on a peer, for proofs: a connection of its own."""
    endpoint = parts.config.peers[pin.node.name].endpoint
    dialled = Dialled((endpoint.host, endpoint.port), pin, _identity(parts.config))
    return Fetcher(dialled, lambda: hello(parts), parts.clock, _limits(parts.config))


def wire_position(parts: Parts) -> PositionFile:
    """Where an interrupted comparison is remembered."""
    return PositionFile(str(Path(parts.config.state_dir) / "proof-position.json"))


def wire_server(
    parts: Parts,
    receiver: ReceiverPort,
    pins: list[Pin],
    copies: CopyPort | None = None,
    guard: RoleGuardPort | None = None,
    desk: RoleDeskPort | None = None,
) -> PeerServer | None:
    """What listens for peers, or None where this node takes no connections."""
    listen = parts.config.listen
    if listen is None:
        return None
    return PeerServer(
        receiver,
        _identity(parts.config),
        pins,
        (listen.host, listen.port),
        lambda: hello(parts),
        parts.clock,
        _limits(parts.config),
        tell=parts.tell,
        copies=copies,
        guard=guard,
        desk=desk,
        starts=parts.starts,
    )


def wire_fetchers(config_path: str) -> list[Fetcher]:
    """The ways to this node's own copies on its peers, for a person's command: it opens neither
    journal nor workers. Errors: Standing(config, not-initialised, no-rights)."""
    config = load_node_config(config_path)
    state = _load_state(str(Path(config.state_dir) / STATE_FILE))
    if state is None:
        raise Standing(
            "not-initialised", "This node was never prepared.", "Run `zr init` here first."
        )
    greeting = Hello(
        protocol=PROTOCOL,
        version=__version__,
        node=state.node.uuid,
        name=state.node.name,
        zfs=read_kernel_version() or "",
        epoch=state.epoch,
        boot="",
    )
    fetchers = []
    for name, pin in wire_pins(config).items():
        endpoint = config.peers[name].endpoint
        dialled = Dialled((endpoint.host, endpoint.port), pin, _identity(config))
        fetchers.append(Fetcher(dialled, lambda: greeting, MachineClock(), _limits(config)))
    return fetchers


def hello(parts: Parts) -> Hello:
    """What this node says of itself on every connection."""
    return Hello(
        protocol=PROTOCOL,
        version=__version__,
        node=parts.state.node.uuid,
        name=parts.state.node.name,
        zfs=parts.kernel,
        epoch=parts.state.epoch,
        boot=parts.boot,
        features=FEATURES + ((ROLES,) if parts.config.roles else ()),
        groups={p.name: p.targets for p in parts.policies},
    )


def _sockets(config: NodeConfig) -> dict[str, PoolSockets]:
    receiving = config.receiving_pools
    return {
        pool: PoolSockets(
            sockets.zfs,
            sockets.receive if pool in receiving else None,
            sockets.proof,
            sockets.host if config.roles else None,
        )
        for pool, sockets in config.workers.items()
    }


def _limits(config: NodeConfig) -> Limits:
    """Of both ends: a target gives a dead connection up as soon as a source does."""
    silence = float(config.link.stall_seconds)
    return Limits(
        connect_seconds=float(config.link.connect_seconds),
        silence_seconds=silence,
        ping_seconds=min(Limits().ping_seconds, silence / 3),
        stream_connections=config.link.streams,
    )


def _identity(config: NodeConfig) -> Identity:
    return Identity(Path(config.certificate), Path(config.key))


def _read_pin(peer: PeerConfig) -> Pin | None:
    try:
        pem = Path(peer.certificate).read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Standing(
            "peer-certificate",
            f"The certificate of {peer.name} cannot be read from {peer.certificate}: {error}.",
            "Pair the two nodes again: zr pair --replace",
        ) from None
    return parse_pin(pem, name=peer.name)
