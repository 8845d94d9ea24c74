"""What may people ask of, and order for, the roles? The control socket's verbs, as JSON values.

An order waits for the group's next turn, which judges it; what refuses it is answered at once, with
the way out and its price. What was begun goes on whatever becomes of who asked. Looks at pools only
where a person asks for what is to be known now (a report, a plan, rescues).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from zrepl_py.core.codec import decode, encode
from zrepl_py.core.promotion import (
    LossReport,
    Statement,
    judge_statement,
    render_report,
    report_loss,
)
from zrepl_py.core.roles import WAITING, decide
from zrepl_py.core.switchover import list_objections
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.lanes import Tell
from zrepl_py.daemon.role_orders import Ordered, describe_refusal, render_refusal
from zrepl_py.daemon.role_prospects import describe_objections, find_prospects, list_behind
from zrepl_py.daemon.role_rescues import RescueSeen, check_droppable, drop_rescue, observe_rescues
from zrepl_py.daemon.role_view import describe_places, describe_rescue, describe_role
from zrepl_py.daemon.roles import GroupRole, Roles
from zrepl_py.errors import Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.roles import Advance, Decision, Order, Refuse
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.rolepeer import RolePeerPort

JUDGED_SECONDS = 8.0
"""A turn with a silent peer takes five."""
LOOK_SECONDS = 20.0
STEP_SECONDS = 0.05
NO_LINKS: Mapping[str, RolePeerPort] = {}


class RoleTold:
    """The verbs."""

    def __init__(
        self,
        roles: Roles,
        agenda: Agenda,
        ports: Mapping[str, Any],
        clock: ClockPort,
        tell: Tell,
        version: Callable[[GroupRole], str | None] = lambda role: None,
        links: Mapping[str, RolePeerPort] = NO_LINKS,
    ) -> None:
        """`ports`: those of the engine; of a node without roles none is asked. `version(role)`: of
        zr on its other node, None: not known. `links`: uuid of a group → the way to that node."""
        self._version, self._links = version, links
        self._roles, self._agenda, self._ports = roles, agenda, ports
        self._clock, self._tell = clock, tell

    @property
    def verbs(self) -> dict[str, Callable[..., Any]]:
        """By their names on the control socket."""
        return {
            "role_show": self.show,
            "role_report": self.report,
            "role_order": self.order,
            "role_look": self.look,
            "role_plan": self.plan,
            "rescue_list": self.list_rescues,
            "rescue_place": self.place_rescue,
            "rescue_elsewhere": self.ask_elsewhere,
            "rescue_drop": self.drop_rescue,
        }

    def show(self) -> list[dict[str, Any]]:
        """Every group, as in `zr status --json`."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        with self._agenda.monitor:
            return [describe_role(role, now, monotonic) for role in self._roles]

    def report(self, group: str | None = None) -> dict[str, Any]:
        """What would be lost if this node were promoted. Errors: see _fresh."""
        report = self._report(self._roles.find(group))
        return {"report": encode(report), "lines": list(render_report(report))}

    def order(
        self,
        order: str,
        group: str | None = None,
        statement: Mapping[str, Any] | None = None,
        who: str = "",
    ) -> dict[str, int]:
        """Give an order; `{"id"}` for `look`. Errors: its refusal, where that is known at once."""
        wanted, role = Order(order), self._roles.find(group)
        if wanted is Order.NONE:
            raise Refused("bad-call", "That is no order.")
        accepted = ""
        if wanted is Order.FORCE:
            if statement is None:
                raise Refused("bad-call", "A forced promotion needs a statement.")
            said, report = Statement(**statement), self._report(role)
            refused = self._would(role, wanted)
            if isinstance(refused, Refuse):  # the table's word is the better one
                raise _refuse(role, refused.refusal)
            if refusal := judge_statement(said, report):
                raise _refuse(role, refusal)
            accepted = said.accepted
        with self._agenda.monitor:
            if not role.restored or not role.node.group.members:
                raise role.error or _no_group(role)
            ordered = role.orders.begin(wanted, accepted, who, self._clock.monotonic())
        role.wake()
        self._await(lambda: ordered.judged, JUDGED_SECONDS)
        if ordered.refusal is not None and not ordered.taken:
            raise ordered.refusal
        return {"id": ordered.ident}

    def look(self, id: int, group: str | None = None) -> dict[str, Any]:
        """How far an order is. Errors: Refused(no-order)."""
        role, now = self._roles.find(group), self._clock.monotonic()
        with self._agenda.monitor:
            ordered: Ordered = role.orders.find(id)
            steps, ordered.steps = ordered.steps, []
            return {
                "state": str(role.state),
                "over": ordered.over,
                "refusal": describe_refusal(ordered.refusal),
                "steps": steps,
                "seconds": round((ordered.ended or now) - ordered.began, 2),
                "error": describe_refusal(role.error),
                "waits_for": ordered.waits_for or None,
            }

    def plan(self, group: str | None = None) -> dict[str, Any]:
        """What a switchover would do and end, and what is in its way. Changes nothing."""
        role = self._roles.find(group)
        self._fresh(role)
        with self._agenda.monitor:
            look, node = role.look, role.node
            assert look is not None
            outcome = self._would(role, Order.SWITCHOVER)
            datasets = [d.name for d in look.trees.placed(node)]
            behind = list_behind(role, look)
            stays = WAITING[role.state]
        host: HostPort = self._ports["HostPort"]
        holders = host.observe_holders(datasets) if datasets else []
        pool = self._ports["ZfsPort"].observe_pool(role.pool)
        with self._agenda.monitor:
            prospects = find_prospects(role, look, pool, self._version(role), behind)
        verdict: str | dict[str, Any] | None = "possible"
        if isinstance(outcome, Refuse):
            verdict = describe_refusal(_refuse(role, outcome.refusal))
        elif not isinstance(outcome, Advance) or outcome.row != "switchover":
            verdict = describe_refusal(Passing("order-waits", stays, "Try again a little later."))
        address = role.plan.hosting.address
        return {
            "verdict": verdict,
            "services": list(node.group.services),
            "address": address.ip if address is not None else None,
            "holders": [
                {
                    "pid": holder.process.pid,
                    "command": holder.command,
                    "dataset": holder.dataset,
                    "how": [str(how) for how in holder.holdings],
                }
                for holder in holders
            ],
            "datasets": datasets,
            "behind": behind,
            "objections": describe_objections(list_objections(prospects)),
        }

    def list_rescues(self, group: str | None = None) -> list[dict[str, Any]]:
        """Every rescue that is here, by a look at the pool."""
        roles = self._roles.all if group is None else [self._roles.find(group)]
        return [
            describe_rescue(found, role.peer.name)
            for role in roles
            for found in self._rescues(role)
        ]

    def place_rescue(self, label: str, group: str | None = None) -> list[Mapping[str, Any]]:
        """Where its datasets are. Errors: Refused(no-rescue)."""
        roles = self._roles.all if group is None else [self._roles.find(group)]
        found = [p for role in roles for p in describe_places(self._rescues(role), label)]
        if not found:
            raise _no_rescue(label)
        return found

    def ask_elsewhere(self, label: str, group: str | None = None) -> list[dict[str, Any]]:
        """Whether the other node has what is here of that rescue, asked now; one for each group.
        `has`: `all`, `part`, `none`; `unknown`: it did not say, `why`. Errors: those of listing."""
        roles = self._roles.all if group is None else [self._roles.find(group)]
        told = []
        for role in roles:
            seen = [rescue for rescue in self._rescues(role) if rescue.label == label]
            mine = {part.snapshot for rescue in seen for part in rescue.parts}
            if mine:
                has, why = self._ask_link(role, label, mine)
                told.append({"peer": role.peer.name, "has": has, "why": why})
        return told

    def _ask_link(self, role: GroupRole, label: str, mine: set[int]) -> tuple[str, str | None]:
        link = self._links.get(role.plan.uuid)
        if link is None:
            return "unknown", None
        try:
            there = link.observe_shipped(label) & mine
        except ZrError as error:
            return "unknown", error.message
        return ("all" if there == mine else "part" if there else "none"), None

    def drop_rescue(self, label: str, group: str | None = None, who: str = "") -> list[str]:
        """Destroy it; returns its datasets. Errors: Refused(no-rescue, rescue-in-use)."""
        roles = self._roles.all if group is None else [self._roles.find(group)]
        gone: list[str] = []
        for role in roles:
            self._fresh(role)
            for rescue in self._rescues(role):
                if rescue.label != label:
                    continue
                with self._agenda.monitor:
                    check_droppable(role, rescue)
                dropped = self._agenda.run(drop_rescue(role, rescue), self._ports)
                told = {"label": label, "who": who, "datasets": dropped}
                self._tell(Event.RESCUE_DROPPED, group=role.name, **told)
                gone += dropped
            self._rescues(role)
        if not gone:
            raise _no_rescue(label)
        return gone

    def _would(self, role: GroupRole, order: Order) -> Decision:
        """What the table says of an order, by the newest look."""
        authority = self._ports["AuthorityPort"].answer(order)
        with self._agenda.monitor:
            assert role.look is not None
            view = role.look.view
            return decide(replace(view, state=role.node.state, order=order, authority=authority))

    def _rescues(self, role: GroupRole) -> list[RescueSeen]:
        found = self._agenda.run(observe_rescues(role), self._ports)
        with self._agenda.monitor:
            role.rescues = tuple(found)
        return found

    def _report(self, role: GroupRole) -> LossReport:
        self._fresh(role)
        receipts = self._receipts(role)
        with self._agenda.monitor:
            node, look = role.node, role.look
            assert look is not None
            return report_loss(
                (role.key[0], role.plan.here.name, role.peer.name),
                node.manifests,
                look.trees.reachable(node),
                receipts,
                node.hear_last(self._clock.monotonic()),
            )

    def _receipts(self, role: GroupRole) -> dict[str, Receipt]:
        """Those that this node has confirmed to the other one, by id."""
        known = {}
        for record in self._ports["JournalPort"].records("receipt"):
            receipt: Receipt = decode(Receipt, record["receipt"])
            if receipt.target == role.plan.here.uuid and receipt.source == role.peer.uuid:
                known[str(record["id"])] = receipt
        return known

    def _fresh(self, role: GroupRole) -> None:
        """Wait for a look that began after this call. Errors: the last turn's; Passing(busy)."""
        asked = self._clock.monotonic()
        role.wake()
        if not self._await(lambda: role.tried > asked, LOOK_SECONDS):
            raise Passing(
                "busy",
                f"The role of {role.name} is being looked at, and that does not end.",
                "`zr status` shows the step; `zpool status` whether the pool hangs.",
            )
        with self._agenda.monitor:
            if role.error is not None:
                raise role.error
            if role.look is None:
                raise _no_group(role)

    def _await(self, done: Callable[[], bool], seconds: float) -> bool:
        until = self._clock.monotonic() + seconds
        while True:
            with self._agenda.monitor:
                if done():
                    return True
            if self._clock.monotonic() >= until:
                return False
            self._clock.sleep(STEP_SECONDS)


def _no_rescue(label: str) -> Refused:
    return Refused("no-rescue", f"There is no rescue {label[:80]} here.", "See `zr rescue list`.")


def _no_group(role: GroupRole) -> Passing:
    return Passing(
        "no-tick",
        f"No tick of {role.name} is known here yet, so there is no group.",
        "Wait for the first snapshot; on the other node, for the first copy to begin.",
    )


def _refuse(role: GroupRole, refusal: Any) -> ZrError:
    return render_refusal(refusal, role.plan.here.name, role.peer.name, role.key[0])
