"""In a node: takes sequences over TCP, runs each on its own dataset, answers with the records.

`python node.py ADDRESS POOL`, with this folder's parents on the path. One connection carries one
request: 4 bytes of length, JSON `{"adapter": …, "operations": […]}`; the answer has the same form:
`{"records": […]}` or `{"broken": traceback}`.
"""

import json
import socket
import struct
import sys
import threading
import traceback
from itertools import count
from typing import Any

from .interpreter import run
from .real_world import RealWorld

PORT = 7701
NUMBERS = count(1)


def answer(pool: str, request: dict[str, Any]) -> dict[str, Any]:
    """Run one sequence."""
    world = RealWorld(pool, request["adapter"], next(NUMBERS))
    try:
        return {"records": run(world, request["operations"])}
    finally:
        world.clean()


def serve(connection: socket.socket, pool: str) -> None:
    """One request and its answer."""
    with connection, connection.makefile("rb") as stream:
        head = stream.read(4)
        if not head:
            return  # somebody looked whether this runs
        (length,) = struct.unpack("!I", head)
        try:
            said = answer(pool, json.loads(stream.read(length)))
        except Exception:  # noqa: BLE001 - whatever it is, the host must see it
            said = {"broken": traceback.format_exc()}
        text = json.dumps(said).encode()
        connection.sendall(struct.pack("!I", len(text)) + text)


def main(address: str, pool: str) -> None:
    """Serve until the node ends."""
    listener = socket.create_server((address, PORT), backlog=16)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, pool), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
