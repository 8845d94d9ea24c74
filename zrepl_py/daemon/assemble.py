"""From a configuration file to a Service: the daemon's own parts on top of what wiring.py gives."""

from pathlib import Path

from zrepl_py.core.codec import decode
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.ending import Ending
from zrepl_py.daemon.lanes import Target
from zrepl_py.daemon.receiver import Receiver
from zrepl_py.daemon.replicas import Replicas
from zrepl_py.daemon.service import CONTROL_SOCKET, Service
from zrepl_py.daemon.source import Source
from zrepl_py.engine.receive import Place
from zrepl_py.model.names import parse_epoch
from zrepl_py.model.site import Manifest
from zrepl_py.ports.journal import Json
from zrepl_py.wiring import Parts, wire_client, wire_parts, wire_pins, wire_server

TICK_THREADS = 4
"""For ticks, pruning and the watchdog: never for what waits for a peer."""
MANIFEST_THREADS = 1


def assemble_service(config_path: str, ending: Ending) -> Service:
    """Everything but started. Errors: see wiring.wire_parts."""
    parts = wire_parts(config_path)
    config, node, log = parts.config, parts.state.node, parts.log
    pins = wire_pins(config)
    agenda = Agenda(parts.clock, TICK_THREADS, ending.fail)
    # Lanes have threads of their own: a peer that does not answer must not make a tick late.
    streams = config.link.streams + MANIFEST_THREADS
    lanes_agenda = Agenda(parts.clock, streams, ending.fail, agenda.monitor)
    source = Source(
        node=node,
        epoch=parse_epoch(parts.state.epoch),
        policies=parts.policies,
        targets=[Target(pin.node, wire_client(parts, pin)) for pin in pins.values()],
        ports=parts.ports(),
        clock=parts.clock,
        agenda=agenda,
        lanes_agenda=lanes_agenda,
        tell=log.tell,
        rescan_seconds=config.rescan_seconds,
        journalled=_journalled(parts),
        reserved=(config.replica_parent,) if config.replica_parent else (),
    )
    places = [Place(f"{config.replica_parent}/{name}", pin.node) for name, pin in pins.items()]
    replicas = Replicas(
        name=node.name,
        places=places if config.replica_parent else (),
        policies=parts.policies,
        ports=parts.ports(),
        tell=log.tell,
    )
    receiver = Receiver(replicas, agenda)
    server = wire_server(parts, receiver, list(pins.values()))
    control = Path(config.run_dir) / CONTROL_SOCKET
    return Service(
        node,
        source,
        receiver,
        server,
        (agenda, lanes_agenda),
        parts.clock,
        log,
        parts.zfs,
        control,
        ending,
    )


def _journalled(parts: Parts) -> list[Manifest]:
    """The ticks of earlier runs, oldest first."""
    return [_manifest(record["manifest"]) for record in parts.journal.records("tick")]


def _manifest(value: Json) -> Manifest:
    return decode(Manifest, value)
