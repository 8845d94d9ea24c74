"""What this node decides and writes while it is paired with another one.

Twice is no error. What the daemon makes of it is kept for the end: the other node waits meanwhile.
"""

import os

from zrepl_py.adapters.pairing.card import Card
from zrepl_py.adapters.pairing.meeting import Manners, Met
from zrepl_py.adapters.peer.certificates import Pin
from zrepl_py.cli.pair_keep import (
    ensure_peer,
    judge_pin,
    pin_path,
    policies_for,
    reload_daemon,
    store_pin,
    take_policies,
)
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import Refused, ZrError
from zrepl_py.model.config import Endpoint, NodeConfig

PORT = 7676
SETTLE_SECONDS = 15.0
"""Half of what the whole conversation has."""


class Desk:
    """What this node decides and writes while it is paired."""

    def __init__(
        self, config: str, node: NodeConfig, mine: Pin, *, replace: bool, dialled: str | None
    ) -> None:
        self.config, self.node, self.mine = config, node, mine
        self._replace, self._dialled = replace, dialled
        self.done: list[str] = []
        """Sentences: what was written."""
        self.said = ""
        """What the daemon made of it."""
        self.trouble: ZrError | None = None
        """Why the daemon could not read it."""

    @property
    def manners(self) -> Manners:
        """How this node takes part."""
        port = self.node.listen.port if self.node.listen else None
        return Manners(Card(self.mine, port), self.judge, self.store, self.settle)

    def judge(self, card: Card) -> dict[str, str]:
        """Refused(same-node, peer-certificate); returns the policies that the other one needs."""
        if card.pin.node.uuid == self.mine.node.uuid or card.name == self.mine.node.name:
            raise Refused(
                "same-node",
                f"Both nodes are called {card.name!r}, or are the same one.",
                "Change `name` in zr.toml of the new one, run `zr init` there, and pair again.",
            )
        judge_pin(self.config, self.node, card.pin, replace=self._replace)
        return policies_for(self.node, card.name)

    def store(self, met: Met) -> None:
        """Write what must be kept. Twice is no error."""
        name, say = met.card.name, self.done.append
        if store_pin(self.config, self.node, met.card.pin):
            say(f"wrote {pin_path(self.config, self.node, name)}")
        where = str(Endpoint(self._dialled or met.host, met.card.port or PORT))
        if ensure_peer(self.config, name, where):
            say(f"added [peers.{name}] at {where} to {self.config}")
        elif (known := str(self.node.peers[name].endpoint)) != where:
            say(f"{self.config} says that {name} is at {known}, not {where}: correct what is wrong")
        self.done += take_policies(self.node, name, met.policies)
        own = [p for p in load_policies(self.node.policy_dir) if p.source == self.node.name]
        if own and not any(name in policy.targets for policy in own):
            say(f"no policy of {self.node.name} has {name} as a target: nothing is sent there yet")

    def settle(self) -> None:
        """Let the daemon read it, in time for the other node, which waits."""
        try:
            self.said = reload_daemon(self.node, SETTLE_SECONDS)
        except ZrError as error:
            self.trouble = error


def paired_with(node: NodeConfig) -> list[str]:
    """Peers whose certificate is trusted here."""
    return [name for name, peer in node.peers.items() if os.path.exists(peer.certificate)]
