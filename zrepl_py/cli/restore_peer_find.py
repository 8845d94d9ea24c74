"""Which copy on which peer has what a person asked for, and which of its snapshots is of then?

Asks the peers what they keep of this node; as root, for only root reads the node's key. Changes
nothing.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from zrepl_py.adapters.host.mounts import locate
from zrepl_py.adapters.peer.fetch import Fetcher
from zrepl_py.cli.restore_find import Looking
from zrepl_py.core.copies import Copy, find_copies, find_likely_copies, old_path, plan_copies
from zrepl_py.core.times import parse_time
from zrepl_py.core.versions import Chosen, choose_companion, choose_snapshot
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.fetch import CopyName
from zrepl_py.model.history import Snapshot
from zrepl_py.model.observation import Dataset
from zrepl_py.model.properties import LANE_PROPERTY, ORIGINAL_PREFIX

_PLACE = "peer"


@dataclass(frozen=True, slots=True)
class PeerCopy:
    """A copy on a peer."""

    fetcher: Fetcher
    name: CopyName
    copy: Copy
    others: tuple[Copy, ...]
    """All that this peer keeps of this node."""
    inside: tuple[str, ...]
    """Where in it."""
    path: str
    """Where that was, absolute."""
    names: Mapping[str, CopyName]
    """Dataset → its copy, of `others`."""

    def of(self, other: Copy) -> "PeerCopy":
        """Another copy of the same peer, whole."""
        name, path = self.names[other.dataset], old_path(other, ())
        return replace(self, name=name, copy=other, inside=(), path=path)


@dataclass
class PeerLooking:
    """The way to the peers, and where scratch datasets may be made."""

    look: Looking
    wire: Callable[[], list[Fetcher]]
    scratch_pool: str | None
    reserved: str | None

    def find(self, words: str) -> PeerCopy | None:
        """The copy that has the path or dataset `words`, or None."""
        for peer, names, copies in self._all():
            for copy in copies:
                if copy.dataset == words.rstrip("/"):
                    return PeerCopy(peer, names[copy.dataset], copy, copies, (), "", names)
            if found := self._place(words, copies):
                copy, inside, path = found
                return PeerCopy(peer, names[copy.dataset], copy, copies, inside, path, names)
        return None

    def _place(
        self, words: str, copies: tuple[Copy, ...]
    ) -> tuple[Copy, tuple[str, ...], str] | None:
        """By what is mounted here and by where it was mounted once, else by the name alone."""
        own = {copy.dataset: copy for copy in copies}
        try:
            here = locate(words, self.look.mounts)
        except ZrError:
            here = None  # its dataset is gone
        places = []
        if here is not None and here.dataset in own:
            places.append((own[here.dataset], here.inside, here.path))
        for path in (words, os.path.abspath(words)):
            found = find_copies(copies, path.rstrip("/") or "/")
            places += [(copy, inside, old_path(copy, inside)) for copy, inside in found]
        path = os.path.abspath(words)
        places += [] if places else [(*pair, path) for pair in find_likely_copies(copies, path)]
        # The deepest dataset: one above it is mounted there because that one is gone.
        return min(places, key=lambda place: len(place[1]), default=None)

    def _all(self) -> Iterator[tuple[Fetcher, dict[str, CopyName], tuple[Copy, ...]]]:
        if os.geteuid() != 0:
            raise Standing(
                "no-rights", "Only root can fetch copies from the peer.", "Run this as root."
            )
        trouble: ZrError | None = None
        for fetcher in self.wire():
            self.look.stack.callback(fetcher.close)
            try:
                names = {name.dataset: name for name in fetcher.observe_copies()}
            except ZrError as error:
                trouble = trouble or error
                continue
            yield fetcher, names, _plan(names.values())
        if trouble is not None:
            raise trouble


def _plan(names: Iterable[CopyName]) -> tuple[Copy, ...]:
    datasets = [
        Dataset(
            f"{_PLACE}/own/{name.dataset}",
            1,
            name.kind,
            name.encrypted,
            user_properties={LANE_PROPERTY: name.lane}
            | {ORIGINAL_PREFIX + key: value for key, value in name.properties.items()},
        )
        for name in names
    ]
    return plan_copies(_PLACE, datasets)


def choose_version(
    found: PeerCopy, look: Looking, lead: Chosen | None = None
) -> tuple[Chosen, Snapshot]:
    """The snapshot of then; with `lead`, that of another dataset, the one that belongs to it.

    Errors: those of parse_time and choose_snapshot.
    """
    snapshots = found.fetcher.observe_versions(found.name.lane)
    names = {s.name: s.createtxg for s in snapshots}
    zone = look.zone(found.copy.dataset)
    wanted = parse_time(look.moment, look.now, zone, names)
    if lead is None:
        chosen = choose_snapshot(names, wanted, zone, names)
    else:
        companion = choose_companion(names, wanted, lead, zone, names)
        if companion is None:
            raise Refused("no-snapshot", "It has no snapshot from then or before.")
        chosen = companion
    return chosen, next(s for s in snapshots if s.name == chosen.name)
