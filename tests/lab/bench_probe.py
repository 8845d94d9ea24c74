"""A program on a node that writes into a folder as often as it can, and says when it could.

Whether it may write is what it tries: so the times are what a service would see.
"""

from __future__ import annotations

from .node import Node

ANSWERS = 7000
_PROBE = f"""
import os, socket, sys, threading, time
name, folder, path, answers = sys.argv[1:]
def answer():
    door = socket.create_server(("0.0.0.0", {ANSWERS}))
    while True:
        caller, _ = door.accept()
        with caller:
            caller.sendall(name.encode())
if answers == "yes":
    threading.Thread(target=answer, daemon=True).start()
with open(path, "a", buffering=1) as log:
    while True:
        try:
            mounted = os.stat(folder).st_dev != os.stat(os.path.dirname(folder)).st_dev
            if mounted:
                with open(folder + "/.bench", "wb", buffering=0) as file:
                    file.write(b"x")
                log.write(f"{{time.time()}}\\n")
        except OSError:
            pass
        time.sleep(0.02)
"""
_UNIT = """\
[Service]
ExecStart=/usr/bin/python3 /root/bench-probe.py {node} {folder} {log} {answers}
Restart=always
RestartSec=100ms
[Install]
WantedBy=multi-user.target
"""


def start_probe(node: Node, unit: str, folder: str, log: str, *, answers: bool = False) -> None:
    """Also after each boot. `answers`: it says its node's name to whoever connects to ANSWERS."""
    node.put("/root/bench-probe.py", _PROBE.encode())
    words = _UNIT.format(node=node.name, folder=folder, log=log, answers="yes" if answers else "no")
    node.put(f"/etc/systemd/system/{unit}.service", words.encode())
    node.sh(f"systemctl daemon-reload; systemctl enable --now {unit}; sync")
