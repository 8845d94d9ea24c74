"""Two ends of the peer adapter over real TLS on 127.0.0.1, with honest small ports at both ends.

A "stream" here is a length, a body and its hash: so a truncated one cannot look whole, as with ZFS.
"""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.peer import (
    Identity,
    Limits,
    PeerClient,
    PeerServer,
    Pin,
    Target,
    ensure_identity,
)
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import SendFull
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.site import Lane, Manifest, Node, lane_uuid
from zrepl_py.model.wire import PROTOCOL, Begin, Committed, Hello, LaneName
from zrepl_py.ports.rolepeer import RoleDeskPort, RoleGuardPort

ALPHA = Node("11111111-1111-4111-8111-111111111111", "alpha")
BETA = Node("22222222-2222-4222-8222-222222222222", "beta")
EPOCH = "1-9f3a21cc"
QUICK = Limits(
    connect_seconds=3.0,
    silence_seconds=1.0,
    stall_seconds=4.0,
    ping_seconds=0.1,
    call_seconds=3.0,
    queue_seconds=3.0,
    settle_seconds=2.0,
    linger_seconds=0.5,
    idle_seconds=20.0,
)


def hello_of(node: Node, **changes: object) -> Hello:
    hello = Hello(PROTOCOL, "0.1.0", node.uuid, node.name, "2.3.9-1", EPOCH, "boot")
    return replace(hello, **changes)  # type: ignore[arg-type]


def lane_of(dataset: str = "tank/a", *, raw: bool = False) -> Lane:
    return Lane(lane_uuid(ALPHA.uuid, hash(dataset) % 2**63, BETA.uuid), dataset, BETA, raw)


def full_of(guid: int) -> SendFull:
    return SendFull(Snapshot(guid, guid, f"zr_{EPOCH}_{guid}_20261121T081500Z", 1795000000))


def stream_of(body: bytes) -> bytes:
    return len(body).to_bytes(8, "big") + body + hashlib.sha256(body).digest()


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Until it is true; fails the test when it does not become so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


@dataclass
class Bodies:
    """The source's ZFS: snapshot's whole name → body of its stream."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    fail_after: dict[str, tuple[int, Exception]] = field(default_factory=dict)
    hold_after: dict[str, tuple[int, threading.Event]] = field(default_factory=dict)
    asked: list[tuple[str, str | None, bool, tuple[int, int] | None]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def send(
        self, snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
    ) -> None:
        self.asked.append((snapshot, base, raw, resume))
        stream = stream_of(self.bodies[snapshot])
        stop, failure = self.fail_after.get(snapshot, (len(stream), None))
        hold, gate = self.hold_after.get(snapshot, (len(stream), threading.Event()))
        try:
            with open(fd, "wb", buffering=0) as pipe:
                for at in range(0, stop, 65536):
                    if at >= hold:
                        gate.wait(20)
                    rest = memoryview(stream)[at : min(at + 65536, stop)]
                    while rest:
                        rest = rest[pipe.write(rest) :]
                if failure is not None:
                    raise failure
        except BrokenPipeError:
            raise Passing("stream-cut", "The reader has gone.") from None
        finally:
            self.ended.set()


@dataclass
class Vault:
    """The target: keeps the bodies it has received, as a ReceiverPort."""

    bodies: dict[int, bytes] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    properties: dict[str, dict[str, str]] = field(default_factory=dict)
    aborted: list[int] = field(default_factory=list)
    based: list[int] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    refuse: ZrError | None = None
    commit_gate: threading.Event | None = None
    call_gate: threading.Event | None = None
    read_gate: dict[int, threading.Event] = field(default_factory=dict)
    began: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    commit_as: int | None = None
    view: ReplicaView = field(default_factory=lambda: ReplicaView(True))

    def observe_replica(self, source: str, lane: LaneName) -> ReplicaView:
        self.sources.append(source)
        if self.call_gate is not None:
            self.call_gate.wait(20)
        return self.view

    def receive(self, source: str, begin: Begin, fd: int) -> Committed:
        self.sources.append(source)
        self.began.set()
        try:
            with open(fd, "rb", buffering=0) as pipe:
                if self.refuse is not None:
                    pipe.read(100)
                    raise self.refuse
                self._receive(begin, pipe.read)
        finally:
            self.ended.set()
        if self.commit_gate is not None:
            self.commit_gate.wait(20)
        return Committed(self.commit_as or begin.to_guid, 77)

    def _receive(self, begin: Begin, read: Callable[[int], bytes]) -> None:
        gate = self.read_gate.get(begin.to_guid)
        if gate is not None:
            gate.wait(20)
        stream = bytearray()
        while octets := read(1 << 20):
            stream += octets
        size = int.from_bytes(stream[:8], "big")
        body = bytes(stream[8:-32])
        if len(stream) < 40 or len(body) != size or stream != stream_of(body):
            self.cut.append(begin.to_guid)
            raise Passing("stream-cut", "The stream was cut.")
        self.bodies[begin.to_guid] = body

    def abort_partial(self, source: str, lane: LaneName, to_guid: int) -> None:
        self.aborted.append(to_guid)

    def hold_base(self, source: str, lane: LaneName, guid: int) -> None:
        self.based.append(guid)

    def store_manifest(self, source: str, manifest: Manifest) -> None:
        self.manifests.append(manifest)

    def store_receipt(self, source: str, receipt: Receipt) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.receipts.append(receipt)

    def store_properties(self, source: str, lane: LaneName, properties: Mapping[str, str]) -> None:
        if not properties:
            raise Refused("bad-name", "Nothing to store.", "Name a property.")
        self.properties[lane.dataset] = dict(properties)


def identity_in(folder: Path, node: Node) -> tuple[Identity, Pin]:
    folder.mkdir(exist_ok=True)
    identity = Identity(folder / f"{node.name}.crt", folder / f"{node.name}.key")
    return identity, ensure_identity(identity, node)


@dataclass
class Site:
    """A listening target, and what a source needs to reach it."""

    folder: Path
    vault: Vault = field(default_factory=Vault)
    zfs: Bodies = field(default_factory=Bodies)
    limits: Limits = QUICK
    clock: MachineClock = field(default_factory=MachineClock)
    events: list[tuple[Event, Mapping[str, str]]] = field(default_factory=list)
    server_hello: Hello = field(default_factory=lambda: hello_of(BETA))
    guard: RoleGuardPort | None = None
    desk: RoleDeskPort | None = None
    client_hello: Hello = field(default_factory=lambda: hello_of(ALPHA))

    def __post_init__(self) -> None:
        self.alpha, self.alpha_pin = identity_in(self.folder, ALPHA)
        self.beta, self.beta_pin = identity_in(self.folder, BETA)
        self.server_pins = [self.alpha_pin]

    def serve(self, port: int = 0) -> PeerServer:
        self.server = PeerServer(
            self.vault, self.beta, self.server_pins, ("127.0.0.1", port), lambda: self.server_hello,
            self.clock, self.limits, lambda event, fields: self.events.append((event, fields)),
            guard=self.guard, desk=self.desk,
        )  # fmt: skip
        self.server.start()
        return self.server

    def target(self, port: int | None = None) -> Target:
        return Target(("127.0.0.1", port or self.server.port), self.beta_pin, self.alpha)

    def client(self, port: int | None = None, **more: Callable[..., object]) -> PeerClient:
        return PeerClient(
            self.zfs, self.target(port), lambda: self.client_hello, self.clock, self.limits,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def put(self, lane: Lane, step: SendFull, body: bytes) -> str:
        name = f"{lane.dataset}@{step.to.name}"
        self.zfs.bodies[name] = body
        return name

    def reasons(self) -> list[str]:
        return [fields.get("reason", "") for _, fields in self.events]


@contextmanager
def serving(site: Site, port: int = 0) -> Iterator[PeerServer]:
    server = site.serve(port)
    try:
        yield server
    finally:
        assert server.stop(), "the server did not end"


class Proxy:
    """A TCP relay in the middle that can spoil, cut or hold what the source sends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.flip_at: int | None = None
        self.cut_at: int | None = None
        self.hold_at: int | None = None
        self.pause_seconds = 0.0
        """After every 64 KiB: a slow link."""
        self.relayed_bytes = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            self._open += [near, far]
            threading.Thread(target=self._relay, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(far, near, False), daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket, spoil: bool) -> None:
        seen = 0
        try:
            while octets := bytearray(near.recv(65536)):
                for at in [self.flip_at] if spoil and self.flip_at is not None else []:
                    if seen <= at < seen + len(octets):
                        octets[at - seen] ^= 0x10
                seen += len(octets)
                if spoil and self.cut_at is not None and seen >= self.cut_at:
                    break
                if spoil and self.hold_at is not None and seen >= self.hold_at:
                    threading.Event().wait(20)
                far.sendall(octets)
                if spoil:
                    self.relayed_bytes += len(octets)
                    time.sleep(self.pause_seconds)
        except OSError:
            pass
        for each in (near, far):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def random_body(size_bytes: int) -> bytes:
    return os.urandom(size_bytes)
