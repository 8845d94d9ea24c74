"""The third party: the host's own place on the data link, 10.77.0.254.

Object stores and witnesses run here. A cut between the nodes leaves the hub reachable
to both; a pulled cable does not.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from .network import Network
from .state import State

ADDRESS = "10.77.0.254"


class Hub:
    def __init__(self, network: Network, state: State) -> None:
        self.network = network
        self.state = state

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """A process of the host that sees the lab's network instead of the host's.
        If it still runs when the instance goes down, it is killed."""
        process = subprocess.Popen([*self.network.enter_command(), *argv], **options)
        self.state.add_helper(process.pid)
        return process

    def connect(self, host: str, port: int, *, timeout_seconds: float = 5) -> socket.socket:
        return self.network.connect((host, port), timeout_seconds=timeout_seconds)
