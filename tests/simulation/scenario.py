"""What does one seed mean? Sizes, speeds, retention, and which kinds of faults happen.

A swarm: each seed has a random subset of the kinds, so that rare combinations are not drowned by
common ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from zrepl_py.model.policy import Keep, Limits, Policy, Selection

T = TypeVar("T")

FAULTS = (
    "crash-source",
    "crash-target",
    "partition",
    "lost-answers",
    "cut-streams",
    "target-full",
    "source-full",
    "low-space",
    "suspended",
    "clock-source",
    "clock-target",
    "person-destroys",
    "person-releases",
    "foreign-on-source",
    "foreign-on-replica",
    "renamed",
    "created",
    "destroyed-dataset",
    "slow",
    "late-calls",
    "journal-full",
    "held-by-hand",
    "properties",
    "replica-destroyed",
)


@dataclass(frozen=True)
class Scenario:
    """Everything that is drawn before time begins."""

    seed: int
    faults: frozenset[str]
    cadence_seconds: int
    ticks: int
    """Cadences during which faults happen."""
    latency_seconds: float
    threads: int
    targets: int
    datasets: tuple[str, ...]
    """Below tank/; parents first."""
    write_seconds: float
    """Mean time between two writes to one dataset."""
    encrypted: bool
    """Whether one of the datasets (and what is below it) is sent raw."""
    keep_source: Keep
    keep_target: Keep
    fault_seconds: float
    """Mean time between two faults of one kind."""

    @property
    def window_seconds(self) -> float:
        """How long faults happen."""
        return float(self.ticks * self.cadence_seconds)

    def down_seconds(self, random: Random) -> float:
        """How long a machine stays off: mostly seconds, sometimes hours."""
        return min(1.0 * 10 ** random.uniform(0.3, 4.3), self.window_seconds / 3)

    def policy(self, targets: tuple[str, ...]) -> Policy:
        """The one policy of the site."""
        keep = {"alpha": self.keep_source, **dict.fromkeys(targets, self.keep_target)}
        return Policy(
            name="all",
            source="alpha",
            selection=Selection(("tank/data/**",), ("tank/data/scratch",)),
            every_seconds=self.cadence_seconds,
            targets=targets,
            keep={node: rule for node, rule in keep.items() if rule != Keep()},
            limits=Limits(max_snapshots=60, min_free_percent=10),
        )


def draw_scenario(seed: int, faults: frozenset[str] | None = None) -> Scenario:
    """The scenario of a seed; `faults` overrides which kinds happen."""
    draw = _Draw(seed)
    cadence = draw.one("cadence", (60, 60, 300, 300, 600, 900, 3600))
    ticks = draw.one("ticks", (30, 60, 90))
    trees = (
        ("data", "data/a"),
        ("data", "data/a", "data/b"),
        ("data", "data/a", "data/a/deep", "data/b"),
        ("data",),
    )
    drawn = frozenset(f for f in FAULTS if draw.chance(f, 0.35))
    return Scenario(
        seed=seed,
        faults=drawn if faults is None else faults,
        cadence_seconds=cadence,
        ticks=ticks,
        latency_seconds=draw.one("latency", (0.005, 0.02, 0.02, 0.2, 1.0)),
        threads=draw.one("threads", (2, 4, 8)),
        targets=draw.one("targets", (1, 1, 1, 2)),
        datasets=draw.one("datasets", trees),
        write_seconds=cadence * draw.one("writes", (0.3, 1.0, 3.0)),
        encrypted=draw.chance("encrypted", 0.3),
        keep_source=draw.keep("source", cadence),
        keep_target=draw.keep("target", cadence),
        fault_seconds=cadence * ticks / draw.one("fault rate", (1, 3, 6)),
    )


class _Draw:
    """Every question has dice of its own, so a new question changes no other's answer."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def one(self, question: str, choices: Sequence[T]) -> T:
        return Random(f"{self._seed}/{question}").choice(choices)

    def chance(self, question: str, share: float) -> bool:
        return Random(f"{self._seed}/{question}?").random() < share

    def keep(self, place: str, cadence: int) -> Keep:
        last = self.one(f"last {place}", (None, 1, 3, 10, 20))
        within = self.one(f"within {place}", (None, None, 5, 15))
        return Keep(last, within * cadence if within else None)
