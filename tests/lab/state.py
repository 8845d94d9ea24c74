"""What an instance remembers on the host between two commands, and who owns it."""

from __future__ import annotations

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
        )

    def write(self) -> None:
        record = {
            "hardware": vars(self.hardware),
            "persistent": self.persistent,
            "owner": self.owner.to_json(),
            "nodes": self.nodes,
        }
        fresh = self.instance.state.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=1))
        fresh.rename(self.instance.state)

    def is_abandoned(self) -> bool:
        """Whether the process that should have cleaned it up is gone."""
        return not self.persistent and not self.owner.is_alive()

    def of(self, node: str) -> dict[str, Any]:
        return self.nodes.setdefault(node, {})

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
