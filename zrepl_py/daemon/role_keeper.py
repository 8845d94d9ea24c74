"""One group's turns: taken every two seconds, at once while something moves, when somebody orders
something, and when the other node has changed.

Invariants: turns of one group never overlap (one key of an agenda). An order is given to the engine
between two turns, never within one. Nothing of a turn that failed is believed; each cause is told
once, and the next turn comes soon.
"""

from collections.abc import Callable, Mapping
from typing import Any

from zrepl_py.core.roles import TABLE
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.lanes import Tell
from zrepl_py.daemon.role_orders import render_refusal
from zrepl_py.daemon.role_rescues import observe_rescues
from zrepl_py.daemon.role_seen import HeardPeer, SeenDatasets, SeenHost
from zrepl_py.daemon.role_shipping import Shipper
from zrepl_py.daemon.roles import GroupRole
from zrepl_py.daemon.troubles import Trouble
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import restore_role
from zrepl_py.engine.role_observe import USABLE_HEALTH
from zrepl_py.engine.role_turn import Turn, take_turn
from zrepl_py.errors import Bug, Passing, ZrError
from zrepl_py.events import Event
from zrepl_py.model.roles import Advance, Fit, State
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.zfs import ZfsPort

TURN_SECONDS = 2.0
SHARE = 4
"""A turn that rests takes at most one part in so many of the time: on pools where looking is slow,
it is looked less often."""
LONGEST_SECONDS = 10.0
HANDING_SECONDS = 0.5
"""While a switchover is noted: nobody can write meanwhile, and each node waits for what the other
one's next look will show."""
RESCUES_SECONDS = 60.0
HASTE = 200
"""So many turns in a row follow each other at once."""
AGAIN_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""After a turn that failed."""
_MOVES = {row.name for row in TABLE if isinstance(row.outcome, Advance)}


class Keeper:
    """Takes one group's turns on an agenda that has a thread for it."""

    def __init__(
        self,
        role: GroupRole,
        ports: Mapping[str, Any],
        agenda: Agenda,
        clock: ClockPort,
        tell: Tell,
        changed: list[Callable[[GroupRole], None]],
        streams: Agenda,
        followed: Callable[[], None] = lambda: None,
    ) -> None:
        """`ports`: all of engine/role_node.py's docstring. `streams`: for what would hold up a
        turn; with the same monitor as `agenda`. `followed()`: the other node follows, again."""
        self.role = role
        self._ports = {
            **ports,
            "HostPort": SeenHost(ports["HostPort"], role),
            "DatasetPort": SeenDatasets(ports["DatasetPort"], role),
            "RolePeerPort": HeardPeer(ports["RolePeerPort"], role),
        }
        self._agenda, self._clock, self._tell, self._changed = agenda, clock, tell, changed
        self._trouble, self._hasty, self._followed = Trouble(), 0, followed
        self._labels: tuple[str, ...] | None = None
        self._shipper = Shipper(role, self._ports, streams, clock, tell)
        role.wake = self.wake

    def restore(self) -> None:
        """Read the journal, if nobody has yet. What fails is told, and tried again in a turn."""
        if not self.role.restored:
            self._agenda.run(self._try(self._restore()), self._ports)

    def wake(self) -> None:
        """A turn, as soon as the one that runs has ended."""
        self._agenda.ask(("role", self.role.plan.uuid), self._work)

    def _work(self) -> None:
        began = self._clock.monotonic()
        moved = self._agenda.run(self._try(self._turn()), self._ports)
        now = self._clock.monotonic()
        self._hasty = self._hasty + 1 if moved else 0
        if self._trouble.tries:
            after = AGAIN_SECONDS[min(self._trouble.tries, len(AGAIN_SECONDS)) - 1]
        elif moved and self._hasty < HASTE:
            after = 0.0
        elif self.role.node.memory.intent is not None:
            after = HANDING_SECONDS
        else:
            after = min(max(TURN_SECONDS, SHARE * (now - began)), LONGEST_SECONDS)
        self._agenda.ask(("role", self.role.plan.uuid), self._work, after)

    def _try(self, engine: Engine[bool]) -> Engine[bool]:
        """What it returns; False where it failed, which is told."""
        now, began = self._clock.monotonic, self._clock.monotonic()
        try:
            moved = yield from engine
        except Bug:
            raise  # the agenda ends the daemon
        except ZrError as error:
            role = self.role
            role.error, role.tried = error, began
            role.orders.note_error(error)
            if self._trouble.is_news(error.reason, str(error), now()):
                why = {"reason": error.reason, "message": str(error)}
                self._tell(Event.ROLE_FAILED, group=role.name, state=role.state, **why)
            return False
        self.role.error, self.role.tried = None, began
        if (over := self._trouble.end(now())) is not None:
            counts = {"failures": over[0], "seconds": over[1]}
            self._tell(Event.ROLE_RECOVERED, group=self.role.name, **counts)
        return moved

    def _restore(self) -> Engine[bool]:
        role, node = self.role, self.role.node
        role.node = yield from restore_role(node.group, node.boot, node.machine, node.draw)
        role.restored, role.since = True, self._clock.now()
        role.refresh()
        return True

    def _turn(self) -> Engine[bool]:
        role = self.role
        if not role.restored:
            yield from self._restore()
        role.refresh()
        if not role.node.group.members:
            return False  # no tick is known yet: there is no group
        if role.plain:
            yield from self._check_pool()
        role.orders.give(role.node)
        before, course = role.node.state, role.course
        turn = yield from take_turn(role.node, ships=False)
        self._took(turn, before)
        if role.course != course:
            for hear in self._changed:
                hear(role)
        self._shipper.note_turn()
        yield from self._look_at_rescues(turn)
        return turn.moved

    def _check_pool(self) -> Engine[None]:
        """While nobody has set roles up, a pool that fails must not stop what runs on this node."""
        view = yield from ask(ZfsPort.observe_pool, self.role.pool)
        if view.health not in USABLE_HEALTH:
            raise Passing(
                "pool-suspended",
                f"Pool {self.role.pool} is {view.health}, so its group is not looked at.",
                "`zpool status` says more.",
            )

    def _took(self, turn: Turn, before: State) -> None:
        role, node, now = self.role, self.role.node, self._clock.monotonic()
        role.look, role.looked_at = turn.look, now
        rests = turn.what == "rest"
        role.stuck = "" if turn.moved or rests or turn.refusal else turn.what
        if not rests and turn.refusal is None:
            role.what = turn.what
        refusal = None
        if turn.refusal is not None:
            names = (role.plan.here.name, role.peer.name, role.key[0])
            refusal = render_refusal(turn.refusal, *names)
            self._tell(
                Event.ROLE_REFUSED, group=role.name, reason=refusal.reason, message=str(refusal)
            )
        elif turn.what in _MOVES and node.state is not before:
            epoch = str(role.epoch) if role.epoch else None
            change = {"before": before, "after": node.state, "row": turn.what, "epoch": epoch}
            self._tell(Event.ROLE_CHANGED, group=role.name, **change)
        elif turn.moved:
            for step in turn.steps or (turn.what,):
                self._tell(Event.ROLE_STEP, group=role.name, state=node.state, step=step)
        self._tell_rescues(turn)
        role.orders.note_turn(node, turn, refusal, now)
        if node.state is not before:
            role.since = self._clock.now()
            if node.state is State.PRIMARY:
                self._followed()

    def _look_at_rescues(self, turn: Turn) -> Engine[None]:
        """Now and then: those of the other node arrive without a turn."""
        role, now = self.role, self._clock.monotonic()
        soon = role.rescues_at is not None and now - role.rescues_at < RESCUES_SECONDS
        if turn.moved or soon or turn.look.view.fit is Fit.BROKEN:
            return
        role.rescues_at = now  # before the look: what arrives meanwhile is looked for again
        role.rescues = tuple((yield from observe_rescues(role)))

    def _tell_rescues(self, turn: Turn) -> None:
        labels = turn.look.trees.labels
        known, self._labels = self._labels, labels
        for label in sorted(set(labels) - set(known)) if known is not None else ():
            self._tell(Event.RESCUE_KEPT, group=self.role.name, label=label)
            self.role.rescues_at = None
