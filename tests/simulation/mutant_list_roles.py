"""Deliberate bugs in the roles: what gives a right that is not there, or loses what only one has.

Killed by the stories with roles (`--roles`), or by the test that is named.
"""

from functools import partial

from tests.simulation.mutant import Mutant

_STORIES = "tests.simulation.test_role_scenarios"
_role = partial(Mutant, roles=True)

ROLE_MUTANTS = (
    _role(
        "gate-opened-before-proof",
        "zrepl_py.core.opening",
        "wanted_steps",
        "if rights.gate is Gate.OPEN:",
        "if rights.gate in (Gate.OPEN, Gate.AS_IT_WAS):",
    ),
    _role(
        "living-peer-ignored",
        "zrepl_py.core.siteview",
        "hear",
        "return _PLAIN[word.state]",
        "return Claim.ASIDE",
    ),
    _role(
        "handed-over-before-all-is-there",
        "zrepl_py.core.switchover",
        "are_there",
        "return all(guid in target_has.get(member, ()) for member, guid in finals.items())",
        "return True",
    ),
    _role(
        "handed-over-to-one-that-was-written-to",
        "zrepl_py.engine.role_switch",
        "_target_follows",
        "return judge_target(look.view.claim, look.view.verdict)",
        "return True",
        test=f"{_STORIES}::test_26_somebody_writes_on_the_standby_in_the_minute_of_a_switchover",
    ),
    _role(
        "handed-over-while-open",
        "zrepl_py.core.switchover",
        "plan_source",
        "if (step := plan_gate(State.DRAINING, sight.gate)) is not None:",
        "if (step := plan_gate(State.DEMOTED, GateSight(True))) is None:",
    ),
    _role(
        "epoch-reused",
        "zrepl_py.core.lineage",
        "next_number",
        "default=0) + 1",
        "default=0)",
    ),
    _role(
        "receipt-under-a-lower-epoch",
        "zrepl_py.core.lineage",
        "may_speak",
        "epoch.n > seen.n",
        "True",
        test="tests.unit.test_roles_handshake::test_what_was_seen_only_grows_and_silences",
    ),
    _role(
        "told-epoch-forgotten",
        "zrepl_py.core.lineage",
        "note",
        "return told if told.n > seen.n else seen",
        "return seen",
        test="tests.unit.test_roles_handshake::test_what_was_seen_only_grows_and_silences",
    ),
    _role(
        "rejoin-leaves-the-tail-unheld",
        "zrepl_py.core.rejoin",
        "_holds",
        "snapshot is not None and",
        "False and",
    ),
    _role(
        "opened-before-it-is-open",
        "zrepl_py.core.opening",
        "is_taken",
        "find_missing(TAKING, sight) is None",
        "sight.receive_forbidden is True",
    ),
    _role(
        "closed-is-believed",
        "zrepl_py.core.opening",
        "is_closed",
        "find_missing(CLOSING, sight) is None",
        "True",
        test=f"{_STORIES}::test_11_the_primarys_daemon_stands_still_and_goes_on",
    ),
    _role(
        "tail-is-not-seen",
        "zrepl_py.core.rejoin",
        "has_tail",
        "return newest is None or newest.guid != member.base or member.written_bytes != 0",
        "return False",
        test=f"{_STORIES}::test_02_alpha_returns_with_a_tail",
    ),
    _role(
        "whole-tick-in-part",
        "zrepl_py.core.siteview",
        "_all_here",
        "all(guid",
        "any(guid",
        test=f"{_STORIES}::test_19_half_of_the_group_was_received",
    ),
    _role(
        "writes-on-a-standby-overlooked",
        "zrepl_py.engine.role_observe",
        "_measure",
        "written_bytes=written.get(m))",
        "written_bytes=0)",
        test=f"{_STORIES}::test_26_somebody_writes_on_the_standby",
    ),
    _role(
        "never-closes",
        "zrepl_py.core.opening",
        "wanted_steps",
        "(*CLOSING, *FOLLOWING) if rights.accepts else CLOSING",
        "FOLLOWING",
    ),
    _role(
        "memory-before-the-journal",
        "zrepl_py.engine.role_node",
        "keep",
        "if memory != node.memory or proved != node.proved or node.memory.lineage:",
        "if False:",
    ),
)
