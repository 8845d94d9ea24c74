"""Lines between two nodes that do not know each other yet: one JSON object each, bounded, in time.

The whole conversation has one deadline, so a stranger who says nothing keeps nobody waiting long.
"""

import json
import socket
from typing import Any

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.peer.tls import translate_error
from zrepl_py.errors import Corrupt, Passing

LINE_BYTES = 1 << 20
"""Room for a node's policies; strangers get less: see `hear`."""
SMALL_BYTES = 16 << 10


class Talk:
    """A connected socket; `said` and `heard` are the lines as they went, for the transcript."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._socket, self._deadline = connection, deadline
        self._rest = bytearray()
        self.host = str(connection.getpeername()[0])
        """The other node's address, as this machine sees it."""

    def say(self, message: dict[str, Any]) -> bytes:
        """Send one line; returns it. Passing(peer-silent)."""
        line = json.dumps(message, sort_keys=True).encode() + b"\n"
        self._arm()
        try:
            self._socket.sendall(line)
        except OSError as error:
            raise translate_error(error) from None
        return line

    def hear(self, limit_bytes: int = SMALL_BYTES) -> tuple[bytes, dict[str, Any]]:
        """The next line, as it came and as an object. Passing(peer-silent), Corrupt(protocol)."""
        while (end := self._rest.find(b"\n")) < 0:
            if len(self._rest) > limit_bytes:
                raise Corrupt("protocol", "The other node sent a line that is too long.")
            self._arm()
            try:
                more = self._socket.recv(16 << 10)
            except OSError as error:
                raise translate_error(error) from None
            if not more:
                raise Passing("peer-silent", "The other node ended the conversation.")
            self._rest += more
        line = bytes(self._rest[: end + 1])
        del self._rest[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise Corrupt("protocol", "The other node sent what is no JSON.") from None
        if not isinstance(message, dict):
            raise Corrupt("protocol", "The other node sent what is no JSON object.")
        return line, message

    def _arm(self) -> None:
        left = self._deadline.remaining_seconds()
        if not left:
            raise Passing("peer-silent", "The other node does not answer in time.")
        self._socket.settimeout(left)
