"""The host's side of the nodes: starts node.py in each, and sends sequences to it."""

import json
import struct
import time
from dataclasses import dataclass
from typing import Any

from tests.lab import Lab
from tests.lab.command import Process
from tests.lab.errors import LabError
from tests.lab.network import agent_address
from tests.lab.node import Node

from .node import PORT
from .world import Operation, Record

START = "import sys; sys.path.append('/zr'); from tests.differential.node import main; main(*{})"
START_SECONDS = 120
SEQUENCE_SECONDS = 300


class Broken(LabError):
    """The interpreter in a node failed; the message is its traceback."""


@dataclass(frozen=True)
class Far:
    """A node that runs sequences."""

    lab: Lab
    node: Node
    process: Process

    @classmethod
    def start(cls, lab: Lab, node: Node) -> "Far":
        """Start node.py there."""
        # It looks at every event of ZFS, which is a third of the work here.
        node.sh("pidof zed | xargs -r kill", check=False)
        code = START.format((agent_address(node.name)[0], node.pool))
        far = cls(lab, node, node.start(["/opt/zr/bin/python", "-c", code]))
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                far._connect(1).close()
                return far
            except OSError:
                if time.monotonic() > deadline or far.process.poll() is not None:
                    said = far.process.output().decode(errors="replace")[-4000:]
                    raise LabError(f"node.py did not start:\n{said}") from None
                time.sleep(0.1)

    def _connect(self, timeout_seconds: float) -> Any:
        address = agent_address(self.node.name)[0], PORT
        return self.lab.network.connect(address, timeout_seconds=timeout_seconds)

    def run(self, operations: list[Operation], adapter: str) -> list[Record]:
        """The records of real ZFS. Errors: Broken."""
        text = json.dumps({"adapter": adapter, "operations": operations}).encode()
        with self._connect(SEQUENCE_SECONDS) as connection, connection.makefile("rb") as stream:
            connection.sendall(struct.pack("!I", len(text)) + text)
            (length,) = struct.unpack("!I", stream.read(4))
            answer = json.loads(stream.read(length))
        if "broken" in answer:
            raise Broken(answer["broken"])
        records: list[Record] = answer["records"]
        return records
