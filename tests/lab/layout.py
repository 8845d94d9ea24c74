"""Where the lab keeps things on the host.

The cache (what was built, shared by all instances) and one run directory per
instance. Disks live in memory: they are rewritten by every test, and saving and
restoring them must take no time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = Path(__file__).resolve().parent
NODES = ("alpha", "beta")
POOLS = {"alpha": "tank", "beta": "back"}


def cache_directory() -> Path:
    if chosen := os.environ.get("ZR_LAB_CACHE"):
        return Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "zr-lab"


def runs_directory() -> Path:
    return Path("/run/zr-lab")


@dataclass(frozen=True)
class Instance:
    """The paths of one running lab."""

    name: str

    def __post_init__(self) -> None:
        if not self.name.isalnum() or not self.name.isascii() or len(self.name) > 24:
            raise LabError(f"an instance is named by 1 to 24 letters and digits, not {self.name!r}")

    @property
    def run(self) -> Path:
        return runs_directory() / self.name

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    @property
    def store(self) -> Path:
        """Disks and saved states: in memory."""
        return Path("/dev/shm") / f"zr-lab-{self.name}"

    @property
    def disks(self) -> Path:
        return self.store / "disks"

    def saved(self, state: str) -> Path:
        return self.store / "saved" / state

    @property
    def namespace(self) -> str:
        return f"zr-lab-{self.name}"

    def node(self, node: str) -> Path:
        return self.run / node
