"""From an address to a greeted Link: TCP, TLS, Hello, all within one deadline."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from zrepl_py.adapters.peer.bytepath import TlsPath, prepare_socket
from zrepl_py.adapters.peer.certificates import Identity, Pin
from zrepl_py.adapters.peer.conversation import Side
from zrepl_py.adapters.peer.framing import FrameType
from zrepl_py.adapters.peer.greeting import judge_hello
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import Link
from zrepl_py.adapters.peer.messages import parse_hello, render_message
from zrepl_py.adapters.peer.starts import Starts
from zrepl_py.adapters.peer.tls import make_client_context, shake_hands, translate_error
from zrepl_py.errors import Passing
from zrepl_py.model.wire import Hello
from zrepl_py.ports.clock import ClockPort


@dataclass(frozen=True, slots=True)
class Target:
    """Where the peer is, and how it is recognised."""

    address: tuple[str, int]
    pin: Pin
    identity: Identity
    """This node's own certificate and key; read at every connection, so they can be replaced."""
    starts: Starts | None = None
    """Whom a daemon listens to; None: a person's command does not care."""


def dial(
    target: Target,
    hello: Callable[[], Hello],
    clock: ClockPort,
    limits: Limits,
    user_timeout_seconds: float,
) -> tuple[Link, Hello]:
    """A connection on which calls and streams may begin, and what the peer said of itself.

    Errors: those of ports/peer.py. Only the resolver's own time is not bounded here.
    """
    until = clock.monotonic() + limits.connect_seconds

    def left() -> float:
        seconds = until - clock.monotonic()
        if seconds <= 0:
            raise Passing("peer-silent", f"{target.pin.node.name} does not answer in time.")
        return seconds

    context = make_client_context(target.identity, target.pin)
    try:
        raw = socket.create_connection(target.address, timeout=left())
        prepare_socket(raw, user_timeout_seconds)
    except OSError as error:
        raise translate_error(error) from None
    raw.settimeout(left())
    secured, pin = shake_hands(context, raw, [target.pin], server=False)
    link = Link(TlsPath(secured), Side.CLIENT, clock)
    try:
        mine = hello()
        link.say(FrameType.HELLO, render_message(FrameType.HELLO, mine), left())
        theirs = parse_hello(link.hear_answer(FrameType.HELLO, left()))
        judge_hello(mine, theirs, pin.node.uuid)
        if target.starts is not None:
            target.starts.check(pin.node.uuid, pin.node.name, theirs.boot)
    except BaseException:
        link.close()
        raise
    return link, theirs
