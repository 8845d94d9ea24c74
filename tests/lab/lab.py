"""Two nodes, the link between them, and the states they can be returned to.

    with Lab.up(name="t1") as lab:
        lab.alpha.run(["zfs", "list"])

An instance belongs to the process that made it and dies with it, unless it was made
persistent (the command line does that).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from types import TracebackType

from . import images
from .build import ensure_built
from .channel import Channel
from .errors import LabError
from .hub import Hub
from .layout import NODES, Instance, runs_directory
from .machine import Hardware, Machine
from .network import Network
from .node import Node
from .processes import Identity
from .state import State


class Lab:
    def __init__(self, state: State) -> None:
        self.state = state
        self.instance = state.instance
        self.network = Network(state.instance.namespace)
        self.hub = Hub(self.network, self.state)
        self.nodes = {name: self.make_node(name) for name in NODES}
        self.alpha = self.nodes["alpha"]
        self.beta = self.nodes["beta"]

    def make_node(self, name: str) -> Node:
        machine = Machine(self.instance, name, self.state.hardware)
        return Node(self, name, machine, Channel(self.network, name, machine.is_on))

    @classmethod
    def up(
        cls,
        name: str = "main",
        *,
        init: str = "bare",
        memory_megabytes: int = 1024,
        disks: int = 3,
        disk_bytes: int = 1 << 30,
        layout: str = "raidz1",
        persistent: bool = False,
        boot: bool = True,
    ) -> Lab:
        """Build what is missing, clear away what a killed process left, boot both nodes."""
        instance = Instance(name)
        remove_abandoned()
        if instance.state.exists():
            raise LabError(f"a lab named {name!r} is up already (`python -m tests.lab down`)")
        remove(instance)  # a half-made one has no state file
        built = ensure_built()
        hardware = Hardware(
            str(built.kernel), str(built.image), init, memory_megabytes, disks, disk_bytes, layout
        )
        instance.run.mkdir(parents=True)
        state = State.create(instance, hardware, persistent=persistent)
        state.write()
        lab = cls(state)
        try:
            lab.network.create()
            for node in NODES:
                images.create_disks(instance, node, disks, disk_bytes)
            if boot:
                lab.boot()
        except BaseException:
            lab.down()
            raise
        return lab

    @classmethod
    def attach(cls, name: str = "main") -> Lab:
        """A lab that is up already, perhaps by another process."""
        return cls(State.read(Instance(name)))

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def boot(self) -> None:
        """Boot every node that is off, at the same time."""
        off = [node for node in self.nodes.values() if not node.is_running()]
        for node in off:
            node.begin_boot()
        for node in off:
            node.wait_until_up()

    def crash(self) -> None:
        for node in self.nodes.values():
            node.crash()

    def down(self) -> None:
        self.crash()
        remove(self.instance)

    # --- the link

    def cut(self, node: str | None = None) -> None:
        """Without a name: the nodes lose each other, the hub still sees both.
        With one: that node's cable is pulled, so it is alone."""
        unplugged = {node} if node else set()
        self.network.connect_nodes(cut=node is None, unplugged=unplugged)

    def heal(self) -> None:
        """All cables in, nothing cut, nothing degraded."""
        self.network.connect_nodes(cut=False, unplugged=set())
        self.degrade()

    def degrade(
        self, *, delay_ms: float = 0, jitter_ms: float = 0, loss_percent: float = 0, rate: str = ""
    ) -> None:
        """Each node delays, loses and throttles what it sends (netem; rate e.g. "10mbit").
        Without arguments: a good link again."""
        words = []
        if delay_ms or jitter_ms:
            words.append(f"delay {delay_ms}ms {jitter_ms}ms")
        if loss_percent:
            words.append(f"loss {loss_percent}%")
        if rate:
            words.append(f"rate {rate}")
        for node in self.nodes.values():
            if self.state.degraded(node.name) != (wanted := " ".join(words)):
                self.state.set_degraded(node.name, wanted)
                if node.is_running():
                    self.reapply(node, clear=not wanted)

    def reapply(self, node: Node, *, clear: bool = False) -> None:
        """The link's quality is made in the node, so a boot forgets it."""
        if wanted := self.state.degraded(node.name):
            node.sh(f"tc qdisc replace dev vec0 root netem limit 100000 {wanted}")
        elif clear:
            node.sh("tc qdisc del dev vec0 root", check=False)

    # --- states

    def save(self, name: str) -> None:
        """Remember all disks. Running nodes are frozen meanwhile: what is saved is what
        a power failure at this moment would leave."""
        frozen = [node for node in self.nodes.values() if node.is_running()]
        for node in frozen:
            node.freeze()
        try:
            images.save(self.instance, name)
            self.state.remember(name)
        finally:
            for node in frozen:
                node.thaw()

    def load(self, name: str, *, boot: bool = True) -> None:
        """Return to a saved state: disks, which of them are pulled, clocks, the link's
        quality (not its cuts). The nodes crash, and boot from it."""
        self.crash()
        images.load(self.instance, name)
        self.state.recall(name)
        if boot:
            self.boot()


def remove(instance: Instance) -> None:
    """Leave nothing of an instance on the host; harmless when there is nothing."""
    with contextlib.suppress(LabError):
        for helper in State.read(instance).helpers:
            Identity(**helper).kill()
    for node in NODES:
        Machine(instance, node, Hardware("", "")).crash()
    Network(instance.namespace).remove()
    shutil.rmtree(instance.store, ignore_errors=True)
    shutil.rmtree(instance.run, ignore_errors=True)


def remove_abandoned() -> None:
    """Clear away instances whose owner was killed before it could.

    Test processes that begin together find the same ones: each is removed once."""
    runs = runs_directory()
    runs.mkdir(parents=True, exist_ok=True)
    lock = os.open(runs, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for state in running_instances():
            if state.is_abandoned():
                remove(state.instance)
    finally:
        os.close(lock)


def running_instances() -> list[State]:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for folder in sorted(runs_directory().iterdir()):
            with contextlib.suppress(LabError):
                found.append(State.read(Instance(folder.name)))
    return found
