"""Two nodes talking: TLS 1.3 with pinned certificates, framed calls and streams.

docs/formats/peer-protocol.md is the specification. The public surface:

    identity = Identity(Path("/etc/zr/node.crt"), Path("/etc/zr/node.key"))
    ensure_identity(identity, Node(uuid, "alpha"))       # makes both files where missing

    # The target (beta) listens, and its ReceiverPort answers:
    pins = [parse_pin(alpha_pem)]                        # name and uuid are the certificate's
    server = PeerServer(receiver, identity, pins, ("0.0.0.0", 4290), make_hello, clock)
    server.start()
    ...
    server.stop()

    # The source (alpha) has a PeerPort per target:
    target = Target(("beta.example", 4290), parse_pin(beta_pem), identity)
    peer = PeerClient(zfs, target, make_hello, clock,
                      squeezable=lambda lane: lane.uuid in uncompressed)
    view = peer.observe_replica(lane)
    committed = peer.transfer(lane, SendIncrement(base, to))
    peer.close()

Layers, lowest first: framing and conversation (no I/O), messages, certificates and tls, bytepath,
link (one connection), outgoing and incoming (one stream), pool, client, session, server.
"""

from zrepl_py.adapters.peer.certificates import Identity, Pin, ensure_identity, parse_pin
from zrepl_py.adapters.peer.client import PeerClient
from zrepl_py.adapters.peer.dial import Target
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.server import PeerServer

__all__ = [
    "Identity",
    "Limits",
    "PeerClient",
    "PeerServer",
    "Pin",
    "Target",
    "ensure_identity",
    "parse_pin",
]
