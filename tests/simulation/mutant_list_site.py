"""Deliberate bugs that a site shows: restores, retries, several policies, what stays, receipts."""

from tests.simulation.mutant import Mutant

_FOUND_TEST = "tests.unit.test_found_by_simulation"
_RECEIVE = "zrepl_py.engine.receive"
_LANES = "zrepl_py.daemon.lanes"
_SYNCS = "zrepl_py.daemon.syncs"
_REPLICAS = "zrepl_py.daemon.replicas"
_RETENTION = "zrepl_py.core.retention"
_PLACEMENT = "zrepl_py.core.placement"
_VERSIONS = "zrepl_py.core.versions"

SITE_MUTANTS = (
    # Restores.
    Mutant(
        "restore-misses-the-very-second",
        _VERSIONS,
        "choose_snapshot",
        "if s.tick.at <= wanted.at]",
        "if s.tick.at < wanted.at]",
    ),
    Mutant(
        "restore-takes-the-first-before",
        _VERSIONS,
        "choose_snapshot",
        "best = max(before, key=lambda s: (s.tick.at, s.order))",
        "best = min(before, key=lambda s: (s.tick.at, s.order))",
    ),
    Mutant(
        "restore-believes-a-clock-that-was-ahead",
        _VERSIONS,
        "_doubt",
        "if not early and later:",
        "if False:",
        "tests.property.test_times_property"
        "::test_where_the_clock_was_ahead_for_a_while_the_state_is_given_or_a_doubt_told",
    ),
    Mutant(
        "restore-doubts-what-is-in-order",
        _VERSIONS,
        "_doubt",
        "if s.order < last_low and s.tick.at > low]",
        "]",
        "tests.property.test_times_property::test_where_times_never_fall_there_is_no_doubt",
    ),
    Mutant(
        "restore-in-the-repeated-hour-guesses",
        "zrepl_py.core.times",
        "_readings",
        "for fold in (0, 1)",
        "for fold in (1, 1)",
    ),
    Mutant(
        "secrets-in-plain-text",
        _LANES,
        "Lanes.ensure",
        "raw = member.dataset.encrypted",
        "raw = False",
    ),
    Mutant(
        "committed-without-proof",
        "zrepl_py.engine.lane",
        "perform_step",
        "yield from ask(\n                JournalPort.append,",
        "_ = (\n                JournalPort.append,",
    ),
    # Receipts, as zr sync shows them.
    Mutant(
        "receipt-of-what-has-come-so-far",
        _SYNCS,
        "Syncs.look",
        "len(held) == len(mine)",
        "held",
    ),
    Mutant(
        "one-target-is-enough",
        _SYNCS,
        "Syncs.look",
        "whole = {state.lane.target.name for state in lanes} == known.receipts.keys()",
        "whole = bool(known.receipts)",
    ),
    Mutant(
        "receipt-of-the-latest-moment",
        _SYNCS,
        "Syncs._issue",
        "min(manifest.at",
        "max(manifest.at",
    ),
    Mutant(
        "receipt-before-the-tick-is-known",
        "zrepl_py.daemon.manifests",
        "Manifests.has_told",
        "m.seq <= manifest.seq",
        "m.seq < manifest.seq",
    ),
    # What is shown.
    Mutant(
        "status-shows-what-is-to-come",
        "zrepl_py.daemon.status",
        "_describe_lane",
        '"committed": committed.name if committed else None',
        '"committed": newest.name if newest else None',
    ),
    Mutant(
        "status-calls-all-in-sync",
        "zrepl_py.daemon.status",
        "_describe_lane",
        '"in_sync": word == "in-sync"',
        '"in_sync": word != "conflict"',
    ),
    # Retrying.
    Mutant(
        "backoff-without-a-bound",
        _LANES,
        "Lanes._failed",
        "retries[min(state.failures, len(retries) - 1)]",
        "2.0 ** state.failures",
    ),
    Mutant(
        "child-and-parent-wake-each-other",
        _LANES,
        "Lanes._succeeded",
        "ready = not other.failures or result.committed",
        "ready = True",
        test=f"{_FOUND_TEST}::test_a_failed_child_is_not_asked_at_once_by_a_parent_with_nothing_new",
    ),
    Mutant(
        "rests-though-something-was-taken",
        _LANES,
        "Lanes._rests",
        "and view.source.snapshots is history.snapshots",
        "and True",
    ),
    Mutant(
        "properties-told-once",
        "zrepl_py.engine.lane",
        "carry_properties",
        "if properties != told:",
        "if not told:",
    ),
    # Several policies, both directions.
    Mutant(
        "lanes-of-other-policies-forgotten",
        _LANES,
        "Lanes.ensure",
        "if s.group != group.name}",
        "if False}",
    ),
    Mutant(
        "replicas-of-others-replicated",
        "zrepl_py.engine.group",
        "observe_group",
        "select_datasets(policy.selection, called, reserved)",
        "select_datasets(policy.selection, called)",
    ),
    Mutant(
        "ticks-of-another-group-count-as-told",
        _REPLICAS,
        "Replicas.store_manifest",
        "key = (source, manifest.group, manifest.epoch)",
        'key = (source, "", manifest.epoch)',
    ),
    # Retention, the other way round: what should go and does not.
    Mutant(
        "replica-pruned-once",
        _REPLICAS,
        "Replicas._prune",
        "replica is known.pruned",
        "known.pruned is not None",
    ),
    Mutant(
        "cap-ignored",
        _RETENTION,
        "_thin",
        "excess = len(unpinned) - places",
        "excess = 0",
    ),
    # Order, and what is durable.
    Mutant(
        "newest-by-wall-clock",
        "zrepl_py.core.diff",
        "newest_own",
        "next((s for s in reversed(history.snapshots) if parse_tick(s.name)), None)",
        "max((s for s in history.snapshots if parse_tick(s.name)), key=lambda s: s.created_at, "
        "default=None)",
    ),
    Mutant(
        "journal-without-fsync",
        "zrepl_py.testing.model_journal",
        "ModelJournal.append",
        "if self._syncs:",
        "if False:",
    ),
    Mutant(
        "received-without-fsync",
        "zrepl_py.testing.model_journal",
        "ModelJournal.append",
        "if self._syncs:",
        'if kind != "received":',
    ),
    Mutant(
        "committed-without-fsync",
        "zrepl_py.testing.model_journal",
        "ModelJournal.append",
        "if self._syncs:",
        'if kind != "committed":',
    ),
    Mutant(
        "unmarked-replica-stays-unmarked",
        _RECEIVE,
        "hold_base",
        "if not replica.marked:",
        "if False:",
        test=f"{_FOUND_TEST}::test_a_replica_that_was_not_marked_is_marked_when_its_base_is_held",
    ),
    # Where replicas stand.
    Mutant(
        "placeholder-keeps-a-replica-away",
        _PLACEMENT,
        "choose_name",
        "if beside == folder and not taken:",
        "if beside == folder:",
        # Takes a replica that is destroyed in the second before its child comes.
        test=f"{_FOUND_TEST}::test_a_placeholder_at_its_name_keeps_no_replica_away",
    ),
    Mutant(
        "child-of-a-renamed-parent-stands-apart",
        _PLACEMENT,
        "choose_name",
        "beside = above.name",
        "pass",
    ),
    Mutant(
        "other-name-not-found-again",
        _PLACEMENT,
        "find_unmarked",
        "return own or next(",
        "return next(",
        # Takes a crash between a first stream and its mark, of a replica with another name.
        test=f"{_FOUND_TEST}::test_a_replica_beside_its_usual_place_is_found_again_without_a_mark",
    ),
    # Receipts, as they are given.
    Mutant(
        "receipt-without-a-look",
        "zrepl_py.engine.receipt",
        "check_holding",
        "if seen is None or seen.guid != held.guid:",
        "if False:",
        # What the target has committed is rarely gone before the receipt asks for it.
        test=f"{_FOUND_TEST}::test_a_receipt_is_refused_for_what_is_not_there",
    ),
    Mutant(
        "receipt-for-an-older-snapshot",
        "zrepl_py.daemon.syncs",
        "Syncs._holding",
        "here.createtxg >= wanted.createtxg",
        "here.createtxg <= wanted.createtxg",
    ),
    Mutant(
        "receipt-for-the-tick-before",
        "zrepl_py.daemon.syncs",
        "Syncs._ticked",
        "ticks[key].ended < number",
        "ticks[key].ended < number - 1",
    ),
)
