"""Dispatches what happens to the checkers, and collects violations. One checker per property.

A checker is a class of tests/simulation/check_*.py whose methods are called where they exist:
`before_VERB(node, command)`, `after_VERB(node, command, value)`, `on_told(node, event, fields)`,
`on_acknowledged(link, command, committed)`, `on_booted(node)`, `at_healed()` (some time after the
last fault, writes
go on) and `at_end()` (nothing is written any more).
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from tests.simulation.check_arrival import Arrival
from tests.simulation.check_backoff import BacksOffABit
from tests.simulation.check_base import BaseKept
from tests.simulation.check_conflicts import Conflicts
from tests.simulation.check_destroys import Destroys
from tests.simulation.check_lag import LagReturns
from tests.simulation.check_lineage import LineageKept
from tests.simulation.check_lost import NothingLost
from tests.simulation.check_manifests import ManifestsTrue
from tests.simulation.check_progress import Progress
from tests.simulation.check_pruned import UnwantedGone
from tests.simulation.check_receipts import ReceiptsTrue
from tests.simulation.check_restore import RestoresTrue
from tests.simulation.check_tenure import TenureExact
from tests.simulation.check_year import LongRun
from zrepl_py.engine.commands import Command
from zrepl_py.events import Event
from zrepl_py.model.wire import Committed

if TYPE_CHECKING:
    from tests.simulation.link import Link
    from tests.simulation.node import SimNode
    from tests.simulation.site import Site

CHECKERS = (
    LineageKept,  # first: it fills in what arrived, which others read
    NothingLost,
    Destroys,
    BaseKept,
    Arrival,
    ManifestsTrue,
    Conflicts,
    Progress,
    LagReturns,
    BacksOffABit,
    RestoresTrue,
    ReceiptsTrue,
    UnwantedGone,
    TenureExact,
    LongRun,
)


class Watch:
    """All checkers of one site."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.violations: list[str] = []
        self.seen: Counter[str] = Counter()
        self.checkers = [kind(site) for kind in CHECKERS]
        self._calls: dict[str, list[Callable[..., None]]] = {}
        self._before: dict[str, list[Callable[..., None]]] = {}
        self._after: dict[str, list[Callable[..., None]]] = {}
        for checker in self.checkers:
            for name in dir(checker):
                when, _, verb = name.partition("_")
                calls = {"before": self._before, "after": self._after}.get(when)
                if calls is not None:
                    calls.setdefault(verb, []).append(getattr(checker, name))
                elif when in ("on", "at"):
                    self._calls.setdefault(name, []).append(getattr(checker, name))

    def look_away(self) -> None:
        """Check nothing from now on: for tests that do things of which the truth does not know."""
        self._calls, self._before, self._after = {}, {}, {}

    def violation(self, checker: str, sentence: str) -> None:
        """A property does not hold."""
        self.site.loop.stopped = True
        self.violations.append(f"[{checker}] at {self.site.loop.now:.1f} s: {sentence}")

    def before(self, node: "SimNode", command: Command) -> None:
        """A command is about to take effect."""
        for call in self._before.get(command.verb, ()):
            call(node, command)

    def after(self, node: "SimNode", command: Command, value: Any) -> None:
        """A command took effect."""
        for call in self._after.get(command.verb, ()):
            call(node, command, value)

    def failed(self, node: "SimNode", command: Command, error: Exception) -> None:
        """A command raised."""
        self.seen[f"{command.verb} raised {getattr(error, 'reason', error)}"] += 1

    def told(self, node: "SimNode", event: Event, fields: dict[str, Any]) -> None:
        """A daemon told an event."""
        reason = fields.get("reason") or fields.get("kind") or ""
        self.seen[f"{event.value} {reason}".strip()] += 1
        for call in self._calls.get("on_told", ()):
            call(node, event, fields)

    def acknowledged(self, link: "Link", command: Command, committed: Committed) -> None:
        """A target says that it has committed; the source may or may not hear it."""
        for call in self._calls.get("on_acknowledged", ()):
            call(link, command, committed)

    def booted(self, node: "SimNode") -> None:
        """A daemon starts."""
        for call in self._calls.get("on_booted", ()):
            call(node)

    def synced(self, node: "SimNode", begun: float, known_as: str) -> None:
        """`zr sync`, called at `begun`, shows this receipt."""
        self.seen["receipt"] += 1
        for call in self._calls.get("on_synced", ()):
            call(node, begun, known_as)

    def sync_done(self, node: "SimNode", receipts: Collection[Mapping[str, Any]]) -> None:
        """`zr sync` says that it is done, and shows these."""
        self.seen["sync done"] += 1
        for call in self._calls.get("on_sync_done", ()):
            call(node, receipts)

    def healed(self) -> None:
        """All faults ended some time ago."""
        for call in self._calls.get("at_healed", ()):
            call()

    def ended(self) -> None:
        """Nothing happens any more."""
        for call in self._calls.get("at_end", ()):
            call()
