"""What does one seed mean in a story with roles? Drawn from dice of their own, so that no seed of
the other stories changes."""

from dataclasses import dataclass
from random import Random

ROLE_FAULTS = (
    "crash-alpha",
    "crash-beta",
    "crash-both",
    "effect-crash",
    "restart",
    "partition",
    "one-way",
    "flapping",
    "frozen",
    "paused",
    "clock",
    "suspended",
    "journal-full",
    "standby-written",
    "stubborn",
    "service-hangs",
    "foreign-snapshot",
    "switchover",
    "abort",
    "promote",
    "force",
    "continue",
    "rejoin",
    "resolve",
    "begin",
    "stale-bound",
    "receipts",
    "cut-streams",
    "slow-lane",
    "dead",
    "lost",
)
TREES = (
    ("tank/data",),
    ("tank/data", "tank/data/raw"),
    ("tank/data", "tank/data/raw", "tank/db"),
)


@dataclass(frozen=True)
class RoleScenario:
    """Everything that is drawn before time begins."""

    seed: int
    faults: frozenset[str]
    members: tuple[str, ...]
    window_seconds: float
    """How long faults happen."""
    beat_seconds: float
    """Between two turns of a daemon in which nothing happens."""
    cadence_seconds: float
    latency_seconds: float
    write_seconds: float
    """Mean time between two writes into one dataset."""
    fault_seconds: float
    """Mean time between two faults of one kind."""
    honest: bool
    """Whoever says that the other node is off has switched it off."""
    starts_by_itself: bool
    starts_at: int = 1_795_000_000

    @property
    def again(self) -> str:
        """What repeats it."""
        return f"make sim ROLES=1 SEED={self.seed}"

    def down_seconds(self, random: Random) -> float:
        """How long a machine stays off."""
        return min(1.0 * 10 ** random.uniform(0.3, 3.5), self.window_seconds / 3)


def draw_roles(seed: int, faults: frozenset[str] | None = None) -> RoleScenario:
    """The scenario of a seed; `faults` overrides which kinds happen."""

    def dice(question: str) -> Random:
        return Random(f"{seed}/roles/{question}")

    drawn = frozenset(f for f in ROLE_FAULTS if dice(f).random() < 0.35)
    if not drawn & {"force", "switchover"}:
        drawn |= {dice("order").choice(("force", "switchover"))}
    beat = dice("beat").choice((5.0, 5.0, 10.0, 60.0, 600.0))
    window = beat * dice("window").choice((240, 480, 720))
    return RoleScenario(
        seed=seed,
        faults=drawn if faults is None else faults,
        members=dice("members").choice(TREES),
        window_seconds=window,
        beat_seconds=beat,
        cadence_seconds=beat * dice("cadence").choice((4, 12, 30)),
        latency_seconds=dice("latency").choice((0.005, 0.02, 0.2)),
        write_seconds=beat * dice("write").choice((5, 15, 40)),
        fault_seconds=window / dice("rate").choice((2, 4, 8)),
        honest=dice("honest").random() < 0.6,
        starts_by_itself=dice("by itself").random() < 0.5,
    )
