"""What an instance remembers on the host between two commands, and who owns it."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass, field
from typing import Any

from .errors import LabError
from .layout import Instance
from .machine import Hardware
from .processes import Identity, identify


@dataclass
class State:
    instance: Instance
    hardware: Hardware
    persistent: bool
    """Made by the command line: outlives the process that made it."""

    owner: Identity
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    saved: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Per saved state, `nodes` as it was then."""

    helpers: list[dict[str, Any]] = field(default_factory=list)
    """Processes at the hub, to be ended with the instance."""

    @classmethod
    def create(cls, instance: Instance, hardware: Hardware, *, persistent: bool) -> State:
        return cls(instance, hardware, persistent, identify(os.getpid()))

    @classmethod
    def read(cls, instance: Instance) -> State:
        try:
            record = json.loads(instance.state.read_text())
        except FileNotFoundError:
            raise LabError(f"no lab named {instance.name!r} is up") from None
        return cls(
            instance,
            Hardware(**record["hardware"]),
            record["persistent"],
            Identity(**record["owner"]),
            record["nodes"],
            record.get("saved", {}),
            record.get("helpers", []),
        )

    def write(self) -> None:
        record = {
            "hardware": vars(self.hardware),
            "persistent": self.persistent,
            "owner": self.owner.to_json(),
            "nodes": self.nodes,
            "saved": self.saved,
            "helpers": self.helpers,
        }
        fresh = self.instance.state.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=1))
        fresh.rename(self.instance.state)

    def is_abandoned(self) -> bool:
        """Whether the process that should have cleaned it up is gone, or the host restarted."""
        restarted = self.owner.boot != identify(os.getpid()).boot
        return restarted or (not self.persistent and not self.owner.is_alive())

    def is_owner(self) -> bool:
        """Whether the nodes should die with this very process."""
        return not self.persistent and self.owner == identify(os.getpid())

    def remember(self, name: str) -> None:
        self.saved[name] = copy.deepcopy(self.nodes)
        self.write()

    def recall(self, name: str) -> None:
        self.nodes = copy.deepcopy(self.saved.get(name, {}))
        self.write()

    def of(self, node: str) -> dict[str, Any]:
        return self.nodes.setdefault(node, {})

    def add_helper(self, pid: int) -> None:
        self.helpers.append(identify(pid).to_json())
        self.write()

    def pulled(self, node: str) -> list[int]:
        pulled: list[int] = self.of(node).get("pulled", [])
        return pulled

    def set_pulled(self, node: str, numbers: list[int]) -> None:
        self.of(node)["pulled"] = sorted(set(numbers))
        self.write()

    def clock_offset_seconds(self, node: str) -> float:
        offset: float = self.of(node).get("clock", 0.0)
        return offset

    def add_clock_offset(self, node: str, seconds: float) -> None:
        self.of(node)["clock"] = self.clock_offset_seconds(node) + seconds
        self.write()

    def degraded(self, node: str) -> str:
        wanted: str = self.of(node).get("netem", "")
        return wanted

    def set_degraded(self, node: str, netem: str) -> None:
        self.of(node)["netem"] = netem
        self.write()
