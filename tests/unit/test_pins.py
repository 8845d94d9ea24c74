"""Every voter besides the policy keeps what it names, and says who needs it."""

import pytest

from zrepl_py.adapters.zfs.dependents import parse_dependents_answer, parse_listed
from zrepl_py.core.pins import (
    pin_bases,
    pin_cloned,
    pin_dependents,
    pin_held,
    pin_running,
)
from zrepl_py.core.retention import Votes, judge
from zrepl_py.model.observation import Dependents
from zrepl_py.model.policy import Keep, Limits

from .histories import TARGET, parse_history

PEERS = {TARGET: "beta"}


@pytest.mark.parametrize(
    ("pins", "reason"),
    [
        (pin_held({2: {"of-a-person"}}, PEERS), "held: of-a-person"),
        (
            pin_held({2: {f"zr_base_{TARGET}"}}, PEERS),
            f"held for beta: the last common version, or on its way (zr_base_{TARGET})",
        ),
        (pin_bases(parse_history("1 2@# 3 4"), PEERS), "the last common version with beta"),
        (
            pin_bases(parse_history("1 2@# 3 4"), {}),
            f"the last common version with the node {TARGET}…, which is no peer now",
        ),
        (pin_cloned({2: {"tank/test"}}), "cloned: tank/test"),
        (
            pin_cloned({2: {"tank/zr-restore-1234"}}),
            "a restore or a drill is reading it (tank/zr-restore-1234)",
        ),
        (pin_cloned({2: {"tank/a/%recv"}}), "base of a partial receive"),
        (pin_running({2: "a drill"}), "read by a drill"),
        (
            pin_dependents({2: Dependents(in_use=True), 3: Dependents()}, PEERS, ()),
            "read by somebody: it is mounted, or being sent",
        ),
    ],
)
def test_a_pin_keeps_what_it_names_beyond_rules_and_cap(pins: Votes, reason: str) -> None:
    check_pin(pins, reason)


def check_pin(pins: Votes, reason: str) -> None:
    verdicts = judge(parse_history("1 2 3 4"), Keep(last=1), Limits(max_snapshots=1), pins)
    assert [v.snapshot.guid for v in verdicts if v.keep] == [2, 4]
    assert verdicts[1].reasons == (reason,)


def test_each_silenced_voter_would_be_missed() -> None:
    """Run by the mutants: one call for every kind of pin."""
    check_pin(pin_held({2: {"x"}}, PEERS), "held: x")
    check_pin(pin_bases(parse_history("1 2# 3 4"), PEERS), "the last common version with beta")
    check_pin(pin_cloned({2: {"tank/x"}}), "cloned: tank/x")
    check_pin(pin_cloned({2: {"tank/a/%recv"}}), "base of a partial receive")
    check_pin(pin_running({2: "a drill"}), "read by a drill")
    for seen, reason in (
        (Dependents(frozenset({"x"})), "held: x"),
        (Dependents(clones=frozenset({"tank/x"})), "cloned: tank/x"),
        (Dependents(in_use=True), "read by somebody: it is mounted, or being sent"),
    ):
        check_pin(pin_dependents({2: seen}, PEERS, ()), reason)


def test_nobody_is_no_pin() -> None:
    assert pin_held({2: ()}, PEERS) == {}
    assert pin_cloned({2: ()}) == {}
    assert pin_dependents({2: Dependents(in_use=True)}, PEERS, {2}) == {}, "its reader is named"
    assert pin_bases(parse_history("1 2 3"), PEERS) == {}


def test_what_a_channel_program_says_of_dependents_is_read() -> None:
    answer = {
        "tank/a@1": "",
        "tank/a@2": "tag of a person\ntag x\nclone tank/b",
        "tank/a@3": "in-use",
    }
    assert parse_dependents_answer(answer) == {
        "tank/a@1": Dependents(),
        "tank/a@2": Dependents(frozenset({"of a person", "x"}), frozenset({"tank/b"})),
        "tank/a@3": Dependents(in_use=True),
    }
    assert [bool(seen) for seen in parse_dependents_answer(answer).values()] == [False, True, True]


def test_what_zfs_list_says_of_holds_and_clones_is_read() -> None:
    text = "tank/a@one\t0\t\ntank/a@two\t2\ttank/x,tank/y\ntank/a@three\t-\t-\n"
    assert parse_listed(text, frozenset({"tank/a@one", "tank/a@two"})) == {
        "tank/a@one": (False, frozenset()),
        "tank/a@two": (True, {"tank/x", "tank/y"}),
    }
