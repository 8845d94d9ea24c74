"""What the soak found, each as its smallest case; docs/design/soak.md tells more."""

from typing import Any

from tests.unit.histories import TARGET, parse_history
from zrepl_py.core.replication import LaneView
from zrepl_py.engine.commands import Command
from zrepl_py.engine.lane import LaneResult, replicate_lane
from zrepl_py.errors import Refused
from zrepl_py.model.history import History
from zrepl_py.model.names import join_snapshot, render_hold
from zrepl_py.model.observation import ReplicaView
from zrepl_py.model.plan import Covered
from zrepl_py.model.site import Lane, Node

BETA = Node(f"{TARGET}-0000-4000-8000-000000000000", "beta")
LANE = Lane("lane-1", "tank/a", BETA, raw=True)


def run_refused(view: LaneView, source: History, replica: History) -> tuple[LaneResult, list[str]]:
    """The lane against a target that refuses every stream; the result, and what was asked."""
    held = {join_snapshot("tank/a", s.name): frozenset({render_hold(TARGET)}) for s in
            source.snapshots if s.guid in view.held}  # fmt: skip
    answers = {"observe_history": source, "observe_holds": held,
               "observe_replica": ReplicaView(True, replica)}  # fmt: skip
    asked: list[str] = []
    engine = replicate_lane(LANE, view)
    command: Command = next(engine)
    try:
        while True:
            asked.append(command.verb)
            if command.verb == "transfer":
                command = engine.throw(Refused("target-modified", "It was changed."))
            else:
                outcome: Any = answers.get(command.verb)
                command = engine.send(outcome)
    except StopIteration as ended:
        return ended.value, asked


def test_a_snapshot_by_hand_on_a_raw_replica_is_said_at_once() -> None:
    """What is remembered does not know of it: the refusal alone would tell people to roll back."""
    source, remembered = parse_history("1 2"), parse_history("1")
    view = LaneView(TARGET, True, source, frozenset({1}), ReplicaView(True, remembered))
    result, asked = run_refused(view, source, parse_history("1 f7"))
    assert isinstance(result.conflict, Covered)
    assert [s.guid for s in result.conflict.foreign] == [7]
    assert asked.count("transfer") == 1
