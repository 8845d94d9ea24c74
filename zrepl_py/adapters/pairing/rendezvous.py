"""Where the two meet: who listens, how long, how often may be tried, and who dials.

The host listens at most ten minutes and takes one guest at a time; after three guests that were
let to try the code and did not have it, it ends. A guest that never comes so far does not count.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Callable

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.pairing.meeting import Manners, Met, meet_guest, meet_host
from zrepl_py.adapters.pairing.talk import Talk
from zrepl_py.adapters.peer.tls import translate_error
from zrepl_py.errors import Passing, Refused, Standing, ZrError
from zrepl_py.ports.clock import ClockPort

TRIES = 3
OPEN_SECONDS = 600.0
TALK_SECONDS = 30.0
CONNECT_SECONDS = 10.0


def open_rendezvous(host: str, port: int) -> socket.socket:
    """Listen for a guest. Standing(peer-address)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=8)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Standing(
                "peer-address",
                f"Something listens at port {port} of this node already: another `zr pair`, "
                "probably, which shows a code and waits, ten minutes at most.",
                "Type that one's code on the other node, or end it with Ctrl-C. Where it is "
                f"another program (ss -ltnp sport = :{port}), say --port, the same on both nodes.",
            ) from None
        raise Standing(
            "peer-address",
            f"zr pair cannot listen at {host} port {port}: {os.strerror(error.errno or 0)}.",
            "Stop what uses the port, or choose another one with --port.",
        ) from None


def wait_for_guest(
    listener: socket.socket,
    code: str,
    manners: Manners,
    clock: ClockPort,
    tell: Callable[[str], None],
) -> Met:
    """Who came and had the code. `tell` hears of those who had not.

    Errors: Refused(pairing-over) after three tries or ten minutes; those of `manners`, after the
    guest has proven the code.
    """
    until, tries = Deadline(clock, OPEN_SECONDS), 0

    def proving() -> int:
        nonlocal tries
        tries += 1
        return TRIES - tries

    while tries < TRIES:
        listener.settimeout(until.remaining_seconds() or 0.001)
        try:
            connection, address = listener.accept()
        except TimeoutError:
            raise _over("Ten minutes are over.") from None
        before = tries
        with connection:
            try:
                talk = Talk(connection, Deadline(clock, TALK_SECONDS))
                return meet_guest(talk, code, manners, proving)
            except OSError:
                continue  # gone before it said a word
            except ZrError as error:
                if error.reason not in ("wrong-code", "protocol", "peer-silent", "peer-version"):
                    raise
                wrong = error.reason == "wrong-code"
                said = "another code was typed there." if wrong else error.message
                rest = f" Tries left: {TRIES - tries}." if tries > before else ""
                tell(f"{address[0]}: {said}{rest}")
    raise _over("Three tries had the wrong code.")


def visit(host: str, port: int, code: str, manners: Manners, clock: ClockPort) -> Met:
    """Dial the node that shows the code. Errors: Passing(peer-silent), those of meet_host."""
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    except OSError as error:
        said = translate_error(error).message
        raise Passing(
            "peer-silent",
            f"Nobody pairs at {host} port {port}: {said}",
            "Start `zr pair` on the other node first, and check the address and the firewall.",
        ) from None
    with connection:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return meet_host(Talk(connection, Deadline(clock, TALK_SECONDS)), code, manners)


def _over(why: str) -> Refused:
    return Refused("pairing-over", f"{why} Nothing was paired.", "Start `zr pair` again.")
