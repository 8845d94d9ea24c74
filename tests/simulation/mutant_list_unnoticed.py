"""Deliberate bugs that survived everything until 2026-11-22, when a reader looked for such. What
they need no story brings about, so unit tests kill them; others of that day are with the site's.
"""

from tests.simulation.mutant import Mutant

_LANES = "zrepl_py.daemon.lanes"
_SOURCE = "zrepl_py.daemon.source"
_REPLICAS = "zrepl_py.daemon.replicas"
_RECEIVE = "zrepl_py.engine.receive"


def _unnoticed(name: str, module: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, module, function, old, new, f"tests.unit.test_unnoticed::test_{test}")


UNNOTICED_MUTANTS = (
    _unnoticed(
        "second-check-not-asked",
        "zrepl_py.engine.prune",
        "prune",
        "check_destroy(doom)",
        "pass",
        "the_second_check_is_asked_before_every_destroy",
    ),
    _unnoticed(
        "policy-of-another-source",
        _REPLICAS,
        "Replicas._policy_of",
        "policy.source == source and is_selected",
        "is_selected",
        "a_target_prunes_by_the_policy_of_the_source_that_it_keeps_for",
    ),
    _unnoticed(
        "policy-of-the-old-name",
        _REPLICAS,
        "Replicas._replica",
        "known.dataset = lane.dataset",
        "pass",
        "a_target_prunes_by_the_policy_of_the_name_that_the_dataset_has_now",
    ),
    _unnoticed(
        "rest-ignores-room",
        _SOURCE,
        "Source._look",
        "asked = (history, group.policy, gives_way, valid,",
        "asked = (history, group.policy, valid,",
        "what_is_at_rest_gives_way_when_room_runs_short",
    ),
    _unnoticed(
        "cap-thins-for-the-latest-target",
        "zrepl_py.core.caps",
        "find_first",
        "begins = min(",
        "begins = max(",
        "under_the_cap_what_the_first_of_two_targets_lacks_gets_thinner_too",
    ),
    _unnoticed(
        "no-look-after-a-missed-tick",
        _SOURCE,
        "Source.tick",
        "if not paused:\n                self._scanned.pop(key, None)",
        "pass",
        "a_dataset_that_is_gone_costs_one_tick_and_no_more",
    ),
    _unnoticed(
        "numbers-of-the-pool-ignored",
        _SOURCE,
        "Source._take",
        "course.seq, *seqs, 0)",
        "course.seq, 0)",
        "numbers_go_on_from_those_in_the_pool_where_the_journal_is_new",
    ),
    _unnoticed(
        "sibling-is-parent",
        _LANES,
        "Lanes.ensure",
        'name.startswith(a + "/")',
        "name.startswith(a)",
        "a_sibling_whose_name_begins_alike_is_no_parent",
    ),
    _unnoticed(
        "conflict-never-looked-at-again",
        _LANES,
        "Lanes._succeeded",
        "self._ask(uuid, STANDING_SECONDS)",
        "pass",
        "a_lane_in_conflict_looks_again_in_a_minute",
    ),
    _unnoticed(
        "unpaired-target-forgotten",
        "zrepl_py.daemon.syncs",
        "Syncs._lanes_of",
        "self._check_targets(known)",
        "pass",
        "a_sync_says_that_a_target_of_the_policy_is_not_paired",
    ),
    _unnoticed(
        "full-target-takes",
        _RECEIVE,
        "prepare_receive",
        "if pool.free_bytes * 100 < pool.size_bytes * limits.min_free_percent:",
        "if False:",
        "a_target_takes_no_stream_when_it_has_little_room",
    ),
    _unnoticed(
        "guid-not-read-back",
        _RECEIVE,
        "receive_stream",
        "if landed is None or landed.guid != begin.to_guid:",
        "if landed is None:",
        "what_was_received_is_what_the_pool_shows_then",
    ),
    _unnoticed(
        "commit-of-another-believed",
        "zrepl_py.engine.lane",
        "perform_step",
        "if committed.guid != to.guid:",
        "if False:",
        "an_acknowledgement_of_something_else_is_a_bug",
    ),
    _unnoticed(
        "lane-of-another-node",
        _REPLICAS,
        "Replicas.find",
        "if known.place != place:\n            raise",
        "if False:\n            raise",
        "a_node_has_only_its_own_lanes",
    ),
    _unnoticed(
        "receipt-of-another-node",
        _REPLICAS,
        "Replicas.store_receipt",
        "if receipt.source != source:",
        "if False:",
        "a_node_asks_for_its_own_receipts_only",
    ),
    _unnoticed(
        "second-check-knows-no-pins",
        "zrepl_py.engine.last_look",
        "still_doomed",
        "frozenset(pins)",
        "frozenset()",
        "the_second_check_knows_what_is_pinned",
    ),
    _unnoticed(
        "bases-by-cursors-only",
        _SOURCE,
        "Source._awaited",
        "for s in lanes if s.arrived}",
        "for s in ()}",
        "what_a_target_said_that_it_has_counts_before_its_cursor",
    ),
    _unnoticed(
        "restarted-target-believed",
        _LANES,
        "Lanes.doubt_target",
        'state.view, state.looked_at = None, float("-inf")',
        "state.view = None",
        "a_target_that_was_started_again_is_looked_at_again",
    ),
    _unnoticed(
        "refused-parent-blocks",
        _LANES,
        "Lanes._parent_to_wait_for",
        "parent.error.reason in STAYING",
        "False",
        "a_parent_that_is_refused_for_good_keeps_no_child_waiting",
    ),
)
