"""Every interleaving of two nodes, a lossy wire, crashes and a person: never two primaries in one
epoch, nothing lost, no receipt that lies, and one primary again once everything is healed. And a
deliberate mistake is noticed."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import pytest

from tests.property import roles_model, roles_worlds
from tests.property.roles_model import (
    NodeModel,
    close_step,
    handover_step,
    open_step,
)
from tests.property.roles_worlds import (
    LIVES,
    NODES,
    SCENES,
    check_scene,
    explore,
    forget,
    heal,
    hears,
    ordered,
    said,
)
from zrepl_py.core import roles, siteview
from zrepl_py.core.siteview import PeerWord
from zrepl_py.model.roles import (
    Advance,
    Claim,
    Decision,
    Order,
    Progress,
    Record,
    SiteView,
    State,
    Stay,
    Verdict,
    Write,
)


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES)
def test_no_interleaving_breaks_a_promise(scene: str) -> None:
    assert check_scene(SCENES[scene])


@pytest.mark.long
def test_the_scenes_come_through_every_state_that_has_to_do_with_two_nodes() -> None:
    """A model in which nothing happens finds nothing."""
    seen = set().union(*(check_scene(SCENES[s]) for s in ("aborted switchover", "a split", LIVES)))
    assert set(State) - seen == {State.INIT, State.FAULTED, State.UNKNOWN, State.CATCHING_UP} - seen


def test_a_split_ends_with_the_node_that_a_person_keeps() -> None:
    worlds = explore(SCENES["a split"])
    pairs = {w.nodes for w in worlds if {NODES.values[n].state for n in w.nodes} == {State.SPLIT}}
    assert pairs
    for pair in pairs:
        for kept in (0, 1):
            nodes = list(pair)
            nodes[kept] = hears(nodes[kept], said(nodes[1 - kept]))
            nodes[kept] = ordered(nodes[kept], Order.RESOLVE)
            states = [NODES.values[n].state for n in heal(*nodes)]
            assert states[kept] is State.PRIMARY
            assert states[1 - kept] is State.STANDBY


def an_overtaken_one_goes_on(patch: pytest.MonkeyPatch) -> None:
    """A primary that hears of a higher epoch does not stop."""

    def decide(view: SiteView) -> Decision:
        outcome = roles.decide(view)
        return Stay("mutant", "") if outcome.row == "overtaken" else outcome

    patch.setattr(roles_model, "decide", decide)


def the_journal_is_believed(patch: pytest.MonkeyPatch) -> None:
    """A node that was primary opens at its start, whatever the other one says."""

    def decide(view: SiteView) -> Decision:
        if view.state is State.UNKNOWN and view.record is Record.PRIMARY:
            return Advance("mutant", State.PRIMARY, Write.NOTHING, "")
        return roles.decide(view)

    patch.setattr(roles_model, "decide", decide)


def the_handover_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    """A standby takes over as soon as the primary begins to drain."""

    def hear(word: PeerWord | None, me: str, have: Mapping[str, Collection[int]]) -> Claim:
        if word is not None and word.state is State.DEMOTED:
            return Claim.HANDED
        return siteview.hear(word, me, have)

    def decide(view: SiteView) -> Decision:
        if view.state is State.DRAINING and view.progress is Progress.FAILED:
            return Advance("mutant", State.PRIMARY, Write.NOTHING, "")
        if view.state is State.DEMOTED and view.verdict is Verdict.SYNC:
            return Advance("mutant", State.PRIMARY, Write.NOTHING, "")
        return roles.decide(view)

    patch.setattr(roles_model, "hear", hear)
    patch.setattr(roles_model, "decide", decide)


def the_tail_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """A returning node throws away what only it has."""

    def rescue(node: NodeModel) -> NodeModel | None:
        after = roles_model.rescue_step(node)
        return after and replace(after, rescued=frozenset())

    patch.setattr(roles_worlds, "STEPS", (open_step, close_step, rescue, handover_step))


MUTANTS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    an_overtaken_one_goes_on: LIVES,
    the_journal_is_believed: "forced, honestly",
    the_handover_is_not_waited_for: "switchover and crashes",
    the_tail_is_dropped: LIVES,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda f: f.__name__)
def test_it_notices_a_deliberate_mistake(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget()
    mutant(monkeypatch)
    try:
        with pytest.raises(AssertionError):
            check_scene(SCENES[MUTANTS[mutant]])
    finally:
        forget()
