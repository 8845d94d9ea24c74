"""How long, how many, how much: every deadline and bound of the peer adapter."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The same on both nodes, though nothing depends on that.

    Two kinds of quiet are told apart. *Silent*: no byte moved in either direction, although the
    peer sends PINGs while it works; the connection is then given up soon. *Stalled*: PINGs come,
    but no byte of the stream is taken, or no commit follows; ZFS may need long for that.
    """

    connect_seconds: float = 10.0
    """For TCP, TLS and Hello together, and for a PONG before an idle connection is used again."""
    sign_seconds: float = 2.0
    """The same, where nothing but a sign of life is asked for."""
    role_seconds: float = 5.0
    """For one call about roles: the wait for its connection, and the answer."""
    redial_seconds: float = 2.0
    """After a dial for roles that failed: so long nothing is dialled, and calls fail at once."""
    refused_redial_seconds: float = 15.0
    """The same where the peer answers, but has no roles."""
    silence_seconds: float = 60.0
    stall_seconds: float = 1800.0
    ping_seconds: float = 10.0
    """How often a side that has nothing to send says that it is alive."""
    call_seconds: float = 120.0
    """For one call, the wait for the control connection, and the answer."""
    queue_seconds: float = 600.0
    """How long a transfer waits for a free stream connection."""
    settle_seconds: float = 10.0
    """How long to wait for a ZFS call to end after its pipe was closed."""
    linger_seconds: float = 2.0
    """How long to drain a connection after the last word, so that it is not lost in a reset."""
    idle_seconds: float = 3600.0
    """A server closes a connection on which nothing was heard for so long, not even a PING."""
    stream_connections: int = 8
    """Streams to one target at once."""
    server_connections: int = 64
    unproven_connections: int = 16
    """Those of the server's connections that have not yet proven who they are."""
    replace_after_bytes: int = 64 << 30
    """A connection that has sent so much is not used for another stream: AES-GCM's limits, and
    Python's ssl has no key update."""
