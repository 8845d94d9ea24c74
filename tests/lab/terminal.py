"""A person's terminal connected to a shell in a node."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import tty

from .node import Node


def shell(node: Node) -> int:
    """Ends when the shell ends."""
    size = shutil.get_terminal_size()
    connection = node.channel.open(
        "terminal",
        argv=["bash", "-l"],
        env={"TERM": os.environ.get("TERM", "dumb")},
        user=None,
        rows=size.lines,
        columns=size.columns,
        timeout_seconds=10,
    )
    connection.settimeout(None)
    local = sys.stdin.fileno()
    before = termios.tcgetattr(local) if os.isatty(local) else None
    try:
        if before:
            tty.setraw(local)
        sources = [local, connection]
        while True:
            for ready in select.select(sources, [], [])[0]:
                if ready == local:
                    if typed := os.read(local, 65536):
                        connection.sendall(typed)
                    else:
                        connection.sendall(b"\x04")
                        sources.remove(local)
                elif shown := connection.recv(65536):
                    os.write(sys.stdout.fileno(), shown)
                else:
                    return 0
    finally:
        connection.close()
        if before:
            termios.tcsetattr(local, termios.TCSADRAIN, before)
