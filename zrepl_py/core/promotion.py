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
from zrepl_py.core.wording import count, render_size, render_span
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
            "names-too-long",
            "A member of {group} has so long a name on {here} that it could not be set aside.",
            "Rename it: below POOL/zr-rescue/LABEL it must leave room for a snapshot's name.",
        ),
        Refusal(
            "nothing-whole",
            "{here} has no tick of {group} as a whole.",
            "Start {peer}, and let the first copy finish.",
            kind=Standing,
        ),
    )
}


NOT_FOUNDER = Refusal(
    "wrong-node",
    "{peer} has the data of {group}, and {here} keeps the copy: it cannot be the first primary.",
    "Type it on {peer}. To let {here} serve, after that: `zr switchover`.",
)
"""To Order.BEGIN: it would give the copy the group's first epoch, and close the original."""


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
    bound, silent, peer = report.bound_seconds, report.silent_seconds, report.peer
    lasted = "" if bound is None else f"at most {render_span(bound)}"
    if lasted and silent is not None:
        lasted += f", of which {peer} has been silent for {render_span(silent)}"
    within = f" ({lasted})" if lasted else ""
    yield f"Lost would be what was written on {peer} after {report.since}{within}."
    if silent is None:
        yield f"{peer} has said nothing since this node was started."
    if report.pending_count:
        were = "was" if report.pending_count == 1 else "were"
        yield f"It had {count(report.pending_count, 'file')} that {were} not here yet:"
        for pending in report.pending[:most]:
            yield f"  {pending.path} ({render_size(pending.size_bytes)})"
        if report.pending_count > min(most, len(report.pending)):
            yield f"  and {report.pending_count - min(most, len(report.pending))} more"
        yield "Files that were open then are not named."
    else:
        yield "Which files that concerns is not known here."
    for member in report.ahead:
        yield f"{member} has later snapshots than the others; they are kept as a rescue."
    if report.uncovered:
        yield "Kept as a rescue, and not served, though it has receipts:"
        yield from (f"  receipt {known}" for known in report.uncovered)
    else:
        yield "Everything that has a receipt is here."
