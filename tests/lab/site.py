"""Two nodes that protect each other, as a technician would set them up: with `zr`'s own commands.

with Lab.up(name="t1") as lab:
    site = Site(lab); site.protect(["tank/audio/**"], every="5s"); site.start()
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from .command import Process
from .errors import LabError
from .lab import Lab
from .node import Node

PORT = 7676
ADDRESSES = {"alpha": "10.77.0.1", "beta": "10.77.0.2"}
POOLS = {"alpha": "tank", "beta": "back"}
OTHER = {"alpha": "beta", "beta": "alpha"}
REPLICAS = "back/zr"
POLICY = """\
format = 1

[policy]
name = "station"
source = "alpha"
datasets = {datasets}
exclude = {exclude}
every = "{every}"
targets = ["beta"]

[retention.alpha]
keep_last = {keep_alpha}

[retention.beta]
keep_last = {keep_beta}

[limits]
min_free = "{min_free}"
"""


def release(node: Node, dataset: str) -> None:
    """Take every hold of a dataset's snapshots away, as a person would who insists."""
    node.sh(
        f"zfs list -Ht snapshot -o name -d1 {dataset} | xargs zfs holds -H "
        # One that zr has let go of meanwhile is no failure.
        "| while read name tag rest; do zfs release $tag $name || true; done"
    )


class Site:
    """The product on both nodes of a lab."""

    def __init__(self, lab: Lab, adapter: str = "libzfs_core") -> None:
        self.lab = lab
        self.adapter = adapter
        self.daemons: dict[str, Process] = {}

    def init(self) -> None:
        """`zr init` on both, then each trusts the other's certificate."""
        for node in self.lab.nodes.values():
            argv = ["zr", "init", "--yes", "--no-start", "--name", node.name]
            argv += ["--pool", POOLS[node.name]]
            argv += ["--listen", f"{ADDRESSES[node.name]}:{PORT}"]
            other = OTHER[node.name]
            argv += ["--peer", f"{other}={ADDRESSES[other]}:{PORT}"]
            if node.name == "beta":
                argv += ["--replicas", REPLICAS]
            node.run(argv)
        for node in self.lab.nodes.values():
            certificate = self.lab.nodes[OTHER[node.name]].get("/etc/zr/node.pem")
            node.put("/tmp/peer.pem", certificate)
            node.run(["zr", "trust", "/tmp/peer.pem"])

    def protect(
        self,
        datasets: list[str],
        *,
        exclude: list[str] | None = None,
        every: str = "5s",
        keep_alpha: int = 1000,
        keep_beta: int = 1000,
        min_free: str = "10%",
    ) -> None:
        """Give both nodes the same policy."""
        text = POLICY.format(
            datasets=json.dumps(datasets),
            exclude=json.dumps(exclude or []),
            every=every,
            keep_alpha=keep_alpha,
            keep_beta=keep_beta,
            min_free=min_free,
        )
        for node in self.lab.nodes.values():
            node.put("/etc/zr/policies/station.toml", text.encode())
            node.run(["sync"])  # `put` does not, and tests crash nodes soon after

    def start(self, *names: str) -> None:
        """Start the daemons by hand as root, as `zr daemon`, and wait until they answer."""
        for name in names or ("alpha", "beta"):
            argv = ["zr", "daemon", "--adapter", self.adapter]
            self.daemons[name] = self.lab.nodes[name].start(argv, env={"ZR_DEBUG": "1"})
        for name in names or ("alpha", "beta"):
            self.wait(lambda name=name: self._answers(name), f"{name}'s daemon answers", 90)  # type: ignore[misc]

    def _answers(self, name: str) -> bool:
        code = self.daemons[name].poll()
        if code is not None:
            raise LabError(f"{name}'s daemon ended with {code}:\n{self.log(name)}")
        return self.lab.nodes[name].run(["zr", "status"], check=False).returncode == 0

    def stop(self, name: str) -> None:
        """End a daemon as systemd would, and wait for it."""
        self.daemons[name].signal(15)
        self.daemons[name].wait(timeout_seconds=60)

    def log(self, name: str) -> str:
        """What a daemon said so far."""
        return self.daemons[name].output().decode(errors="replace")

    def status(self, name: str = "alpha") -> dict[str, Any]:
        """`zr status --json`."""
        facts: dict[str, Any] = json.loads(
            self.lab.nodes[name].run(["zr", "status", "--json"]).text
        )
        return facts

    def lane(self, dataset: str) -> dict[str, Any]:
        """One lane of alpha's status; a daemon that has just started may not know it yet."""
        deadline = time.monotonic() + 60
        while True:
            for lane in self.status()["lanes"]:
                if lane["dataset"] == dataset:
                    return dict(lane)
            if time.monotonic() > deadline:
                raise LabError(f"alpha's status has no lane of {dataset}")
            time.sleep(0.2)

    def settle(self, timeout_seconds: float = 90) -> None:
        """Snapshot alpha now, and wait until beta has committed all of it."""
        seqs = self._seqs()
        self.lab.alpha.run(["zr", "snapshot"])
        self.wait(lambda: self._seqs() != seqs, "a tick", 60)
        self.lab.alpha.run(
            ["zr", "replicate", "--timeout", str(int(timeout_seconds))],
            timeout_seconds=timeout_seconds + 30,
        )

    def _seqs(self) -> list[int | None]:
        return [group["seq"] for group in self.status()["groups"]]

    def wake(self) -> None:
        """Let every lane of alpha look now, also those that wait after a failure."""
        self.lab.alpha.run(["zr", "replicate", "--timeout", "1"], check=False)

    def wait(self, true: Callable[[], bool], what: str, timeout_seconds: float = 60) -> None:
        """Until it is true; a failure shows both daemons' last words."""
        deadline = time.monotonic() + timeout_seconds
        while not true():
            if time.monotonic() > deadline:
                raise LabError(f"waited {timeout_seconds} s for: {what}\n{self.words()}")
            time.sleep(0.2)

    def words(self) -> str:
        """What the daemons said last."""
        return "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in self.daemons)
