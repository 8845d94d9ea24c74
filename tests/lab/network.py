"""What connects the nodes: one network namespace per instance.

In it a bridge with a port per node (10.77.0.1 alpha, 10.77.0.2 beta, 10.77.0.254 the
hub: the host's own place on it, for third parties such as an object store), and per
node a separate point-to-point link for the lab's agent, which no cut touches.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import LabError
from .layout import NODES

AGENT_PORT = 7777
CLONE_NEWNET = 0x40000000


def number(node: str) -> int:
    return NODES.index(node) + 1


def data_address(node: str) -> str:
    return f"10.77.0.{number(node)}"


def agent_address(node: str) -> tuple[str, int]:
    return f"10.78.{number(node)}.2", AGENT_PORT


def mac(node: str, link: int) -> str:
    return f"02:7a:72:00:0{link}:0{number(node)}"


class Network:
    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.path = Path("/run/netns") / namespace

    def create(self) -> None:
        tool("ip", "netns", "add", self.namespace)
        lines = [
            "link set lo up",
            "link add data type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            "addr add 10.77.0.254/24 dev data",
            "link set data up",
        ]
        for node in NODES:
            link = f"{node}-m"
            lines += [
                f"tuntap add mode tap name {node}",
                f"link set {node} master data up",
                f"tuntap add mode tap name {link}",
                f"addr add 10.78.{number(node)}.1/30 dev {link}",
                f"link set {link} up",
                # Known beforehand: a lost ARP request while it boots would cost a second.
                f"neigh add {agent_address(node)[0]} lladdr {mac(node, 1)} dev {link} "
                "nud permanent",
            ]
        tool("ip", "-n", self.namespace, "-batch", "-", stdin="\n".join(lines))

    def remove(self) -> None:
        if self.path.exists():
            tool("ip", "netns", "del", self.namespace)

    def connect_nodes(self, *, cut: bool, unplugged: set[str]) -> None:
        """Cut: the nodes reach only the hub, not each other. Unplugged: nothing at all.

        The tap of an unplugged node stays up: writing to one that is down is an error
        that a cable does not make, and UML's driver takes seconds to get over it.
        """
        for node in NODES:
            tool("ip", "-n", self.namespace, "link", "set", node, "nomaster")
            if node not in unplugged:
                tool("ip", "-n", self.namespace, "link", "set", node, "master", "data")
                isolated = ("isolated", "on" if cut else "off")
                tool("bridge", "-n", self.namespace, "link", "set", "dev", node, *isolated)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in the namespace; sockets opened meanwhile stay in it."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(self.path, os.O_RDONLY)
            try:
                set_namespace(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                set_namespace(home)
        finally:
            os.close(home)

    def connect(self, address: tuple[str, int], *, timeout_seconds: float) -> socket.socket:
        """A TCP connection from the hub to wherever."""
        with self.entered():
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(address)
        except BaseException:
            connection.close()
            raise
        return connection

    def enter_command(self) -> list[str]:
        """Prefix for a command that is to run at the hub."""
        return ["nsenter", f"--net={self.path}"]


libc = ctypes.CDLL(None, use_errno=True)


def set_namespace(descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())} (the lab's network needs root)")


def tool(*argv: str, stdin: str = "") -> None:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
