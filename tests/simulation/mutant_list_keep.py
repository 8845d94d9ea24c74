"""Deliberate bugs in retention's voters: silence any one of them, and a test must notice."""

from tests.simulation.mutant import Mutant

_RETENTION = "zrepl_py.core.retention"
_VOTERS = "zrepl_py.core.voters"
_PINS = "zrepl_py.core.pins"
_CAUTION = "zrepl_py.core.caution"
_RULES_TEST = "tests.unit.test_cells_voters"
_PINS_TEST = "tests.unit.test_pins::test_each_silenced_voter_would_be_missed"
_CAUTION_TEST = "tests.unit.test_caution"
_OFTEN_TEST = (
    "tests.property.test_retention_property::test_pruning_at_every_snapshot_is_pruning_once"
)


def _silenced(function: str, old: str, new: str) -> Mutant:
    """A kind of pin that says nothing."""
    return Mutant(f"silent-{function.replace('_', '-')}", _PINS, function, old, new, _PINS_TEST)


KEEP_MUTANTS = (
    # Voters besides the policy.
    _silenced("pin_held", "if those", "if False"),
    _silenced("pin_bases", "cursor[1] == bookmark.guid", "False"),
    _silenced("pin_cloned", "if names", "if False"),
    _silenced("pin_partial", "if from_guid else", "if False else"),
    _silenced("pin_running", "dict.fromkeys(guids,", "dict.fromkeys((),"),
    _silenced("pin_rescued", "if n}", "if False}"),
    _silenced("pin_offsite", "dict.fromkeys(guids,", "dict.fromkeys((),"),
    Mutant("pins-not-counted", _RETENTION, "_add_pins", "if not pins:", "if True:", _PINS_TEST),
    Mutant(
        "silent-newest",
        _RETENTION,
        "_count_votes",
        "(vote_newest, *voters_of(keep), *voters)",
        "(*voters_of(keep), *voters)",
        f"{_RULES_TEST}::test_matching_names_stay_for_ever",
    ),
    # The policy's own.
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
        _OFTEN_TEST,
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
        "voters_of",
        "calendar_cells(name, keep.timezone)",
        'calendar_cells(name, "UTC")',
        f"{_RULES_TEST}::test_days_are_those_of_the_policys_zone",
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
)
