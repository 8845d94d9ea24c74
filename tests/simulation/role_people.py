"""Who orders: `zr switchover`, `promote`, `resolve` and so on, on the right node and the wrong."""

from random import Random
from typing import TYPE_CHECKING

from zrepl_py.core.codec import decode
from zrepl_py.core.lineage import recall
from zrepl_py.core.promotion import LossReport, Statement, judge_statement, report_loss
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.roles import Order, Record, State

if TYPE_CHECKING:
    from tests.simulation.role_node import SimRoleNode
    from tests.simulation.role_site import RoleSite


HANDED_TO_WRITTEN = ((State.DIVERGED, State.DEMOTED), (State.RESCUING, State.DEMOTED))
"""This node was written to while the other one handed over to it: neither may serve by itself."""


class RolePeople:
    """The persons of one story."""

    def __init__(self, site: "RoleSite") -> None:
        self.site = site
        self._receipts = 0
        self._tidying = False

    def found(self) -> None:
        """`zr promote --first` on alpha, until the group has its first epoch."""
        alpha = self.site.alpha
        if alpha.up and alpha.state is State.INIT:
            self.order(alpha, Order.BEGIN)

    def order(self, node: "SimRoleNode", order: Order, accepted: str = "") -> bool:
        """Type it; what is answered is counted."""

        def answer(reason: str) -> None:
            self.site.trace(node, "ANSWER", order, reason)
            self.site.watch.seen[f"{order}: {reason}"] += 1

        epochs = (Order.SWITCHOVER, Order.FORCE, Order.RESOLVE)
        self.site.trace(node, "ORDER", order, accepted)
        typed = node.type(order, accepted, answer)
        if typed and order in epochs:
            self.site.watch.end.orders += 1
        return typed

    def report(self, node: "SimRoleNode") -> LossReport:
        """What `zr promote` prints."""
        assert node.role is not None
        records = node.journal.records("receipt")
        receipts: dict[str, Receipt] = {
            str(r["id"]): decode(Receipt, r["receipt"]) for r in records
        }
        role, monotonic = node.role, node.machine.clock.monotonic()
        names = (role.group.name, node.name, node.peer.name)
        last = role.hear_last(monotonic)
        return report_loss(names, role.manifests, node.histories(), receipts, last)

    def force(self, node: "SimRoleNode", random: Random, *, honest: bool) -> None:
        """`zr promote --force --i-fenced …`: who is honest switches the other one off first."""
        if not node.up:
            return
        if honest and node.peer.machine.on:
            handed = (node.state, node.peer.state) in HANDED_TO_WRITTEN
            if node.state not in (State.STANDBY, State.CATCHING_UP, State.UNKNOWN) and not handed:
                return
            # Whoever fences the other one does not switch it on before this one has gone on.
            node.peer.crash(20 * self.site.scenario.beat_seconds)
            wait = 5 * self.site.scenario.beat_seconds
            self.site.loop.after(wait, lambda: self._state(node, random))
            return
        self._state(node, random)

    def _state(self, node: "SimRoleNode", random: Random) -> None:
        if not node.up or node.frozen:
            return
        if self.site.scenario.honest and node.peer.machine.on:
            return
        report = self.report(node)
        said = Statement(report.group, report.here, report.peer, report.since,
                         bool(report.uncovered))  # fmt: skip
        refusal = judge_statement(said, report)
        if refusal is not None:
            self.site.watch.seen[f"statement: {refusal.reason}"] += 1
            return
        if node.peer.machine.on:
            self.site.somebody_lied = True
        if self.order(node, Order.FORCE, report.since):
            self.site.truth.aside |= set(report.uncovered)

    def go_on(self, node: "SimRoleNode") -> None:
        """`zr promote --peer-is-down`."""
        longer = len(node.peer.memory.lineage) > len(node.memory.lineage)
        lies = node.peer.machine.on or longer
        if lies and self.site.scenario.honest:
            return
        if lies:
            self.site.somebody_lied = True
        self.order(node, Order.CONTINUE)

    def ask_receipt(self) -> None:
        """`zr sync` on whoever serves."""
        for node in (self.site.alpha, self.site.beta):
            if node.up and node.machine.on and not node.machine.paused:
                self._receipts += 1
                before = self.site.watch.tails.live(node)
                node.lane.want(f"r{self._receipts}", frozenset(before))

    # After the faults.

    def tidy_up(self) -> None:
        """From now on somebody looks every few beats, and answers what asks for a person."""
        self._tidying = True
        self._look()

    def rest(self) -> None:
        """Nobody looks any more."""
        self._tidying = False

    def _look(self) -> None:
        if not self._tidying:
            return
        site = self.site
        nodes = [n for n in (site.alpha, site.beta) if n.up]
        states = {n.name: n.state for n in nodes}
        serving = [n for n in nodes if n.state in (State.PRIMARY, State.PRIMARY_ALONE)]
        if len(nodes) == 2 and State.SPLIT in states.values():
            split = [n for n in nodes if n.state is State.SPLIT]
            self.order(split[0], Order.RESOLVE)
        elif site.lost and not serving and nodes:
            node = nodes[0]
            own = recall(node.memory) in (Record.PRIMARY, Record.PROMOTING)
            if own and node.state is State.UNKNOWN:
                self.order(node, Order.CONTINUE)
            else:
                self._state(node, site.random)
        elif len(nodes) == 2:
            for node in nodes:
                if (node.state, node.peer.state) in HANDED_TO_WRITTEN:
                    self.force(node, site.random, honest=True)
            self.found()
        self.site.loop.after(6 * site.scenario.beat_seconds, self._look)
