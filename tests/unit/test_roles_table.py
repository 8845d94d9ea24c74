"""The table of roles: total, without a shadowed row, every state reached and left, and nothing that
is not known gives a right. Over every combination of the facts that a state's rows look at."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest

from zrepl_py.core.role_row import FACTS, Row
from zrepl_py.core.roles import RIGHTS, STAYS, TABLE, WAITING, decide
from zrepl_py.model.roles import (
    Advance,
    Authority,
    Claim,
    Fit,
    Gate,
    Order,
    Record,
    Refuse,
    SiteView,
    State,
    Stay,
    Verdict,
)

WRITES = {State.PRIMARY, State.PRIMARY_ALONE, State.DRAINING, State.PROMOTING}
OPENS = (State.PRIMARY, State.PRIMARY_ALONE, State.PROMOTING)


def rows_of(state: State) -> list[Row]:
    return [row for row in TABLE if state in row.when["state"]]


def views_of(state: State) -> Iterator[SiteView]:
    """All combinations of the facts that any row of this state looks at; rows are boxes, so what
    no row names makes no difference."""
    named = {fact for row in rows_of(state) for fact in row.when} - {"state"}
    facts = [fact for fact in FACTS if fact in named]
    for words in product(*(FACTS[fact] for fact in facts)):
        yield SiteView(state, **dict(zip(facts, words, strict=True)))


@cache
def decisions(state: State) -> list[tuple[SiteView, Any]]:
    rows = rows_of(state)
    return [
        (view, next(row.outcome for row in rows if row.holds(view))) for view in views_of(state)
    ]


@pytest.mark.parametrize("state", State)
def test_every_combination_has_a_row_and_no_row_is_shadowed(state: State) -> None:
    """A row that never is the first to hold, in one of its states, is a mistake of somebody."""
    fired = {outcome.row for _, outcome in decisions(state)}
    assert [row.name for row in rows_of(state) if row.name not in fired] == []


@pytest.mark.parametrize("state", State)
def test_decide_takes_the_first_row(state: State) -> None:
    for view, outcome in decisions(state)[:: max(1, len(decisions(state)) // 2000)]:
        assert decide(view) == outcome


def test_names_are_given_once_and_outcomes_carry_them() -> None:
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names)
    assert [row.name for row in TABLE if row.outcome.row != row.name] == []
    assert set(RIGHTS) == set(WAITING) == set(State)
    assert {word for row in TABLE for word in row.when} <= set(FACTS)


def edges() -> set[tuple[State, State]]:
    return {
        (state, outcome.to)
        for state in State
        for _, outcome in decisions(state)
        if isinstance(outcome, Advance) and outcome.to is not state
    }


def test_every_state_is_reached_from_the_start_and_every_one_has_a_way_to_serve() -> None:
    def reach(start: set[State], arrows: set[tuple[State, State]]) -> set[State]:
        found = set(start)
        while more := {b for a, b in arrows if a in found} - found:
            found |= more
        return found

    assert reach({State.UNKNOWN}, edges()) == set(State)
    back = {(b, a) for a, b in edges()}
    assert reach({State.PRIMARY}, back) == set(State), "a state from which nothing leads on"
    assert reach({State.STANDBY}, back) == set(State)


@pytest.mark.parametrize("state", State)
def test_a_right_to_write_is_given_only_for_a_reason(state: State) -> None:
    """Whoever did not write and does now: was proved, was handed to, or a person or the authority
    has granted it; and never while the other one may be writing, unless it must yield."""
    for view, outcome in decisions(state):
        if not isinstance(outcome, Advance) or outcome.to not in OPENS or state in WRITES:
            continue
        granted = view.authority is Authority.GRANTED
        proved = view.record in (Record.PRIMARY, Record.PROMOTING) and (
            view.proved
            or (view.verdict in (Verdict.SYNC, Verdict.PEER_YIELDS) and view.claim != Claim.SILENT)
        )
        handed = view.claim is Claim.HANDED and view.verdict is Verdict.SYNC
        founded = state is State.INIT and view.order is Order.BEGIN
        assert granted or proved or handed or founded, (view, outcome)
        assert view.fit is not Fit.BROKEN
        assert view.authority is not Authority.LOST or founded, (view, outcome)
        if state is not State.SPLIT:
            assert view.claim not in (Claim.PRIMARY, Claim.TAKING), (view, outcome)
            assert view.verdict is not Verdict.SPLIT


@pytest.mark.parametrize("state", sorted(WRITES))
def test_whoever_writes_and_is_overtaken_stops_whatever_else_holds(state: State) -> None:
    for view, outcome in decisions(state):
        if view.verdict in (Verdict.FORWARD, Verdict.RETURNING):
            assert isinstance(outcome, Advance)
            assert outcome.to in (State.FENCED, State.FAULTED, State.DEMOTED)


@pytest.mark.parametrize("state", State)
def test_silence_alone_changes_nothing_but_what_is_confirmed(state: State) -> None:
    """No order, no authority, nobody answers, nothing compared: no role changes."""
    for view, outcome in decisions(state):
        silent = view.claim is Claim.SILENT and view.verdict is Verdict.UNJUDGED
        if not silent or view.order is not Order.NONE or view.authority is not Authority.UNKNOWN:
            continue
        if view.fit is Fit.BROKEN or view.proved or state is State.FAULTED:
            continue
        if isinstance(outcome, Advance) and outcome.to in OPENS:
            assert state in WRITES, (view, outcome)


@pytest.mark.parametrize("state", State)
def test_an_order_is_refused_or_carried_out_or_waits_but_never_changes_anything_else(
    state: State,
) -> None:
    """A refusal says its way out; and a view without an order never gets one."""
    for view, outcome in decisions(state):
        if isinstance(outcome, Refuse):
            assert view.order is not Order.NONE
        if view.order is Order.PROMOTE and isinstance(outcome, Advance):
            assert outcome.to is not State.PROMOTING or view.claim is Claim.HANDED or (
                state is State.UNKNOWN and view.record is Record.PROMOTING
            ), (view, outcome)  # fmt: skip


def test_every_order_gets_an_answer_once_nothing_moves_any_more() -> None:
    """Follow the moves of a view that does not change: it ends in a refusal, or in a state that
    waits; never in a circle."""
    for state in State:
        for view, _ in decisions(state)[::37]:
            seen, now = {view}, view
            while isinstance(outcome := decide(now), Advance):
                now = SiteView(**{**{f: getattr(now, f) for f in FACTS}, "state": outcome.to})
                if now in seen:
                    # Only what a write would have changed may come round again.
                    assert contradicts(now), (view, outcome)
                    break
                seen.add(now)


def contradicts(view: SiteView) -> bool:
    """Views that a durable write, or the end of a step, would have changed."""
    return (
        view.verdict is not Verdict.SYNC
        or view.progress is not view.progress.RUNNING
        or view.record is Record.HANDED_OVER
        or view.order is not Order.NONE
        or view.claim is Claim.HANDED
        or view.authority is not Authority.UNKNOWN
    )


@pytest.mark.parametrize(
    "row", [r for r in TABLE if isinstance(r.outcome, Refuse)], ids=lambda row: row.name
)
def test_refusals_say_everything_with_names_only(row: Row) -> None:
    assert isinstance(row.outcome, Refuse)
    refusal = row.outcome.refusal
    names = {"here": "beta", "peer": "alpha", "group": "station"}
    for text in (refusal.sentence, refusal.way_out):
        said = text.format(**names)
        assert said.endswith(".")
        assert "{" not in said
    refusal.price.format(**names)


@pytest.mark.parametrize("row", STAYS, ids=lambda row: row.name)
def test_the_last_row_of_each_state_asks_for_nothing(row: Row) -> None:
    assert set(row.when) == {"state"}
    assert isinstance(row.outcome, Stay)


def test_nobody_confirms_or_accepts_while_a_role_is_open() -> None:
    for state, rights in RIGHTS.items():
        if rights.gate is Gate.OPEN:
            assert not rights.accepts
        if rights.confirms:
            assert state in (State.INIT, State.PRIMARY)
