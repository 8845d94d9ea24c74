"""What a person ordered: which datasets, how often, what is kept where."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rung:
    """`24 x 1h`: the last snapshot of each of the newest `count` cells of so many seconds."""

    count: int
    cell_seconds: int


CALENDAR = ("hourly", "daily", "weekly", "monthly", "yearly")
"""Names of rules that count hours, days, weeks, months and years, the shortest first."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Retention of one place. A snapshot stays when any rule votes for it.

    No rule at all means: keep everything (the cap still counts).
    """

    last: int | None = None
    """The newest N."""
    within_seconds: int | None = None
    """Everything not older than this, counted from the newest snapshot, not from the clock."""
    grid: tuple[Rung, ...] = ()
    """Each rung by itself; cells are counted from 1970-01-01 UTC."""
    calendar: tuple[tuple[str, int], ...] = ()
    """(`daily`, 14): the last snapshot of each of the newest 14 days in which any was taken."""
    at_least: int | None = None
    """So many stay whatever the other rules say, and whatever the cap says: the newest first."""
    matching: tuple[str, ...] = ()
    """Patterns of snapshots' names (the part after the @) that stay for ever."""
    timezone: str = "UTC"
    """Where days, weeks, months and years begin; said only where `calendar` is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop taking snapshots or receiving, so that pools do not fill."""

    max_snapshots: int = 10_000
    """Per dataset: what the keep rules leave beyond this goes, oldest first, but pins stay."""
    min_free_percent: int = 10
    """Below this free share of the pool, no new snapshots and no receives (a pause, an event)."""
    max_remove_percent: int = 100
    """A plan that would remove more than this share of a dataset's snapshots of yesterday and
    before is not performed until a person allows exactly that plan; 100: never asks."""
    thin_free_percent: int | None = None
    """Below this free share of the source's pool, snapshots begin to give way (core/caps.py); None:
    five points above `min_free_percent`; 0: never."""
    keep_waiting: int = 2880
    """Of what a target has not yet, so many of the newest stay on the source whatever its own rules
    say, and before them some of each day; 0: nothing waits."""

    @property
    def thin_percent(self) -> int:
        """`thin_free_percent`, or what it is where nobody said."""
        if self.thin_free_percent is None:
            return self.min_free_percent + 5
        return self.thin_free_percent


@dataclass(frozen=True, slots=True)
class Selection:
    """Dataset patterns: `tank/a` is that one, `tank/a/**` is it and everything below."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One file of policies/."""

    name: str
    source: str
    """Name of the node whose datasets these are."""
    selection: Selection
    every_seconds: int
    targets: tuple[str, ...] = ()
    """Names of the nodes that keep a copy."""
    keep: dict[str, Keep] = field(default_factory=dict)
    """Node name → its retention; a node that is not named keeps everything."""
    limits: Limits = Limits()
    timezone: str = "UTC"
    origin: str = ""
    """The file it came from, for messages."""
