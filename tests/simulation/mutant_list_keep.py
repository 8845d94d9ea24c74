"""Deliberate bugs in retention's voters: silence any one of them, and a test must notice."""

from tests.simulation.mutant import Mutant

_RETENTION = "zrepl_py.core.retention"
_VOTERS = "zrepl_py.core.voters"
_PINS = "zrepl_py.core.pins"
_CAUTION = "zrepl_py.core.caution"
_LOOK = "zrepl_py.engine.last_look"
_LOOK_TEST = "tests.unit.test_last_look"
_RETENTION_TEST = "tests.unit.test_retention"
_RULES_TEST = "tests.unit.test_cells_voters"
_PINS_TEST = "tests.unit.test_pins::test_each_silenced_voter_would_be_missed"
_CAUTION_TEST = "tests.unit.test_caution"
_CAPS = "zrepl_py.core.caps"
_CAPS_TEST = "tests.unit.test_caps"
_LANE = "zrepl_py.engine.lane"
_NOTED_TEST = (
    "tests.unit.test_found_by_simulation::test_what_the_target_has_is_known_while_it_is_sent_more"
)


def _silenced(function: str, old: str, new: str) -> Mutant:
    """A kind of pin that says nothing."""
    return Mutant(f"silent-{function.replace('_', '-')}", _PINS, function, old, new, _PINS_TEST)


KEEP_MUTANTS = (
    # Voters besides the policy.
    _silenced("pin_held", "if those", "if False"),
    _silenced("pin_bases", "cursor[1] == bookmark.guid", "False"),
    _silenced("pin_cloned", "if names", "if False"),
    _silenced("pin_running", "in readers.items()}", "in ()}"),
    _silenced("pin_dependents", "if those.in_use and", "if False and"),
    # What waits for a target: retention asks what it has.
    Mutant(
        "commits-not-noted",
        _LANE,
        "replicate_lane",
        "committed.append(step.to)\n            noted(view)",
        "committed.append(step.to)",
        _NOTED_TEST,
    ),
    Mutant(
        "look-not-noted",
        _LANE,
        "replicate_lane",
        "view = yield from observe_lane(lane)\n        noted(view)",
        "view = yield from observe_lane(lane)",
        _NOTED_TEST,
    ),
    Mutant(
        "turned-group-waits-for-nobody",
        "zrepl_py.daemon.source",
        "Source._awaited",
        "group.course.targets",
        "group.policy.targets",
        "tests.unit.test_source_caps::test_what_the_founder_has_not_stays_after_a_switchover",
    ),
    Mutant(
        "newest-cursor-believed",
        _CAPS,
        "find_awaited",
        "min(bookmark.createtxg,",
        "max(bookmark.createtxg,",
        f"{_CAPS_TEST}::test_of_two_cursors_the_older_counts",
    ),
    Mutant(
        "proofs-not-heard",
        "zrepl_py.daemon.source",
        "Source._look",
        "pin_running(self.readers())",
        "{}",
        f"{_LOOK_TEST}::test_what_a_proof_reads_stays_on_the_source",
    ),
    Mutant(
        "readers-not-heard",
        "zrepl_py.daemon.replicas",
        "Replicas._look",
        "pin_running(self.readers())",
        "{}",
        f"{_LOOK_TEST}::test_what_the_source_reads_stays_on_the_replica",
    ),
    Mutant(
        "proofs-read-nothing",
        "zrepl_py.daemon.proof_jobs",
        "readers_of",
        'job.state == "running"',
        "False",
        f"{_LOOK_TEST}::test_a_proof_that_runs_needs_the_snapshot_also_while_it_does_not_read_it",
    ),
    Mutant(
        "last-look-finds-nobody",
        _LOOK,
        "plan_freshly",
        "found = pin_dependents(seen, peers, readers())",
        "found = {}",
        f"{_LOOK_TEST}::test_a_hold_and_a_clone_on_the_source_are_named_once_and_go_after_release",
    ),
    Mutant(
        "last-look-only-once",
        _LOOK,
        "plan_freshly",
        "if not unseen:",
        "if seen:",
        f"{_LOOK_TEST}::test_what_a_minimum_count_lets_go_because_of_a_pin_is_looked_at_too",
    ),
    Mutant(
        "last-look-forgets-the-cap",
        _LOOK,
        "plan_freshly",
        "len(own) > limits.max_snapshots",
        "False",
        f"{_LOOK_TEST}::test_over_the_cap_all_are_looked_at_for_what_is_pinned_does_not_count",
    ),
    Mutant(
        "last-look-believes-memory",
        _LOOK,
        "plan_freshly",
        "if name not in there}",
        "if False}",
        f"{_LOOK_TEST}::test_what_is_gone_is_no_part_of_the_plan",
    ),
    Mutant(
        "last-look-is-the-last-word",
        _LOOK,
        "still_doomed",
        "if v.snapshot.guid in again)",
        ")",
        f"{_LOOK_TEST}::test_what_begins_to_wait_while_the_pool_is_asked_stays",
    ),
    Mutant("pins-not-counted", _RETENTION, "_add_pins", "if not pins:", "if True:", _PINS_TEST),
    Mutant(
        "silent-newest",
        _RETENTION,
        "_count_votes",
        "(vote_newest, *voters_of(keep),",
        "(*voters_of(keep),",
        f"{_RULES_TEST}::test_matching_names_stay_for_ever",
    ),
    # The policy's own.
    Mutant(
        "silent-last",
        _VOTERS,
        "vote_last",
        "range(first, len(own.labels))",
        "()",
        f"{_RETENTION_TEST}::test_keep_last_counts_only_ours",
    ),
    Mutant(
        "silent-within",
        _VOTERS,
        "vote_within",
        "if not labels:",
        "if True:",
        f"{_RETENTION_TEST}::test_keep_within_counts_from_the_newest_snapshot",
    ),
    Mutant(
        "silent-everything",
        _VOTERS,
        "vote_everything",
        "range(len(own.labels))",
        "()",
        f"{_RETENTION_TEST}::test_without_a_rule_everything_stays_and_the_cap_counts",
    ),
    Mutant(
        "silent-grid",
        _VOTERS,
        "sparse_voters_of",
        "for rung in keep.grid:",
        "for rung in keep.grid[:0]:",
        f"{_RULES_TEST}::test_rungs_and_names_vote_each_for_itself_and_every_reason_is_said",
    ),
    Mutant(
        "silent-calendar",
        _VOTERS,
        "sparse_voters_of",
        "for name, count in keep.calendar:",
        "for name, count in keep.calendar[:0]:",
        f"{_RULES_TEST}::test_rungs_and_names_vote_each_for_itself_and_every_reason_is_said",
    ),
    Mutant(
        "silent-clock-in-doubt",
        _CAUTION,
        "vote_in_doubt",
        "if doubt is None:",
        "if True:",
        f"{_CAUTION_TEST}::test_a_snapshot_of_the_future_stops_rules_that_count_hours",
    ),
    Mutant(
        "silent-matching",
        _VOTERS,
        "vote_matching",
        "if matcher.match(s.name)",
        "if False",
        f"{_RULES_TEST}::test_matching_names_stay_for_ever",
    ),
    Mutant(
        "silent-minimum",
        _RETENTION,
        "_add_spared",
        "(voted + others)[:at_least]",
        "voted[:at_least]",
        f"{_RULES_TEST}::test_a_minimum_count_keeps_the_newest_of_what_nobody_wants",
    ),
    Mutant(
        "minimum-under-the-cap",
        _RETENTION,
        "_thin",
        "safe = {len(votes) - 1, *spared}",
        "safe = {len(votes) - 1}",
        f"{_RULES_TEST}::test_a_minimum_count_keeps_the_newest_of_what_nobody_wants",
    ),
    Mutant(
        "one-cell-fewer",
        _VOTERS,
        "vote_cells",
        "islice(last_of_cells(own, cell_of), count)",
        "islice(last_of_cells(own, cell_of), count - 1)",
        f"{_RULES_TEST}::test_the_last_of_each_cell_stays",
    ),
    Mutant(
        "cells-move-with-the-newest",
        "zrepl_py.core.cells",
        "grid_cells",
        "start = at - (at - origin) % cell_seconds",
        "start = at - cell_seconds + 1",
        f"{_RULES_TEST}::test_the_last_of_each_cell_stays",
    ),
    Mutant(
        "cells-merge-when-clocks-go-back",
        _VOTERS,
        "last_of_cells",
        "while place >= 0 and start <= labels[place] < end:",
        "while place >= 0 and labels[place] >= start:",
        f"{_RULES_TEST}::test_a_clock_that_was_set_back_displaces_nothing",
    ),
    Mutant(
        "days-of-utc",
        _VOTERS,
        "sparse_voters_of",
        "calendar_cells(name, keep.timezone)",
        'calendar_cells(name, "UTC")',
        f"{_RULES_TEST}::test_days_are_those_of_the_policys_zone",
    ),
    Mutant(
        "plan-without-what-waits",
        "zrepl_py.cli.retention_find",
        "judge_look",
        "Caps(awaited, judge_room(",
        "Caps((), judge_room(",
        "tests.unit.test_cli_retention::test_the_plan_spares_what_waits_for_a_target",
    ),
    # What is asked first.
    Mutant(
        "no-question-of-much",
        _CAUTION,
        "find_large_share",
        "going * 100 <= limits.max_remove_percent * len(seasoned)",
        "True",
        f"{_CAUTION_TEST}::test_a_policy_that_is_made_much_shorter_is_asked_about",
    ),
    Mutant(
        "no-question-of-the-clock",
        _CAUTION,
        "find_clock_doubt",
        "if back > STEP_SECONDS:",
        "if False:",
        f"{_CAUTION_TEST}::test_a_clock_set_back_is_believed_again_after_18_hours",
    ),
    Mutant(
        "no-question-of-the-future",
        _CAUTION,
        "find_clock_doubt",
        "labels[-1] > now + STEP_SECONDS",
        "False",
        f"{_CAUTION_TEST}::test_a_snapshot_of_the_future_stops_rules_that_count_hours",
    ),
    Mutant(
        "no-question-of-what-is-missing",
        _CAUTION,
        "plan_removal",
        "if missing and doomed:",
        "if False:",
        f"{_CAUTION_TEST}::test_a_history_that_is_shorter_than_the_last_tick_knew_is_asked_about",
    ),
    Mutant(
        "jumps-make-all-old",
        _CAUTION,
        "find_seasoned",
        "min(max(gap, 0), GAP_SECONDS)",
        "max(gap, 0)",
        f"{_CAUTION_TEST}::test_neither_a_long_silence_nor_a_jump_ahead_makes_all_old",
    ),
    # What waits for a target, and what gives way for want of room.
    Mutant(
        "silent-waiting",
        _CAPS,
        "vote_waiting",
        "if not late.snapshots:",
        "if True:",
        f"{_CAPS_TEST}::test_what_waits_stays_beyond_the_sources_own_rules",
    ),
    Mutant(
        "thinned-to-nothing",
        _CAPS,
        "find_yielding",
        "*LADDER, ",
        "",
        f"{_CAPS_TEST}::test_first_gives_way_what_only_waits",
    ),
    Mutant(
        "base-gives-way",
        _RETENTION,
        "_count_votes",
        "n not in pinned and ",
        "",
        f"{_CAPS_TEST}::test_first_gives_way_what_only_waits",
    ),
    Mutant(
        "minimum-gives-way",
        _RETENTION,
        "_count_votes",
        " and n not in spared",
        "",
        f"{_CAPS_TEST}::test_then_what_rules_keep_that_keep_everything",
    ),
    Mutant(
        "grids-give-way",
        _CAPS,
        "find_yielding",
        "*sparse_voters_of(keep), ",
        "",
        f"{_CAPS_TEST}::test_then_what_rules_keep_that_keep_everything",
    ),
    Mutant(
        "the-targets-days-give-way",
        _CAPS,
        "find_yielding",
        "for awaited in caps.awaited:",
        "for awaited in ():",
        f"{_CAPS_TEST}::test_what_waits_for_the_targets_days_never_gives_way",
    ),
    Mutant(
        "cap-takes-the-oldest-that-waits",
        _CAPS,
        "find_first",
        "if not caps.awaited:",
        "if True:",
        f"{_CAPS_TEST}::test_the_cap_makes_thinner_what_waits_where_the_oldest_would_have_gone",
    ),
    Mutant(
        "dense-rules-give-way-at-once",
        _CAPS,
        "judge_room",
        "limits.min_free_percent + 1",
        "limits.thin_percent",
        f"{_CAPS_TEST}::test_marks_of_room",
    ),
)
