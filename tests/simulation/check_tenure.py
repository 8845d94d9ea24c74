"""In quiet, the holds and bookmarks that exist are exactly those that should, on both sides."""

from typing import TYPE_CHECKING

from tests.simulation.truth import members_of, own_versions
from zrepl_py.model.names import parse_cursor, parse_hold, render_hold

if TYPE_CHECKING:
    from tests.simulation.site import Site


class TenureExact:
    """Checked at the end."""

    def __init__(self, site: "Site") -> None:
        self.site = site

    def at_end(self) -> None:
        """The base is held and bookmarked for each target; a replica's newest is held."""
        alpha = self.site.alpha
        shorts = {t.node.short: t.node.name for t in self.site.targets}
        for dataset in members_of(alpha.pools):
            own = own_versions(dataset)
            if not own:
                continue
            held = {(v.guid, tag) for v in own for tag in v.holds if parse_hold(tag)}
            if held != {(own[-1].guid, render_hold(short)) for short in shorts}:
                self._say(f"{dataset.name} has holds {sorted(held)}, newest {own[-1].guid}")
            marks = sorted(
                (parsed[0], mark.guid)
                for mark in dataset.bookmarks.values()
                if (parsed := parse_cursor(mark.name))
            )
            if marks != sorted((short, own[-1].guid) for short in shorts):
                self._say(f"{dataset.name} has cursors {marks}, newest {own[-1].guid}")
            for target in self.site.targets:
                replica = self.site.truth.replica_of(target, dataset.guid)
                if replica is None:
                    continue  # check_arrival says so
                if replica.partial is not None:
                    self._say(f"{replica.name} still has a partial receive")
                if replica.local.get("zr:orig:recordsize") != dataset.local.get("recordsize"):
                    self._say(f"{replica.name} does not know the properties of {dataset.name}")
                there = own_versions(replica)
                tag = render_hold(alpha.node.short)
                held_there = [v.guid for v in there if tag in v.holds]
                if held_there != [there[-1].guid]:
                    self._say(f"{replica.name} has holds {held_there}, newest {there[-1].guid}")

    def _say(self, sentence: str) -> None:
        self.site.watch.violation("tenure", sentence + ".")
