"""`zr retention plan`: what stays, what would go, and why. `zr retention apply`: let it go now.

The daemon performs plans by itself; a person looks, tries a policy before it counts, and allows
what the daemon asks about (core/caution.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.cli.naming import complete_datasets, dataset_argument
from zrepl_py.cli.options import config_option, dry_run_option, json_option
from zrepl_py.cli.retention_find import (
    Looked,
    Meant,
    find_meant,
    find_peers,
    find_readers,
    judge_look,
    look,
)
from zrepl_py.cli.retention_say import (
    DESTROYED,
    GONE,
    STAYS,
    Outcome,
    describe_look,
    describe_outcomes,
    render_difference,
    render_outcomes,
    render_timeline,
)
from zrepl_py.cli.words import count, render_json
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies, load_policy
from zrepl_py.engine.commands import run
from zrepl_py.engine.prune import Doom, prune
from zrepl_py.errors import Refused
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import check_dataset_name, join_snapshot

AGO = 500
"""So many snapshots may have come since the plan was shown."""
CHANGED = "no longer in the plan"


@click.group()
def retention() -> None:
    """Look at what retention keeps and destroys, and why.

    Example: zr retention plan tank/audio
    """


@retention.command()
@config_option
@json_option
@click.option(
    "--policy", "file", metavar="FILE", help="Judge by this file, which is not in force yet."
)
@click.option("--all", "every", is_flag=True, help="One line for every snapshot.")
@click.argument("dataset", required=False, shell_complete=complete_datasets)
def plan(config: str, as_json: bool, file: str | None, every: bool, dataset: str | None) -> None:
    """Show what stays and why, and what would go and why. Changes nothing.

    Of all protected datasets and replicas of this node, or of DATASET. With --policy, what a
    changed policy would do before it counts.

    Example: zr retention plan tank/audio --policy /tmp/station.toml
    """
    node = load_node_config(config)
    policies = load_policies(node.policy_dir)
    tried = (load_policy(file),) if file is not None else policies
    if dataset is not None:
        check_dataset_name(dataset)
    meant = find_meant(node, tried, dataset)
    facts: list[dict[str, Any]] = []
    readers = find_readers(node)
    in_force = {m.name: m for m in find_meant(node, policies, None)} if file is not None else {}
    for one in meant:
        seen = _look(node, one, readers)
        before = _judge_again(seen, in_force[one.name]) if one.name in in_force else None
        if as_json:
            facts.append(describe_look(seen) | {"in_force": before and describe_look(before)})
            continue
        click.echo("\n".join(render_timeline(seen, every=every)))
        if before is not None:
            click.echo(f"  {render_difference(before, seen)}")
    if as_json:
        click.echo(render_json({"format": 1, "node": node.name, "datasets": facts}))
    elif not meant:
        click.echo("No policy means a dataset of this node.")


@retention.command()
@config_option
@json_option
@dry_run_option
@click.option("--plan", "digest", metavar="PLAN", help="The plan that was shown; asks nothing.")
@dataset_argument
def apply(config: str, as_json: bool, dry_run: bool, digest: str | None, dataset: str) -> None:
    """Destroy now what the policies in force let go of DATASET, as root.

    Also what the daemon asks about. Without --plan it shows the plan and asks; with it, exactly
    the plan that `zr retention plan` or the event named is performed, or nothing.

    Example: zr retention apply tank/audio --plan 1f0c9a7be2d4
    """
    check_dataset_name(dataset)
    node = load_node_config(config)
    (meant,) = find_meant(node, load_policies(node.policy_dir), dataset)
    seen = _look(node, meant, find_readers(node))
    doomed = choose_doomed(seen, digest)
    if dry_run or (digest is None and not as_json):
        click.echo("\n".join(render_timeline(seen, every=False)))
    if dry_run or not doomed:
        return
    if digest is None:
        if as_json:
            raise Refused("not-confirmed", "Nothing was destroyed.", "Say which with --plan.")
        question = f"Destroy these {count(len(doomed), 'snapshot')} of {meant.name}?"
        if not click.confirm(question, default=False):
            raise Refused("not-confirmed", "Nothing was destroyed.")
    outcomes = perform_removal(doomed, lambda: _look(node, meant, find_readers(node)))
    if as_json:
        click.echo(render_json(describe_outcomes(meant.name, outcomes)))
        return
    for line in render_outcomes(meant.name, outcomes):
        click.echo(line)


def choose_doomed(seen: Looked, digest: str | None) -> tuple[Snapshot, ...]:
    """What goes: all that goes now, or exactly what the plan with this digest named.

    Ticks go on while a person reads, so the plan may be of some snapshots ago. Errors:
    Refused(other-plan).
    """
    if digest is None or digest == seen.removal.digest:
        return _going(seen)
    now = {s.guid for s in _going(seen)}
    snapshots = seen.history.snapshots
    for cut in range(1, min(AGO, len(snapshots))):
        before = History(snapshots[:-cut], seen.history.bookmarks)
        then = judge_look(seen.meant, before, seen.pins, float("inf"), seen.around)
        if then.removal.digest == digest:
            return tuple(s for s in _going(then) if s.guid in now)
    raise Refused(
        "other-plan",
        f"{digest} is not the plan for {seen.meant.name} any more; nothing was destroyed.",
        f"Look again: zr retention plan {seen.meant.name}",
    )


def perform_removal(
    doomed: tuple[Snapshot, ...], look_again: Callable[[], Looked]
) -> list[Outcome]:
    """Destroy what is still doomed in a fresh look, and say what became of each. What ZFS refuses
    is looked at once more, for ZFS does not say whose hold or clone it is. Errors: those of ZFS."""
    fresh = look_again()
    still = {s.guid for s in _going(fresh)}
    going = tuple(s for s in doomed if s.guid in still)
    doom = Doom(going, fresh.history, frozenset(fresh.pins))
    name = fresh.meant.name
    pruned = run(prune({name: doom}), {"ZfsPort": CommandZfs()})
    refused = {o.name: o.cause for o in pruned.outcomes if not o.destroyed}
    gone = {o.name for o in pruned.outcomes if o.destroyed}
    after = look_again() if refused else fresh
    verdicts = {v.snapshot.guid: v for v in after.verdicts}
    outcomes = []
    for snapshot in doomed:
        whole, verdict = join_snapshot(name, snapshot.name), verdicts.get(snapshot.guid)
        if whole in gone:
            outcomes.append(Outcome(whole, DESTROYED))
        elif verdict is None:
            outcomes.append(Outcome(whole, GONE))
        else:
            why = "; ".join(verdict.reasons) if verdict.keep else refused.get(whole, CHANGED)
            outcomes.append(Outcome(whole, STAYS, why))
    return outcomes


def _going(seen: Looked) -> tuple[Snapshot, ...]:
    return tuple(v.snapshot for v in (*seen.removal.doomed, *seen.removal.withheld))


def _look(node: NodeConfig, meant: Meant, readers: Mapping[int, str]) -> Looked:
    return look(meant, find_peers(node), readers, MachineClock().now())


def _judge_again(seen: Looked, meant: Meant) -> Looked:
    return judge_look(meant, seen.history, seen.pins, MachineClock().now(), seen.around)
