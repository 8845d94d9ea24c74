"""Two nodes with roles, as a technician sets them up: shipped units, a service, an address.

The service is `studio`: it appends a line to a file of the protected dataset every 100 ms, and
comes back by itself as a container with `restart: always` would.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .command import Result
from .node import Node
from .site import POOLS, Site

GROUP = "station"
ADDRESS = "10.77.0.50"
INSTALL = """
    mkdir -p /etc/sysusers.d /etc/tmpfiles.d
    install -m 644 /zr/systemd/*.service /etc/systemd/system/
    install -m 644 /zr/systemd/zr.sysusers.conf /etc/sysusers.d/zr.conf
    install -m 644 /zr/systemd/zr.tmpfiles.conf /etc/tmpfiles.d/zr.conf
    systemd-sysusers; systemd-tmpfiles --create zr.conf; systemctl daemon-reload
"""
STUDIO = """\
[Service]
ExecStart=/bin/sh -c 'while echo "$$(date +%%s.%%N) $$(hostname)" >>/tank/audio/log; do sleep 0.1; done; exit 1'
Restart=always
RestartSec=1
"""  # noqa: E501
ROLES = f"""
[roles.{GROUP}]
address = "{ADDRESS}"
interface = "vec0"
[[roles.{GROUP}.services]]
unit = "studio.service"
"""
TREE = """
    zfs create tank/audio; zfs create tank/audio/news
    echo first >/tank/audio/interview.wav; echo headline >/tank/audio/news/today
"""


class RolesSite(Site):
    """The product with roles on both nodes of a lab that runs systemd."""

    def set_up(self, tree: str = TREE, datasets: str = "tank/audio/**", every: str = "5s") -> None:
        """Everything but the first role."""
        self.lab.alpha.sh(tree)
        for node in self.lab.nodes.values():
            node.put("/etc/systemd/system/studio.service", STUDIO.encode())
            node.sh(INSTALL)
        self.init()
        for node in self.lab.nodes.values():
            node.put("/etc/zr/zr.toml", node.get("/etc/zr/zr.toml") + ROLES.encode())
        self.protect([datasets], every=every)
        for node in self.lab.nodes.values():
            pool = POOLS[node.name]
            kinds = ("zfs", "receive", "proof", "host")
            units = " ".join(f"zr-{kind}@{pool}" for kind in kinds)
            node.sh(f"systemctl enable --now {units} zr", timeout_seconds=180)
        self.wait(lambda: self.in_sync("alpha"), "beta has everything", 180)

    def begin(self) -> None:
        """Alpha becomes the first primary."""
        self.zr("alpha", "promote", "--first", timeout_seconds=180)
        self.wait(lambda: self.is_settled("alpha"), "primary and standby", 180)

    def switch(self, node: str) -> Result:
        """A planned one, when everything is sent: a standby that still lacks ticks may be too old a
        moment later, and then it is refused, as it should be."""
        self.wait(lambda: self.is_settled(node), f"{node} is primary, everything is sent", 240)
        return self.zr(node, "switchover", timeout_seconds=330)

    def told_command(self, node: str) -> list[str]:
        """What `zr promote` there tells to type, once it has seen that the other one is silent."""
        found = list[str]()

        def is_told() -> bool:
            said = self.zr(node, "promote", check=False, timeout_seconds=180)
            told = re.search(rf"zr (promote {GROUP} --on {node} .*)", said.text)
            found[:] = told[1].split() if told else []
            return told is not None

        self.wait(is_told, f"{node} says how it is promoted", 120)
        return found

    # What is asked.

    def zr(self, node: str, *words: str, check: bool = True, timeout_seconds: float = 60) -> Result:
        """One of zr's commands."""
        return self.lab.nodes[node].run(
            ["zr", *words], check=check, timeout_seconds=timeout_seconds
        )

    def role(self, node: str) -> dict[str, Any]:
        """What `zr status --json` says of the group's role; empty while nothing answers."""
        said = self.zr(node, "status", "--json", check=False)
        try:
            roles = json.loads(said.text)["roles"]
        except (ValueError, KeyError):
            return {}
        return dict(roles[0]) if roles else {}

    def states(self) -> tuple[str, str]:
        """Alpha's and beta's."""
        return str(self.role("alpha").get("state")), str(self.role("beta").get("state"))

    def is_settled(self, primary: str) -> bool:
        """It is primary, the other one standby, and everything is sent."""
        states = ("primary", "standby") if primary == "alpha" else ("standby", "primary")
        return self.states() == states and self.in_sync(primary)

    def in_sync(self, node: str) -> bool:
        """Every lane of the node's own has sent all there is."""
        said = self.zr(node, "status", "--json", check=False)
        try:
            lanes = json.loads(said.text)["lanes"]
        except (ValueError, KeyError):
            return False
        return bool(lanes) and all(lane["in_sync"] for lane in lanes)

    def words(self) -> str:
        """The last lines of both daemons, and what they are."""
        said = []
        for node in self.lab.nodes.values():
            if node.is_running():
                log = node.sh("journalctl -u zr -u 'zr-*' -n 40 --no-pager -o cat", check=False)
                said.append(f"--- {node.name}: {self.role(node.name)}\n{log.text}")
        return "\n".join(said)

    def place(self, node: str, dataset: str = "tank/audio") -> str:
        """A member's dataset on a node."""
        return dataset if node == "alpha" else f"back/zr/alpha/{dataset}"

    def read(self, node: Node, path: str) -> str:
        """A file's content."""
        return node.run(["cat", path]).text
