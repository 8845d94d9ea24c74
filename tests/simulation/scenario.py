"""What does one seed mean? Sizes, speeds, retention, and which kinds of faults happen.

A swarm: each seed has a random subset of the kinds, so that rare combinations are not drowned by
common ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from zrepl_py.model.policy import Keep, Limits, Policy, Rung, Selection

T = TypeVar("T")
DAY_SECONDS = 86_400
MOST_SNAPSHOTS = 60
STARTS = (
    1_795_000_000,  # an ordinary day
    1_792_872_000,  # 2026-10-24 20:00 UTC: five hours later clocks in Berlin go back
    1_806_177_600,  # 2027-03-27 20:00 UTC: five hours later they go forward
)
PAUSES = (0.5, 1.0, 5.0, 30.0, 200.0)
TIMEZONE = "Europe/Berlin"
CLOCKS_CHANGE_AFTER_SECONDS = 5 * 3600
"""In the second and the third of them."""

PLACES = {"beta": "target", "gamma": "second place"}
"""What the dice for a target's retention are called."""
CALENDARS = (("daily", 7), ("weekly", 4), ("monthly", 3), ("yearly", 2))

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
    "frozen",
    "degraded",
    "drift",
    "slow-link",
    "operator",
    "restart",
    "sync",
    "little-room",
)


@dataclass(frozen=True)
class Order:
    """One policy, and the datasets that are made for it."""

    policy: Policy
    pool: str
    made: tuple[str, ...]
    """Whole names; parents first."""

    def means(self, name: str) -> bool:
        """Does the policy mean this dataset? Judged here in another way than core/selection.py."""
        inside = any(
            name == root or name.startswith(root + "/")
            for root in (pattern.removesuffix("/**") for pattern in self.policy.selection.include)
        )
        replica = name == f"{self.pool}/zr" or name.startswith(f"{self.pool}/zr/")
        return inside and not replica and name not in self.policy.selection.exclude


@dataclass(frozen=True)
class Scenario:
    """Everything that is drawn before time begins."""

    seed: int
    days: float
    """How long it was asked to last, at least."""
    faults: frozenset[str]
    window_seconds: float
    """How long faults happen."""
    cadence_seconds: int
    """Of the first policy; others tick less often."""
    latency_seconds: float
    threads: int
    targets: tuple[str, ...]
    """Of the first policy."""
    orders: tuple[Order, ...]
    starts_at: int
    """Wall clock at the beginning, seconds since 1970."""
    nights: bool
    """Whether everybody sleeps at night, and nothing is written."""
    bandwidth: float
    """Bytes per second of the links."""
    encrypted: bool
    """Whether one of the first policy's datasets (and what is below it) is sent raw."""
    fault_seconds: float
    """Mean time between two faults of one kind."""
    lasting_seconds: float
    """How long a fault lasts at most."""
    pauses: tuple[float, ...] = PAUSES
    """Mean time between two writes to a dataset, in cadences of its policy; drawn for each."""
    absences: tuple[tuple[float, float], ...] = ()
    """(when, seconds): the first target is away, beside what the faults do."""
    journal_lines: int | None = None
    """A journal keeps so many; older ones go, as old segments do. None: all."""

    @property
    def again(self) -> str:
        """What repeats it."""
        return f"make sim SEED={self.seed} DAYS={self.days:g}"

    @property
    def slowest_seconds(self) -> int:
        """The longest cadence of all policies."""
        return max(order.policy.every_seconds for order in self.orders)

    def down_seconds(self, random: Random) -> float:
        """How long a machine stays off: mostly seconds, sometimes hours."""
        return min(1.0 * 10 ** random.uniform(0.3, 4.3), self.window_seconds / 3)


def draw_scenario(seed: int, faults: frozenset[str] | None = None, days: float = 0.25) -> Scenario:
    """The scenario of a seed; `faults` overrides which kinds happen."""
    draw = _Draw(seed)
    cadence = draw.one("cadence", (60, 300, 300, 600, 900, 1800, 3600))
    drawn = frozenset(f for f in FAULTS if draw.chance(f, 0.35))
    targets = ("beta", "gamma")[: draw.one("targets", (1, 1, 1, 2))]
    window = max(days * DAY_SECONDS, 20 * cadence) * draw.one("length", (1,) * 9 + (2,))
    return Scenario(
        seed=seed,
        days=days,
        faults=drawn if faults is None else faults,
        window_seconds=window,
        cadence_seconds=cadence,
        latency_seconds=draw.one("latency", (0.005, 0.02, 0.02, 0.2, 1.0)),
        threads=draw.one("threads", (2, 4, 8)),
        targets=targets,
        orders=_draw_orders(draw, cadence, targets),
        starts_at=draw.one("start", STARTS),
        nights=draw.chance("nights", 0.5),
        bandwidth=draw.one("bandwidth", (1e9, 1e9, 1e7, 1e6)),
        encrypted=draw.chance("encrypted", 0.3),
        fault_seconds=window / draw.one("fault rate", (2, 6, 15)),
        lasting_seconds=window / 2,
    )


def _draw_orders(draw: "_Draw", cadence: int, targets: tuple[str, ...]) -> tuple[Order, ...]:
    """The first policy always; sometimes a second one of the same node, sometimes one that keeps
    what the target has itself on the source: traffic in both directions."""
    trees = (("",), ("", "/a"), ("", "/a", "/b"), ("", "/a", "/a/deep", "/b"))
    tree = draw.one("datasets", trees)
    keep = {"alpha": draw.keep("source", cadence)}
    keep |= {name: draw.keep(PLACES[name], cadence) for name in targets}
    share = draw.one("max_remove_share", (100, 100, 50, 20, 10))
    limits = Limits(
        MOST_SNAPSHOTS,
        min_free_percent=10,
        max_remove_percent=share,
        keep_waiting=draw.one("keep_waiting", (0, 5, 30, 2880)),
        thin_free_percent=draw.one("thin_free", (None, None, 0, 25)),
    )
    orders = [_order("all", "alpha", "tank", "data", tree, cadence, targets, keep, limits)]
    if draw.chance("second policy", 0.35):
        slow = cadence * draw.one("second cadence", (1, 5, 15))
        keep = {"alpha": draw.keep("second source", slow), "beta": draw.keep("second target", slow)}
        some = draw.one("second datasets", trees[:2])
        orders.append(_order("docs", "alpha", "tank", "docs", some, slow, ("beta",), keep, limits))
    if draw.chance("two-way", 0.35):
        slow = cadence * draw.one("cadence back", (1, 3))
        keep = {"beta": draw.keep("back source", slow), "alpha": draw.keep("back target", slow)}
        some = draw.one("datasets back", trees[:3])
        order = _order("back", "beta", "back", "own", some, slow, ("alpha",), keep, limits)
        if draw.chance("whole pool", 0.3):  # all but the replicas of others
            whole = replace(order.policy.selection, include=("back/**",))
            policy = replace(order.policy, selection=whole)
            order = Order(policy, "back", ("back", *order.made))
        orders.append(order)
    return tuple(orders)


def _order(
    name: str,
    source: str,
    pool: str,
    root: str,
    tree: tuple[str, ...],
    every_seconds: int,
    targets: tuple[str, ...],
    keep: dict[str, Keep],
    limits: Limits,
) -> Order:
    policy = Policy(
        name=name,
        source=source,
        selection=Selection((f"{pool}/{root}/**",), (f"{pool}/{root}/scratch",)),
        every_seconds=every_seconds,
        targets=targets,
        keep={node: rule for node, rule in keep.items() if rule != Keep()},
        limits=limits,
        timezone=TIMEZONE,
    )
    return Order(policy, pool, tuple(f"{pool}/{root}{below}" for below in tree))


class _Draw:
    """Every question has dice of its own, so a new question changes no other's answer."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def one(self, question: str, choices: Sequence[T]) -> T:
        return Random(f"{self._seed}/{question}").choice(choices)

    def chance(self, question: str, share: float) -> bool:
        return Random(f"{self._seed}/{question}?").random() < share

    def keep(self, place: str, cadence: int) -> Keep:
        """The newest and a time, as in the first years; for half of the places other rules too."""
        last = self.one(f"last {place}", (None, 1, 3, 10, 20))
        within = self.one(f"within {place}", (None, None, 5, 15))
        keep = Keep(last, within * cadence if within else None)
        if self.chance(f"plain {place}", 0.5):
            return keep
        c = cadence
        grids = (), (), (Rung(5, 2 * c),), (Rung(6, 5 * c), Rung(3, 20 * c)), (Rung(24, 3600),)
        names = (), (), (("hourly", 4),), (("hourly", 6), ("daily", 2)), CALENDARS
        ruled = replace(
            keep,
            grid=self.one(f"grid {place}", grids),
            calendar=self.one(f"calendar {place}", names),
            at_least=self.one(f"at least {place}", (None, None, 2, 8)),
        )
        if ruled == Keep():
            return ruled  # patterns alone are refused
        patterns = self.one(f"matching {place}", ((), (), ("*T0*",), ("*_*5_*", "*00Z")))
        return replace(ruled, matching=patterns, timezone=TIMEZONE if ruled.calendar else "UTC")
