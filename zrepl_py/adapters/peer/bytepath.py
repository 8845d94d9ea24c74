"""How bytes get onto a connection and off it. The only place that reads and writes sockets.

Another path (kernel TLS with splice) can be slotted in here later: everything above needs only
these six verbs. None of them blocks, and all but `sever` belong to one thread: OpenSSL does not
allow reading and writing one connection from two.
"""

import contextlib
import socket
import ssl
from typing import Protocol

from zrepl_py.adapters.peer.tls import translate_error
from zrepl_py.errors import Standing


class BytePath(Protocol):
    """A connected, proven byte stream in both directions."""

    def fileno(self) -> int:
        """The descriptor to poll; -1 once closed."""

    def read_into(self, space: memoryview) -> int | None:
        """Bytes read, 0 when the peer has closed, None when nothing is there now."""

    def write(self, octets: memoryview) -> int | None:
        """Bytes accepted, or None: then the *same* bytes must be offered again."""

    def bear_stall(self, seconds: float) -> None:
        """From now on the other side may take nothing for so long: see prepare_socket."""

    def sever(self) -> None:
        """From any thread: whoever works with this path finds it closed by the peer."""

    def close(self) -> None:
        """Idempotent."""


class TlsPath:
    """User-space TLS over TCP."""

    def __init__(self, secured: ssl.SSLSocket) -> None:
        secured.setblocking(False)
        self._socket = secured

    def fileno(self) -> int:
        """See BytePath."""
        return self._socket.fileno()

    def read_into(self, space: memoryview) -> int | None:
        """See BytePath."""
        try:
            return self._socket.recv_into(space)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError as error:
            raise translate_error(error) from None

    def write(self, octets: memoryview) -> int | None:
        """See BytePath."""
        try:
            return self._socket.send(octets)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError as error:
            self._raise_refusal()
            raise translate_error(error) from None

    def bear_stall(self, seconds: float) -> None:
        """See BytePath."""
        with contextlib.suppress(OSError):  # it is closed: the next write says so
            self._socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000)
            )

    def sever(self) -> None:
        """See BytePath."""
        # SSLSocket.shutdown would drop the TLS object under the other thread's feet.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """See BytePath."""
        self._socket.close()

    def _raise_refusal(self) -> None:
        """A write that fails may be the echo of an alert that waits to be read (TLS 1.3)."""
        try:
            self._socket.recv_into(bytearray(1 << 10))
        except OSError as error:
            refusal = translate_error(error)
            if isinstance(refusal, Standing):
                raise refusal from None


def prepare_socket(raw: socket.socket, user_timeout_seconds: float) -> None:
    """TCP options of every connection.

    `user_timeout_seconds`: after so long without progress the kernel gives up. It also counts
    while the peer keeps its window shut although it answers every probe (tried: 3 s were enough to
    lose such a connection), so for a stream it must not be shorter than a pool may stall.
    """
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    milliseconds = int(user_timeout_seconds * 1000)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
