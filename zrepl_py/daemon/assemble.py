"""From Parts to a Service: the daemon's own parts on top of what wiring.py gives."""

from collections.abc import Callable, Mapping

from zrepl_py.adapters.peer.certificates import Pin
from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.core.codec import decode
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.arrivals import Arrivals
from zrepl_py.daemon.contacts import Contacts
from zrepl_py.daemon.copies import KeptCopies
from zrepl_py.daemon.courses import Courses
from zrepl_py.daemon.lanes import Target
from zrepl_py.daemon.progress import Progress
from zrepl_py.daemon.proof_told import ToldProofs
from zrepl_py.daemon.proofs import Proofs
from zrepl_py.daemon.readers import Readers
from zrepl_py.daemon.receipts import Receipts
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.role_assembly import by_key, keep_roles, make_desk, make_roles
from zrepl_py.daemon.role_health import HealthDoor
from zrepl_py.daemon.service import Service
from zrepl_py.daemon.source import Source
from zrepl_py.daemon.syncs import Syncs
from zrepl_py.engine.receive import Place
from zrepl_py.events import Event
from zrepl_py.model.names import parse_epoch
from zrepl_py.model.site import Manifest
from zrepl_py.ports.journal import Json
from zrepl_py.wiring import (
    Parts,
    wire_client,
    wire_fetcher,
    wire_pins,
    wire_position,
    wire_server,
)

Failed = Callable[[BaseException], None]

TICK_THREADS = 4
"""For ticks, pruning and the watchdog: never for what waits for a peer."""
MANIFEST_THREADS = 1
PROOF_THREADS = 1
SOURCE_THREADS = 1
"""For the look at when each source was last heard."""


def assemble_service(parts: Parts, failed: Callable[[BaseException], None]) -> Service:
    """Everything but started. `failed` hears what a thread could not deal with."""
    config, node, log = parts.config, parts.state.node, parts.log
    pins = wire_pins(config)
    for name in sorted(config.peers.keys() - pins.keys()):
        log.tell(Event.PEER_UNPAIRED, peer=name, remedy="zr pair")
    roles = make_roles(parts, pins)
    agenda = Agenda(parts.clock, TICK_THREADS, failed)
    # Lanes have threads of their own: a peer that does not answer must not make a tick late.
    streams = config.link.streams + MANIFEST_THREADS
    lanes_agenda = Agenda(parts.clock, streams, failed, agenda.monitor)
    progress = Progress()
    clients = {name: wire_client(parts, pin, progress.count) for name, pin in pins.items()}
    epoch = parse_epoch(parts.state.epoch)
    source = Source(
        node=node,
        epoch=epoch,
        policies=parts.policies,
        targets=[Target(pins[name].node, client) for name, client in clients.items()],
        ports=parts.ports(),
        clock=parts.clock,
        agenda=agenda,
        lanes_agenda=lanes_agenda,
        tell=log.tell,
        rescan_seconds=config.rescan_seconds,
        journalled=_journalled(parts),
        reserved=(config.replica_parent,) if config.replica_parent else (),
        courses=Courses(node, epoch, parts.policies, by_key(roles)),
    )
    places = [Place(f"{config.replica_parent}/{name}", pin.node) for name, pin in pins.items()]
    replicas, told = _replicas(parts, places, Arrivals(by_key(roles))), ToldProofs(parts.proofs)
    contacts = _contacts(parts, source, clients, places, agenda, failed)
    receiver = Receiver(replicas, agenda, contacts.note_arrived)
    copies = _copies(parts, places, replicas, told)
    desk = make_desk(parts, roles, agenda)
    server = wire_server(parts, receiver, list(pins.values()), copies, desk, desk)
    proofs = _proofs(parts, source, pins, agenda, failed)
    source.readers = proofs.readers
    if server is not None:
        contacts.heard = server.heard
    kept = keep_roles(parts, roles, source, receiver, server, clients, agenda, failed)
    return Service(
        node,
        source,
        receiver,
        server,
        tuple(clients.values()),
        (agenda, lanes_agenda, contacts.agenda, proofs.agenda, *kept.agendas),
        parts.clock,
        log,
        parts.zfs,
        progress,
        Syncs(source, agenda, parts.clock, parts.ports(), contacts.is_silent),
        Receipts(source, replicas, agenda, parts.journal),
        contacts,
        proofs,
        told,
        kept,
        HealthDoor(config.health, roles, parts.clock),
    )


def _replicas(parts: Parts, places: list[Place], arrivals: Arrivals) -> Replicas:
    """What arrives here, if anything may."""
    return Replicas(
        name=parts.state.node.name,
        places=places if parts.config.replica_parent else (),
        policies=parts.policies,
        ports=parts.ports(),
        tell=parts.log.tell,
        arrivals=arrivals,
    )


def _copies(
    parts: Parts, places: list[Place], replicas: Replicas, told: ToldProofs
) -> KeptCopies | None:
    """What the owners of the replicas may ask for; who reads one is known to retention."""
    if not parts.config.replica_parent:
        return None
    served = Readers(parts.clock)
    replicas.readers = served.now
    return KeptCopies(places, parts.zfs, served, parts.proof, told)


def _proofs(
    parts: Parts, source: Source, pins: Mapping[str, Pin], agenda: Agenda, failed: Failed
) -> Proofs:
    """With a thread and connections of its own: what it does takes hours."""
    fars = {name: wire_fetcher(parts, pin) for name, pin in pins.items()}

    def sever() -> None:
        for far in fars.values():
            far.sever()

    return Proofs(
        source=source,
        agenda=Agenda(parts.clock, PROOF_THREADS, failed, agenda.monitor),
        fars=fars,
        ports={**parts.ports(), **parts.proof_ports()},
        clock=parts.clock,
        tell=parts.log.tell,
        limits=parts.config.proof,
        position=wire_position(parts),
        sever=sever,
    )


def _contacts(
    parts: Parts,
    source: Source,
    clients: dict[str, PeerClient],
    places: list[Place],
    agenda: Agenda,
    failed: Callable[[BaseException], None],
) -> Contacts:
    """Who is asked for signs of life, and who is expected to give them."""
    name, keeps = parts.state.node.name, bool(parts.config.replica_parent)
    targets = {target: clients[target] for target in source.targets}

    def answered(target: str) -> None:
        targets[target].let_go_of_quiet()
        source.wake(target=target)

    expected = frozenset(p.source for p in parts.policies if name in p.targets)
    arrived: dict[str, float] = {}
    for kind in ("manifest", "received"):
        for record in parts.journal.records(kind):
            node, at = str(record["source"]), float(str(record["at"]))
            arrived[node] = max(at, arrived.get(node, at))
    return Contacts(
        parts.clock,
        Agenda(parts.clock, len(targets) + SOURCE_THREADS, failed, agenda.monitor),
        parts.log.tell,
        targets,
        answered,
        source.lanes.doubt_target,
        {place.source.name: place.source for place in places} if keeps else {},
        expected,
        twice=lambda: [p.source.name for p in places if p.source.uuid in parts.starts.twice()],
        arrived=arrived,
    )


def _journalled(parts: Parts) -> list[Manifest]:
    """The ticks of earlier runs, oldest first."""
    return [_manifest(record["manifest"]) for record in parts.journal.records("tick")]


def _manifest(value: Json) -> Manifest:
    return decode(Manifest, value)
