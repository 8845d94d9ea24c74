"""Which nodes have which snapshots of a dataset, as far as that can be said truly?

As root the peers are asked, while the looks go on. Whoever may not ask, or gets no answer in time,
learns what this node's cursors say: the one snapshot that each target acknowledged last.
"""

import base64
import os
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zrepl_py.adapters.host.snapshotlist import Catalog
from zrepl_py.cli.versions_find import Subject
from zrepl_py.core.whereabouts import Holder, Known
from zrepl_py.errors import ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.history import Snapshot

if TYPE_CHECKING:
    from zrepl_py.adapters.peer.fetch import Fetcher

PATIENCE_SECONDS = 10.0
MAX_CERTIFICATE_BYTES = 1 << 16
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_UUID = re.compile(rb"urn:uuid:([0-9a-f]{8})-")


@dataclass
class PeerAnswers:
    """What the peers say, heard in the background. Dataset → its snapshots there."""

    wanted: bool
    config: str
    answers: dict[str, dict[str, tuple[Snapshot, ...]]] = field(default_factory=dict)
    """Peer → dataset (this node's name of it) → snapshots, oldest first."""
    troubles: dict[str, str] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    _threads: list[threading.Thread] = field(default_factory=list)

    def ask(self, dataset: str) -> None:
        """Begin to ask all peers; none where the caller may not."""
        if not self.wanted or os.geteuid() != 0:
            return
        # Loaded here: TLS and certificates cost more than all the rest of this command.
        from zrepl_py.wiring import wire_fetchers

        try:
            fetchers = wire_fetchers(self.config)
        except ZrError as error:
            self.troubles[""] = error.message
            return
        self.asked = tuple(fetcher.peer for fetcher in fetchers)
        for fetcher in fetchers:
            # A daemon thread: a peer that says nothing must not hold the command up.
            thread = threading.Thread(target=self.hear, args=(fetcher, dataset), daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait(self) -> None:
        """For a while."""
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        for peer in self.asked:
            if peer not in self.answers and peer not in self.troubles:
                self.troubles[peer] = "it did not answer in time"

    def hear(self, fetcher: "Fetcher", dataset: str) -> None:
        """Ask one peer, and let go of it; whatever goes wrong is among the troubles."""
        try:
            lanes = {copy.dataset: copy.lane for copy in fetcher.observe_copies()}
            found = fetcher.observe_versions(lanes[dataset]) if dataset in lanes else ()
            self.answers[fetcher.peer] = {dataset: found}
        except ZrError as error:
            self.troubles[fetcher.peer] = error.message
        finally:
            fetcher.close()


def observe_holders(
    subject: Subject, catalog: Catalog, node: NodeConfig | None, answers: PeerAnswers
) -> list[Holder]:
    """This node, then its peers."""
    mine = node.name if node else os.uname().nodename
    own = frozenset(s.guid for s in catalog.snapshots)
    holders = [Holder(mine, Known.HERE, subject.store.dataset, own)]
    if subject.node:
        return holders  # the source itself cannot be asked: it answers for its own copies only
    answers.wait()
    for peer, found in answers.answers.items():
        snapshots = found.get(subject.dataset, ())
        guids = frozenset(s.guid for s in snapshots)
        holders.append(Holder(peer, Known.ASKED, subject.dataset, guids))
    names = _names(node)
    for target, guid in catalog.cursors:
        peer = names.get(target, f"the node {target}")
        if peer in answers.answers:
            continue
        trouble = answers.troubles.get(peer, "")
        known = Known.SILENT if trouble else Known.ACKNOWLEDGED
        holders.append(Holder(peer, known, subject.dataset, frozenset((guid,)), trouble))
    told = {holder.node for holder in holders}
    for peer, trouble in answers.troubles.items():
        if peer and peer not in told:
            holders.append(Holder(peer, Known.SILENT, subject.dataset, frozenset(), trouble))
    return holders


def _names(node: NodeConfig | None) -> dict[str, str]:
    """Target (8 hex digits) → its name, from the certificates, as far as this caller may read them.

    Only to name a node: nothing is believed because of it.
    """
    found = {}
    for name, peer in node.peers.items() if node else ():
        try:
            with open(peer.certificate, encoding="ascii") as file:
                pem = _PEM.search(file.read(MAX_CERTIFICATE_BYTES))
            said = _UUID.search(base64.b64decode(pem[1])) if pem else None
        except (OSError, ValueError):
            continue
        if said:
            found[said[1].decode()] = name
    return found
