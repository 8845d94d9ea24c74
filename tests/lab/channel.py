"""How the host talks to a node's agent: one connection, one request, one deadline."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from .errors import LabError, NodeUnreachable
from .network import Network, agent_address

LOOK_SECONDS = 0.5
"""How often a waiting request looks whether the node is still on."""


class Channel:
    def __init__(self, network: Network, node: str, is_on: Callable[[], bool]) -> None:
        self.network = network
        self.node = node
        self.is_on = is_on

    def ask(
        self, verb: str, payload: bytes = b"", *, timeout_seconds: float, **fields: Any
    ) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + timeout_seconds
        try:
            with self.open(verb, payload, timeout_seconds=timeout_seconds, **fields) as connection:
                (length,) = struct.unpack("!I", self.read(connection, 4, deadline))
                header = json.loads(self.read(connection, length, deadline))
                answer = self.read(connection, header["size"], deadline)
        except OSError as error:
            raise NodeUnreachable(f"{self.node}: {verb}: {error}") from error
        if "error" in header:
            raise LabError(f"{self.node}: {verb}: {header['error']}")
        return header, answer

    def open(
        self, verb: str, payload: bytes = b"", *, timeout_seconds: float, **fields: Any
    ) -> socket.socket:
        """The connection after the request was sent."""
        if not self.is_on():
            raise NodeUnreachable(f"{self.node} is off")
        text = json.dumps({"verb": verb, "size": len(payload), **fields}).encode()
        connection = self.network.connect(agent_address(self.node), timeout_seconds=timeout_seconds)
        try:
            connection.sendall(struct.pack("!I", len(text)) + text + payload)
        except BaseException:
            connection.close()
            raise
        return connection

    def read(self, connection: socket.socket, size: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            left = deadline - time.monotonic()
            connection.settimeout(min(LOOK_SECONDS, max(0.001, left)))
            try:
                chunk = connection.recv(min(1 << 20, size - len(received)))
            except TimeoutError:
                # A machine that lost its power closes no connection.
                if left > LOOK_SECONDS and self.is_on():
                    continue
                raise
            if not chunk:
                raise ConnectionError("the node closed the connection")
            received += chunk
        return bytes(received)
