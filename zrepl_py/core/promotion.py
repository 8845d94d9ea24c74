"""What would be lost if this standby were promoted now, and did a person state just that? Pure.

Everything comes from what this node has: its pool, its journal, the last words that it was told.
The bound is a moment, not a duration: all that was written after it may be lost. It does not grow
while the report is read, no other promotion has it, and it is a part of the command: so a command
out of an old note is refused.

Must never call anything contained that this node's pool does not show.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from zrepl_py.core.siteview import find_whole_tick
from zrepl_py.errors import Standing
from zrepl_py.model.history import EMPTY, History
from zrepl_py.model.names import TickName, parse_epoch, parse_tick
from zrepl_py.model.receipt import Receipt
from zrepl_py.model.roles import Refusal
from zrepl_py.model.site import Manifest

ASIDE = "--receipts-into-rescue"
MOST_PENDING = 1000
"""Names that a heartbeat carries; of more there is only the count."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that was closed on the primary, and is not in a tick that is here."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LastWord:
    """The last heartbeat of the primary."""

    at: int
    """By the primary's clock."""
    silent_seconds: float
    """Since it was heard, by this node's own clock: the two clocks are never compared."""
    pending: tuple[Pending, ...] = ()
    pending_count: int = 0


@dataclass(frozen=True, slots=True)
class LossReport:
    """What `zr promote` shows before anything is paid."""

    group: str
    here: str
    peer: str
    tick: Manifest | None
    """The newest tick that is here as a whole; None: there is none."""
    since: str
    """Its moment, UTC: the bound. Empty without a tick."""
    bound_seconds: int | None
    """From then until now at most; None: not known."""
    silent_seconds: int | None
    pending: tuple[Pending, ...]
    pending_count: int
    ahead: tuple[str, ...]
    """Members that have later snapshots already: those are set aside, not promoted."""
    newer_ticks: int
    """Ticks that this node was told of, and of which something is missing."""
    uncovered: tuple[str, ...]
    """Receipts of which something is not in that tick, because another member of the group has not
    come as far: it would be kept as a rescue on this node, and not be served."""
    command: str
    """What a person types who accepts all this; empty without a tick."""


def report_loss(
    names: tuple[str, str, str],
    manifests: Collection[Manifest],
    histories: Mapping[str, History],
    receipts: Mapping[str, Receipt],
    last: LastWord | None,
) -> LossReport:
    """`names`: group, this node, the other one. `histories`: member → what this node's pool has,
    members by their names in the manifests. `receipts`: id → what was confirmed by this node."""
    group, here, peer = names
    have = {member: {s.guid for s in history.snapshots} for member, history in histories.items()}
    tick = find_whole_tick(manifests, have)
    if tick is None:
        return LossReport(group, here, peer, None, "", None, _silent(last), *_pending(last), (),
                          len(manifests), tuple(sorted(receipts)), "")  # fmt: skip
    uncovered = find_uncovered(tick, histories, receipts)
    bound = None if last is None else ceil(max(0, last.at - tick.at) + last.silent_seconds)
    since = render_moment(tick.at)
    return LossReport(
        group, here, peer, tick, since, bound, _silent(last), *_pending(last),
        ahead=tuple(m for m in sorted(tick.members) if _is_ahead(tick, m, histories)),
        newer_ticks=sum(_order(m) > _order(tick) for m in manifests),
        uncovered=uncovered,
        command=render_command(group, here, peer, since) + (f" {ASIDE}" if uncovered else ""),
    )  # fmt: skip


def render_command(group: str, here: str, peer: str, since: str) -> str:
    """The literal command: group, node, what is fenced, and the bound are parts of it."""
    return f"zr promote {group} --on {here} --force --i-fenced {peer} --accept-loss {since}"


def render_moment(at: int) -> str:
    """`2026-11-21T09:14:23Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person has typed."""

    group: str
    on: str
    fenced: str
    accepted: str
    receipts_aside: bool = False
    """With `--receipts-into-rescue`."""


STATEMENT_REFUSALS = {
    refusal.reason: refusal
    for refusal in (
        Refusal(
            "wrong-node",
            "The command is meant for another node or group than this one ({here}, {group}).",
            "Type it on the node that it names; `zr promote` there prints it.",
        ),
        Refusal(
            "wrong-peer",
            "The command says that another node than {peer} is fenced.",
            "It is {peer} that must not write any more: switch it off, and name it.",
        ),
        Refusal(
            "loss-bound-stale",
            "The bound in the command is not the one of now: {here} has another newest whole tick.",
            "Read the report again; the command below it has the right bound.",
        ),
        Refusal(
            "receipts-not-covered",
            "Something that {here} has confirmed by a receipt is not in its newest whole tick.",
            f"The report names it; the command below it has `{ASIDE}`.",
            "It is kept as a rescue on {here}, and is not served until a person copies it.",
        ),
        Refusal(
            "nothing-whole",
            "{here} has no tick of {group} as a whole.",
            "Start {peer}, and let the first copy finish.",
            kind=Standing,
        ),
    )
}


def judge_statement(said: Statement, report: LossReport) -> Refusal | None:
    """Why the order is not given, or None: then it is Order.FORCE."""
    if (said.on, said.group) != (report.here, report.group):
        return STATEMENT_REFUSALS["wrong-node"]
    if said.fenced != report.peer:
        return STATEMENT_REFUSALS["wrong-peer"]
    if report.tick is None:
        return STATEMENT_REFUSALS["nothing-whole"]
    if report.uncovered and not said.receipts_aside:
        return STATEMENT_REFUSALS["receipts-not-covered"]
    return None if said.accepted == report.since else STATEMENT_REFUSALS["loss-bound-stale"]


def find_uncovered(
    tick: Manifest, histories: Mapping[str, History], receipts: Mapping[str, Receipt]
) -> tuple[str, ...]:
    """ids of receipts of which something is not in `tick` as this node has it."""
    return tuple(
        sorted(
            known
            for known, receipt in receipts.items()
            for held in receipt.holdings
            if held.dataset in tick.members
            and not _covers(tick, histories.get(held.dataset, EMPTY), held.dataset, held.guid,
                            parse_tick(held.name))
        )
    )  # fmt: skip


def _covers(
    tick: Manifest, history: History, member: str, guid: int, name: TickName | None
) -> bool:
    presented = history.snapshot(tick.members[member])
    if presented is None:
        return False
    held = history.snapshot(guid)
    if held is not None:
        return held.createtxg <= presented.createtxg
    # Retention has destroyed it here since: then its place in the order is known by its name.
    return name is not None and (name.epoch.n, name.seq) <= _order(tick)


def _is_ahead(tick: Manifest, member: str, histories: Mapping[str, History]) -> bool:
    history = histories.get(member, EMPTY)
    return history.newest is not None and history.newest.guid != tick.members[member]


def _order(manifest: Manifest) -> tuple[int, int]:
    return parse_epoch(manifest.epoch).n, manifest.seq


def _silent(last: LastWord | None) -> int | None:
    return None if last is None else ceil(last.silent_seconds)


def _pending(last: LastWord | None) -> tuple[tuple[Pending, ...], int]:
    return (last.pending[:MOST_PENDING], last.pending_count) if last else ((), 0)


def render_report(report: LossReport, most: int = 20) -> Iterable[str]:
    """The report as lines, the bound first."""
    if report.tick is None:
        yield f"{report.here} has no tick of {report.group} as a whole: it cannot be promoted."
        return
    lasted = "" if report.bound_seconds is None else f" (at most {report.bound_seconds} seconds)"
    yield f"Lost would be what was written on {report.peer} after {report.since}{lasted}."
    if report.silent_seconds is None:
        yield f"{report.peer} has said nothing since this node was started."
    else:
        yield f"{report.peer} was heard last {report.silent_seconds} seconds ago."
    if report.pending_count:
        yield f"It had {report.pending_count} files that were not here yet:"
        for pending in report.pending[:most]:
            yield f"  {pending.path} ({pending.size_bytes} bytes)"
        if report.pending_count > min(most, len(report.pending)):
            yield f"  and {report.pending_count - min(most, len(report.pending))} more"
    else:
        yield "It had named no file that was not here yet; open files are never named."
    for member in report.ahead:
        yield f"{member} has later snapshots than the others; they are kept as a rescue."
    if report.uncovered:
        yield "Kept as a rescue, and not served, though it has receipts:"
        yield from (f"  receipt {known}" for known in report.uncovered)
    else:
        yield "Everything that has a receipt is here."
