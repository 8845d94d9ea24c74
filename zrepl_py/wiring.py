"""All construction on one page: which adapter stands behind which port."""

import pwd
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from zrepl_py import __version__
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.events import EventLog
from zrepl_py.adapters.host.prepare import ensure_run_directory
from zrepl_py.adapters.journal import FileJournal
from zrepl_py.adapters.peer.certificates import Identity, Pin, parse_pin
from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.adapters.peer.dial import Target as Dialled
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.server import PeerServer
from zrepl_py.adapters.state import NodeState, load_state
from zrepl_py.adapters.worker import PoolSockets, WorkerZfs
from zrepl_py.adapters.worker.spawn import Running, start_workers, worker_specs
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import Standing
from zrepl_py.events import Event
from zrepl_py.model.config import NodeConfig, PeerConfig
from zrepl_py.model.policy import Policy
from zrepl_py.model.wire import PROTOCOL, Hello
from zrepl_py.ports.peer import ReceiverPort

STATE_FILE = "state.json"
JOURNAL_DIRECTORY = "journal"
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
    kernel: str
    """OpenZFS's version in the kernel, asked once: it cannot change under a live pool."""
    boot: str
    """A nonce of this start: a peer that sees another one knows that this daemon forgot."""

    def ports(self) -> dict[str, Any]:
        """Port's name → adapter, as engine.commands.run wants them."""
        return {"ZfsPort": self.zfs, "JournalPort": self.journal}

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
        for spec in worker_specs(pool, sockets, allow_uid=entry.pw_uid, adapter=adapter)
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
            "Create it (systemd-sysusers, with systemd/zr.sysusers.conf), or say --user.",
        ) from None


def wire_parts(config_path: str) -> Parts:
    """Read the configuration and open what the daemon stands on. Errors: Standing(config, …),
    Refused(already-running)."""
    config = load_node_config(config_path)
    policies = load_policies(config.policy_dir)
    state = load_state(str(Path(config.state_dir) / STATE_FILE))
    if state is None:
        raise Standing(
            "not-initialised", "This node was never prepared.", "Run `zr init` here first."
        )
    clock = MachineClock()
    log = EventLog(clock)
    folder = str(Path(config.state_dir) / JOURNAL_DIRECTORY)
    journal = FileJournal(folder, clock, keep_segments=JOURNAL_SEGMENTS)
    zfs = WorkerZfs(
        _sockets(config), clock=clock, report=lambda event, fields: log.tell(event, **fields)
    )
    kernel = zfs.observe_versions()["kernel"]
    boot = secrets.token_hex(8)
    return Parts(config, policies, state, clock, log, zfs, journal, kernel, boot)


def wire_pins(config: NodeConfig) -> dict[str, Pin]:
    """Peer's name → its certificate. Errors: Standing(peer-certificate)."""
    return {name: _read_pin(peer) for name, peer in config.peers.items()}


def wire_client(parts: Parts, pin: Pin) -> PeerClient:
    """The way to one peer."""
    peer, limits = parts.config.peers[pin.node.name], _limits(parts.config)
    where = (peer.endpoint.host, peer.endpoint.port)
    dialled = Dialled(where, pin, _identity(parts.config))
    return PeerClient(
        parts.zfs,
        dialled,
        lambda: hello(parts),
        parts.clock,
        limits,
        squeezable=attrgetter("squeezable"),
    )


def wire_server(parts: Parts, receiver: ReceiverPort, pins: list[Pin]) -> PeerServer | None:
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
    )


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
        groups={p.name: p.targets for p in parts.policies},
    )


def _sockets(config: NodeConfig) -> dict[str, PoolSockets]:
    receiving = config.replica_parent.split("/")[0] if config.replica_parent else None
    return {
        pool: PoolSockets(sockets.zfs, sockets.receive if pool == receiving else None)
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


def _read_pin(peer: PeerConfig) -> Pin:
    try:
        pem = Path(peer.certificate).read_text()
    except OSError as error:
        raise Standing(
            "peer-certificate",
            f"The certificate of {peer.name} cannot be read from {peer.certificate}: "
            f"{error.strerror}.",
            f"Copy {peer.name}'s /etc/zr/node.pem here, and run: zr trust FILE",
        ) from None
    return parse_pin(pem, name=peer.name)
