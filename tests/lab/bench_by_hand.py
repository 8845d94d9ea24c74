"""How long does the shortest script take for what a planned switchover does? The measure beside it.

Thirty datasets of their own, moved from alpha to beta by commands that a person could type, on
nodes where nothing else runs: the service is stopped, all is unmounted, one snapshot of all, one
stream of all over a bare connection that stands already, mounted there, an address. Nothing is
checked, journalled, encrypted or told, and nothing could be taken back: nobody should do it so. It
is what the machine below needs at least.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .bench_probe import start_probe
from .lab import Lab
from .node import Node
from .roles_site import STUDIO

_FOLDER, _LOG = "/hand", "/run/bench-hand"
_PORT, _READY = 7001, b"ready"
_SOURCE, _TARGET = "tank/hand", "back/hand"
_ADDRESS, _BETA = "10.77.0.51/32", "10.77.0.2"
_TAKES = f"""
import socket, subprocess
door = socket.create_server(("0.0.0.0", {_PORT}))
print("{_READY.decode()}", flush=True)
caller, _ = door.accept()
subprocess.run(["zfs", "receive", "-u", "-F", "{_TARGET}"], stdin=caller, check=True)
"""
_SENDS = f"exec 3<>/dev/tcp/{_BETA}/{_PORT}; zfs send -R {{words}} >&3"
_CLOSES = f"""
set -e
systemctl stop bench-service
ip address del {_ADDRESS} dev vec0
zfs unmount {_SOURCE}
zfs set readonly=on {_SOURCE}
zfs snapshot -r {_SOURCE}@last
"""
_OPENS = f"""
set -e
zfs set readonly=off {_TARGET}
zfs mount -R {_TARGET}
ip address add {_ADDRESS} dev vec0
systemctl start bench-service
"""


def move_by_hand(
    lab: Lab, datasets: int, writes: Callable[[Node, str], list[float]]
) -> tuple[float, float]:
    """Seconds in which nobody could write, and of all the commands. `writes`: when a node's probe
    could, by its log. Nothing of it is left."""
    alpha, beta = lab.alpha, lab.beta
    children = [f"d{number:02}" for number in range(1, datasets)]
    alpha.sh(f"zfs create -o mountpoint={_FOLDER} {_SOURCE}")
    alpha.sh("; ".join(f"zfs create {_SOURCE}/{child}" for child in children))
    alpha.sh(f"ip address add {_ADDRESS} dev vec0; zfs snapshot -r {_SOURCE}@first")
    for node in (alpha, beta):
        unit = STUDIO.replace("/tank/audio/log", f"{_FOLDER}/log")
        node.put("/etc/systemd/system/bench-service.service", unit.encode())
        start_probe(node, "bench-hand", _FOLDER, _LOG)
    alpha.sh("systemctl start bench-service")
    _send(lab, f"{_SOURCE}@first", lambda: None)
    beta.sh(f"zfs set readonly=on {_TARGET}; zpool sync")
    alpha.sh("; ".join(f"date >{_FOLDER}/{child}/news" for child in children))
    time.sleep(3)
    began = [0.0]

    def close() -> None:
        began[0] = time.time()
        alpha.sh(_CLOSES)

    _send(lab, f"-I @first {_SOURCE}@last", close)
    beta.sh(_OPENS)
    ended = time.time()
    time.sleep(1)
    first = min(at for at in writes(beta, _LOG) if at > began[0])
    last = max(at for at in writes(alpha, _LOG) if at < first)
    for node, tree in ((alpha, _SOURCE), (beta, _TARGET)):
        node.sh("systemctl disable --now bench-hand; systemctl stop bench-service")
        node.sh(f"ip address del {_ADDRESS} dev vec0 || true; zfs destroy -r {tree}; zpool sync")
    return first - last, ended - began[0]


def _send(lab: Lab, words: str, first: Callable[[], None]) -> None:
    """Who takes it waits already when `first` is done."""
    taking = lab.beta.start(["python3", "-c", _TAKES])
    taking.wait_for_output(_READY)
    first()
    lab.alpha.run(["bash", "-c", _SENDS.format(words=words)])
    taking.wait(timeout_seconds=60)
