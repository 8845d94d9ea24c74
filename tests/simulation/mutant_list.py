"""The deliberate bugs, each one that somebody could write. docs/design/simulation.md has them."""

from tests.simulation.mutant import Mutant
from tests.simulation.mutant_list_keep import KEEP_MUTANTS
from tests.simulation.mutant_list_roles import ROLE_MUTANTS
from tests.simulation.mutant_list_site import SITE_MUTANTS
from tests.simulation.mutant_list_time import TIME_MUTANTS
from tests.simulation.mutant_list_unnoticed import UNNOTICED_MUTANTS

_REPLICATION_TEST = "tests.unit.test_replication"
_PROPERTIES = "tests.property.test_replication_property"
# Only somebody else's `zfs receive -s` leaves a partial that does not fit: no simulation does. Nor
# does a story of lanes bring a conflict about.
_PLAN_PROPERTY = (
    f"{_PROPERTIES}::test_a_plan_sends_what_is_lacking_in_order_and_never_lets_go_too_early"
)
_CONFLICT_PROPERTY = f"{_PROPERTIES}::test_what_differs_is_a_conflict_and_nothing_else_is"
_REPLICATION = "zrepl_py.core.replication"
_FOUND_TEST = "tests.unit.test_found_by_simulation"
_RECEIVE = "zrepl_py.engine.receive"
_LANES = "zrepl_py.daemon.lanes"
_SOURCE = "zrepl_py.daemon.source"
_RETENTION = "zrepl_py.core.retention"
_VOTERS = "zrepl_py.core.voters"

MUTANTS = (
    *SITE_MUTANTS,
    *KEEP_MUTANTS,
    *TIME_MUTANTS,
    *ROLE_MUTANTS,
    *UNNOTICED_MUTANTS,
    Mutant(
        "plan-without-hold",
        _REPLICATION,
        "_transfer",
        "[Hold(to), step, SetCursor(to)]",
        "[step, SetCursor(to)]",
        # Since what waits for a target is voted for, the simulator cannot lose anything by it.
        test=f"{_REPLICATION_TEST}::test_steady_increment_costs_four_steps",
    ),
    Mutant(
        "cursor-before-transfer",
        _REPLICATION,
        "_transfer",
        "[Hold(to), step, SetCursor(to)]",
        "[Hold(to), SetCursor(to), step]",
    ),
    Mutant(
        "release-before-commit",
        _REPLICATION,
        "_transfer",
        "steps.append(Release(base))",
        "steps.insert(1, Release(base))",
    ),
    Mutant(
        "resume-without-checking-base",
        _REPLICATION,
        "_judge_resume",
        "if point.from_guid != (base.guid if base else 0):",
        "if False:",
        test=_PLAN_PROPERTY,
    ),
    Mutant(
        "resume-without-checking-snapshot",
        _REPLICATION,
        "_judge_resume",
        'return AbortPartial(point.to_guid, "its snapshot is gone on the source")',
        "return Resume(base, view.source.snapshots[-1], point.object, point.offset)",
        test=_PLAN_PROPERTY,
    ),
    Mutant(
        "cursor-of-another-target",
        _REPLICATION,
        "_is_cursor_of",
        "parsed[0] == target",
        "True",
        test=_PLAN_PROPERTY,
    ),
    Mutant(
        "pending-by-creation",
        "zrepl_py.core.diff",
        "diff",
        "pending = tuple(s for s in source.since(base.createtxg) if parse_tick(s.name))",
        "pending = tuple(sorted((s for s in source.since(base.createtxg) if parse_tick(s.name)), "
        "key=lambda s: s.created_at))",
        test=_PLAN_PROPERTY,
    ),
    Mutant(
        "foreign-partial-resumed",
        _REPLICATION,
        "_judge_resume",
        "if parse_tick(to.name) is None:",
        "if False:",
        test=_PLAN_PROPERTY,
    ),
    Mutant(
        "conflict-silenced",
        "zrepl_py.core.diff",
        "diff",
        "ahead = tuple(s for s in later if parse_tick(s.name))",
        "ahead = ()",
        test=_CONFLICT_PROPERTY,
    ),
    Mutant(
        "unrelated-sent-whole",
        "zrepl_py.core.diff",
        "diff",
        "return Unrelated(source.newest, replica.newest)",
        "return Agreement(None, source.snapshots)",
        test=_CONFLICT_PROPERTY,
    ),
    Mutant(
        "covered-sent",
        "zrepl_py.core.diff",
        "diff",
        "if raw and later and pending:",
        "if False:",
        test=_CONFLICT_PROPERTY,
    ),
    Mutant(
        "resume-ignored",
        _REPLICATION,
        "plan_lane",
        "point = view.replica.resume",
        "point = None",
    ),
    Mutant(
        "stale-holds-stay",
        _REPLICATION,
        "plan_lane",
        "steps += _release_stale(view, keep=_guids(agreement.base, *agreement.pending))",
        "pass",
    ),
    Mutant(
        "unsettled-base",
        _REPLICATION,
        "plan_lane",
        "steps = _settle(view, agreement.base) + steps",
        "pass",
    ),
    Mutant(
        "apply-drops-createtxg",
        _REPLICATION,
        "apply_step",
        "Snapshot(to.guid, createtxg, to.name, to.created_at)",
        "to",
    ),
    Mutant(
        "newest-first",
        "zrepl_py.core.diff",
        "diff",
        "return Agreement(base, pending)",
        "return Agreement(base, pending[::-1])",
    ),
    Mutant(
        "base-by-position",
        "zrepl_py.core.diff",
        "diff",
        "base = source.version(last.guid)",
        "base = source.snapshots[0]",
    ),
    Mutant(
        "every-seventh-skipped",
        _LANES,
        "Lanes._skip_rule",
        "would_drop_on_target(pending, replica, keep)",
        "tuple(Skipped(s, 'x') for s in pending if '_7_' in s.name)",
    ),
    Mutant(
        "newest-skipped",
        _LANES,
        "Lanes._skip_rule",
        "would_drop_on_target(pending, replica, keep)",
        "tuple(Skipped(s, 'x') for s in pending[-1:])",
    ),
    Mutant(
        "skip-ignores-what-is-there",
        _RETENTION,
        "would_drop_on_target",
        "_judge_doomed([*present, *arriving], keep",
        "_judge_doomed([*present, *arriving, *arriving[-1:] * 3], keep",
    ),
    Mutant(
        "parent-not-checked-by-the-target",
        _RECEIVE,
        "_check_parent",
        "if not begin.parent:",
        "if True:",
        # Its replica would only get another name.
        test=f"{_FOUND_TEST}::test_no_placeholder_takes_the_place_of_a_replica_to_come",
    ),
    Mutant(
        "idle-lanes-never-look",
        _LANES,
        "Lanes.run_lane",
        "if self.clock.monotonic() - state.looked_at >= believed:",
        "if False:",
    ),
    Mutant(
        "view-survives-an-error",
        _LANES,
        "Lanes._failed",
        "state.view, state.error = None, error",
        "state.error = error",
    ),
    Mutant(
        "failed-lane-forgotten",
        _LANES,
        "Lanes._failed",
        "self._ask(uuid, delay)",
        "pass",
    ),
    Mutant(
        "prune-ignores-pins",
        _SOURCE,
        "Source._look",
        "pins = join_pins(found, bases, pin_running(self.readers()), *needed)",
        "pins = join_pins(found)",
        # What is held is found in the pool as well.
        test="tests.unit.test_source_retention"
        "::test_the_base_of_a_peer_that_was_never_seen_is_known_by_its_cursor",
    ),
    Mutant(
        "prune-only-asks-the-verdict",
        _SOURCE,
        "Source._look",
        "history, keep, limits, pins, now=now",
        "history, keep, limits, {}, now=now",
    ),
    Mutant(
        "tick-number-again",
        _SOURCE,
        "Source.__init__",
        "max((manifest.seq for manifest in journalled), default=0)",
        "0",
    ),
    Mutant(
        "prune-forgets-what-went",
        _SOURCE,
        "Source.prune",
        "gone = pruned.gone_of(name)",
        "gone = frozenset()",
    ),
    Mutant(
        "tick-not-remembered",
        _SOURCE,
        "Source._remember",
        "group.adding(result.taken)",
        "group",
    ),
    Mutant(
        "manifest-of-the-taken-only",
        "zrepl_py.engine.tick",
        "take_tick",
        "{**{d: s.guid for d, s in last.items() if s}, **{d: s.guid for d, s in taken.items()}}",
        "{d: s.guid for d, s in taken.items()}",
    ),
    Mutant(
        "manifest-names-another-snapshot",
        "zrepl_py.engine.tick",
        "take_tick",
        "**{d: s.guid for d, s in taken.items()}}",
        "**dict.fromkeys(last if taken else (), max((s.guid for s in taken.values()), default=0))}",
    ),
    Mutant(
        "unknown-means-unchanged",
        "zrepl_py.engine.tick",
        "take_tick",
        "for dataset, snapshot in last.items()}",
        "for dataset, snapshot in last.items() if snapshot}",
    ),
    Mutant(
        "acknowledged-before-journal",
        _RECEIVE,
        "receive_stream",
        'yield from ask(JournalPort.append, "received", record)',
        "pass",
    ),
    Mutant(
        "replica-not-held",
        _RECEIVE,
        "receive_stream",
        "yield from ask(ZfsPort.hold, (snapshot,), tag)",
        "pass",
    ),
    Mutant(
        "replica-base-stays-held",
        _RECEIVE,
        "receive_stream",
        "yield from ask(ZfsPort.release, others, tag)",
        "pass",
    ),
    Mutant(
        "replica-holds-not-settled",
        _REPLICATION,
        "_settle_target",
        "return [HoldBase(base)]",
        "return []",
    ),
    Mutant(
        "lane-not-written-down",
        _RECEIVE,
        "receive_stream",
        "yield from ask(ZfsPort.set_user_properties, (name,), lane)",
        "pass",
    ),
    Mutant(
        "replica-found-by-name",
        _RECEIVE,
        "observe_replica",
        "find_marked(seen, lane)",
        "next((d for d in seen if d.name == usual), None)",
    ),
    Mutant(
        "manifests-dropped-when-silent",
        "zrepl_py.daemon.manifests",
        "Manifests._tell_all",
        "self.add((), after_seconds=RETRY_SECONDS)",
        "self._waiting.clear()",
    ),
    Mutant(
        "keep-last-off-by-one",
        _VOTERS,
        "vote_last",
        "max(0, len(own.labels) - count)",
        "max(0, len(own.labels) - count + 1)",
    ),
    Mutant(
        "keep-within-by-half",
        _VOTERS,
        "vote_within",
        "oldest = labels[-1] - seconds",
        "oldest = labels[-1] - seconds // 2",
    ),
)
