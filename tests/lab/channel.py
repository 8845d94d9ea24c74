"""How the host talks to a node's agent: one connection, one request, one deadline."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from .errors import LabError, NodeUnreachable
from .network import Network, agent_address


class Channel:
    def __init__(self, network: Network, node: str) -> None:
        self.network = network
        self.node = node

    def ask(
        self, verb: str, payload: bytes = b"", *, timeout_seconds: float, **fields: Any
    ) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + timeout_seconds
        try:
            with self.open(verb, payload, timeout_seconds=timeout_seconds, **fields) as connection:
                (length,) = struct.unpack("!I", read_exactly(connection, 4, deadline))
                header = json.loads(read_exactly(connection, length, deadline))
                answer = read_exactly(connection, header["size"], deadline)
        except OSError as error:
            raise NodeUnreachable(f"{self.node}: {verb}: {error}") from error
        if "error" in header:
            raise LabError(f"{self.node}: {verb}: {header['error']}")
        return header, answer

    def open(
        self, verb: str, payload: bytes = b"", *, timeout_seconds: float, **fields: Any
    ) -> socket.socket:
        """The connection after the request was sent."""
        text = json.dumps({"verb": verb, "size": len(payload), **fields}).encode()
        connection = self.network.connect(agent_address(self.node), timeout_seconds=timeout_seconds)
        try:
            connection.sendall(struct.pack("!I", len(text)) + text + payload)
        except BaseException:
            connection.close()
            raise
        return connection


def read_exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        if not (chunk := connection.recv(min(1 << 20, size - len(received)))):
            raise ConnectionError("the node closed the connection")
        received += chunk
    return bytes(received)
