"""What waits and what gives way, over histories whose labels go anywhere."""

from dataclasses import replace
from itertools import pairwise
from random import Random

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.unit.histories import TARGET, own_name
from zrepl_py.core.caps import (
    Awaited,
    Caps,
    GivesWay,
    find_awaited,
    judge_room,
)
from zrepl_py.core.pins import pin_bases
from zrepl_py.core.retention import join_pins, judge, own_of
from zrepl_py.model.history import Bookmark, History, Snapshot
from zrepl_py.model.names import render_cursor
from zrepl_py.model.observation import PoolView
from zrepl_py.model.policy import Keep, Limits, Policy, Rung, Selection

from .test_retention_property import HISTORY, PINS, RUNGS
from .test_retention_property import KEEP as ANY_KEEP
from .test_retention_property import TIMELESS as ANY_TIMELESS

PEERS = {TARGET: "beta"}
MANY = st.just(Keep()) | st.just(Keep(last=500)) | st.just(Keep(last=100, at_least=70))
KEEP = ANY_KEEP | MANY | st.just(Keep(last=2)) | st.just(Keep(within_seconds=50_000))
TIMELESS = ANY_TIMELESS | MANY
LIMITS = st.builds(
    Limits,
    st.integers(1, 30) | st.just(10_000),
    keep_waiting=st.integers(0, 30),
    thin_free_percent=st.none() | st.integers(11, 60),
)
GIVES_WAY = st.sampled_from(GivesWay)
BASE = st.integers(1, 26)


def draw_spaced(seed: int, count: int) -> list[tuple[int, bool]]:
    """(when, is it ours): gaps of seconds to hours."""
    random, at = Random(seed), 0
    labels = []
    for _ in range(count):
        at += random.choice((5, 5, 5, 60, 60, 60, 60, 900, 5000))
        labels.append((at, random.random() < 0.9))
    return labels


SPACED = st.builds(draw_spaced, st.integers(0, 2**32), st.integers(60, 200))
"""Enough of them, and far enough apart, for the ladder to drop some."""


def with_base(history: History, guid: int) -> History:
    """Beta has it up to this one, if there is such a one."""
    base = history.snapshot(guid)
    if base is None or not base.name.startswith("zr_"):
        return history
    cursor = Bookmark(guid, base.createtxg, render_cursor(TARGET, guid), base.created_at)
    return History(history.snapshots, (cursor,))


def policy_of(keep: Keep, there: Keep, limits: Limits) -> Policy:
    keeps = {"alpha": keep, "beta": there}
    return Policy("p", "alpha", Selection(("tank/**",)), 60, ("beta",), keeps, limits)


def kept(
    history: History,
    policy: Policy,
    gives_way: GivesWay,
    pins: dict[int, tuple[str, ...]] | None = None,
) -> set[int]:
    caps = Caps(find_awaited(history, policy.targets, policy.keep, PEERS), gives_way)
    every = join_pins(pins or {}, pin_bases(history, PEERS))
    verdicts = judge(history, policy.keep["alpha"], policy.limits, every, caps=caps)
    assert all(v.reasons for v in verdicts)
    return {v.snapshot.guid for v in verdicts if v.keep}


def history_of(labels: list[tuple[int, bool]]) -> History:
    return History(
        tuple(
            Snapshot(g, 10 * g, own_name(g) if own else f"foreign{g}", at)
            for g, (at, own) in enumerate(labels, 1)
        )
    )


@given(HISTORY | SPACED.map(history_of), BASE, KEEP, KEEP, LIMITS, PINS, GIVES_WAY)
def test_the_base_the_newest_the_pinned_and_the_minimum_never_give_way(
    history: History,
    base: int,
    keep: Keep,
    there: Keep,
    limits: Limits,
    pins: dict[int, tuple[str, ...]],
    gives_way: GivesWay,
) -> None:
    history = with_base(history, base)
    own = [s.guid for s in own_of(history)]
    stays = kept(history, policy_of(keep, there, limits), gives_way, pins)
    assert {*own[-1:], *(pins.keys() & set(own)), *(b.guid for b in history.bookmarks)} <= stays
    assert len(stays) >= min(keep.at_least or 0, len(own))


@settings(max_examples=150)
@given(SPACED.map(history_of), BASE, KEEP, KEEP, LIMITS, PINS)
def test_more_room_never_removes_more(
    history: History,
    base: int,
    keep: Keep,
    there: Keep,
    limits: Limits,
    pins: dict[int, tuple[str, ...]],
) -> None:
    history, policy = with_base(history, base), policy_of(keep, there, limits)
    kept_by_room = [kept(history, policy, gives_way, pins) for gives_way in GivesWay]
    assert kept_by_room[0] >= kept_by_room[1] >= kept_by_room[2]
    events = [bool(a - b) for a, b in pairwise(kept_by_room)]
    event(f"thinned: {events}")


@given(st.integers(0, 1000), st.integers(0, 1000), LIMITS, st.integers(0, 50))
def test_less_gives_way_where_more_is_free(
    free: int, more: int, limits: Limits, least: int
) -> None:
    limits = replace(limits, min_free_percent=least, thin_free_percent=None)
    little = judge_room(PoolView("tank", 1, "ONLINE", 1000, free), limits)
    much = judge_room(PoolView("tank", 1, "ONLINE", 1000, free + more), limits)
    assert much <= little
    off = replace(limits, thin_free_percent=0)
    assert judge_room(PoolView("tank", 1, "ONLINE", 1000, free), off) is GivesWay.NOTHING


@given(HISTORY | SPACED.map(history_of), BASE, KEEP, KEEP, LIMITS, GIVES_WAY)
def test_thinning_twice_is_thinning_once(
    history: History, base: int, keep: Keep, there: Keep, limits: Limits, gives_way: GivesWay
) -> None:
    history = with_base(history, base)
    policy = policy_of(
        replace(keep, within_seconds=None), replace(there, within_seconds=None), limits
    )
    stays = kept(history, policy, gives_way)
    left = tuple(s for s in history.snapshots if s.guid in stays or not s.name.startswith("zr_"))
    assert kept(History(left, history.bookmarks), policy, gives_way) == stays


def thin_step_by_step(history: History, base: int, policy: Policy, gives_way: GivesWay) -> set[int]:
    """What is left when all was thinned after each snapshot; beta's base stands still."""
    left: list[Snapshot] = []
    for number, snapshot in enumerate(history.snapshots, 1):
        left.append(snapshot)
        known = with_base(history, base if base <= number else 0).bookmarks
        stays = kept(History(tuple(left), known), policy, gives_way)
        left = [s for s in left if s.guid in stays or not s.name.startswith("zr_")]
    return {s.guid for s in left if s.name.startswith("zr_")}


@settings(max_examples=40, deadline=None)
@given(SPACED.map(history_of), BASE, TIMELESS, RUNGS, st.sampled_from((0, 1000)), GIVES_WAY)
def test_thinning_at_every_snapshot_is_thinning_once(
    history: History,
    base: int,
    keep: Keep,
    rungs: tuple[Rung, ...],
    waiting: int,
    gives_way: GivesWay,
) -> None:
    """Without rules that count places: those reach further back where fewer are left."""
    plain = replace(keep, last=None, at_least=None)
    policy = policy_of(plain, Keep(grid=rungs), Limits(10_000, keep_waiting=waiting))
    once = kept(with_base(history, base), policy, gives_way)
    before = {s.guid for s in history.snapshots[:base]}  # waited too, until beta had the base
    assert thin_step_by_step(history, base, policy, gives_way) - before == once - before


@settings(max_examples=40, deadline=None)
@given(SPACED.map(history_of), BASE, TIMELESS, TIMELESS, st.integers(0, 80), GIVES_WAY)
def test_thinning_often_never_keeps_less(
    history: History, base: int, keep: Keep, there: Keep, waiting: int, gives_way: GivesWay
) -> None:
    policy = policy_of(keep, there, Limits(10_000, keep_waiting=waiting))
    once = kept(with_base(history, base), policy, gives_way)
    before = {s.guid for s in history.snapshots[:base]}
    assert thin_step_by_step(history, base, policy, gives_way) - before >= once - before


@given(HISTORY, BASE, KEEP, KEEP, LIMITS)
def test_what_waits_only_ever_keeps_more(
    history: History, base: int, keep: Keep, there: Keep, limits: Limits
) -> None:
    history = with_base(history, base)
    wide = replace(limits, max_snapshots=10_000)
    policy = policy_of(keep, there, wide)
    alone = policy_of(keep, there, replace(wide, keep_waiting=0))
    assert kept(history, policy, GivesWay.NOTHING) >= kept(history, alone, GivesWay.NOTHING)


def test_without_a_common_version_nothing_waits() -> None:
    history = history_of([(60 * n, True) for n in range(5)])
    assert find_awaited(history, ("beta",), {}, PEERS) == ()
    assert Awaited("beta", 1, Keep()) == ("beta", 1, Keep())
