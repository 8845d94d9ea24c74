"""The replicas that this node keeps, for the node whose they are, when it asks for them back.

Looks at the pool anew each time, as it is asked only when a person restores; but for the pages of
one reading it looks once.
"""

import os
from collections.abc import Iterable

from zrepl_py.core.copies import plan_copies
from zrepl_py.daemon.proof_told import ToldProofs
from zrepl_py.daemon.readers import Readers
from zrepl_py.engine.receive import Place
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.fetch import CopyName
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.observation import Dataset
from zrepl_py.model.proof import Form, Page, Position, Proof
from zrepl_py.model.properties import LANE_PROPERTY
from zrepl_py.ports.proof import ProofPort
from zrepl_py.ports.zfs import ZfsPort


class KeptCopies:
    """Implements ports.copies.CopyPort on this node's pool."""

    def __init__(
        self,
        places: Iterable[Place],
        zfs: ZfsPort,
        readers: Readers,
        proof: ProofPort | None = None,
        told: ToldProofs | None = None,
    ) -> None:
        """`readers` is told who reads what; `told` hears of proofs."""
        self._told = told
        self._places = {p.source.uuid: p for p in places}
        self._zfs, self._readers, self._proof = zfs, readers, proof
        self._read: tuple[str, str, int, str] | None = None

    def observe_copies(self, source: str) -> tuple[CopyName, ...]:
        """See CopyPort."""
        place = self._place(source)
        above = place.parent.rpartition("/")[0]
        seen = self._datasets(place)
        lanes = {d.name: d.user_properties.get(LANE_PROPERTY, "") for d in seen}
        return tuple(
            CopyName(lanes[c.stored], c.dataset, c.kind, c.encrypted, c.properties)
            for c in plan_copies(above, seen)
        )

    def observe_versions(self, source: str, lane: str) -> tuple[Snapshot, ...]:
        """See CopyPort."""
        return self._zfs.observe_history(self._find(source, lane).name).snapshots

    def find_version(self, source: str, lane: str, guid: int) -> tuple[CopyName, Snapshot]:
        """See CopyPort."""
        snapshot = self._snapshot(self._find(source, lane), guid)
        return next(c for c in self.observe_copies(source) if c.lane == lane), snapshot

    def read_page(
        self,
        source: str,
        lane: str,
        guid: int,
        after: Position,
        form: Form,
        *,
        acls: bool,
        listed: bool,
    ) -> Page:
        """See CopyPort."""
        if self._proof is None:
            raise Refused("not-a-target", "This node cannot read its replicas.")
        known = self._read
        if known is None or known[:3] != (source, lane, guid):
            replica = self._find(source, lane)
            name = join_snapshot(replica.name, self._snapshot(replica, guid).name)
            known = self._read = (source, lane, guid, name)
        name, who = known[3], f"{self._place(source).source.name}: a comparison"
        self._readers.note(guid, who)
        try:
            page = self._proof.read_page(name, guid, after, form, acls, listed)
            if page.ended:
                self._readers.note(guid, who, 0.0)
            return page
        except Standing:
            self._read = None  # renamed, or gone: the next question looks again
            raise

    def store_proof(self, source: str, proof: Proof) -> None:
        """See CopyPort."""
        self._place(source)
        if self._told is not None:
            self._told.add(source, proof)

    def send_version(self, source: str, lane: str, guid: int, fd: int) -> None:
        """See CopyPort."""
        try:
            replica = self._find(source, lane)
            snapshot = join_snapshot(replica.name, self._snapshot(replica, guid).name)
        except BaseException:
            os.close(fd)
            raise
        who = f"{self._place(source).source.name}: a restore or a drill"
        with self._readers.reading(guid, who):
            self._zfs.send(snapshot, None, raw=replica.encrypted, fd=fd, resume=None)

    def _snapshot(self, replica: Dataset, guid: int) -> Snapshot:
        found = self._zfs.observe_history(replica.name).snapshot(guid)
        if found is None:
            raise Standing(
                "snapshot-missing",
                f"The copy has no snapshot with guid {guid} any more.",
                "Ask again: another one may be as good.",
            )
        return found

    def _find(self, source: str, lane: str) -> Dataset:
        for dataset in self._datasets(self._place(source)):
            if dataset.user_properties.get(LANE_PROPERTY) == lane:
                return dataset
        raise Refused("no-such-copy", f"No copy of lane {lane} is kept here.")

    def _datasets(self, place: Place) -> list[Dataset]:
        try:
            return self._zfs.observe_datasets(place.parent)
        except Standing as error:
            if error.reason != "dataset-missing":
                raise
            return []  # nothing of this node was ever received

    def _place(self, source: str) -> Place:
        place = self._places.get(source)
        if place is None:
            raise Refused("not-a-target", "This node keeps no replicas of the one that asks.")
        return place
