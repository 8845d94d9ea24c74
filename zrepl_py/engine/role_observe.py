"""What is so, on both nodes, for one decision about roles? Looks, and notes what epoch it is told.

The other node's word is asked for in every look and is kept for none. What could not be found out
is said with the word for that (silent, unjudged, None), which never gives a right.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zrepl_py.core.diff import newest_own
from zrepl_py.core.handshake import Finding, GroupWord, MemberWord, judge_group
from zrepl_py.core.lineage import recall
from zrepl_py.core.rejoin import is_whole
from zrepl_py.core.remember import hear_epoch
from zrepl_py.core.role_words import RoleWord, check_word
from zrepl_py.core.siteview import find_whole_tick, hear, judge_fit
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode, keep, promised_bases, say
from zrepl_py.engine.role_tree import (
    Trees,
    find_common,
    is_volume,
    observe_rescue,
    observe_trees,
)
from zrepl_py.errors import Corrupt, Passing, Standing
from zrepl_py.model.history import History
from zrepl_py.model.roles import Claim, Fit, Record, SiteView, Verdict
from zrepl_py.model.site import Manifest
from zrepl_py.ports.authority import AuthorityPort
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.rolepeer import RolePeerPort
from zrepl_py.ports.zfs import ZfsPort

USABLE_HEALTH = ("ONLINE", "DEGRADED")


@dataclass(frozen=True, slots=True)
class Look:
    """One look at both nodes."""

    now: float
    monotonic: float
    trees: Trees
    theirs: RoleWord | None
    """The other node's word of this look; None: it is silent."""
    findings: tuple[Finding, ...]
    """Of the handshake, worst first; empty where there was none."""
    common: Mapping[str, int | None]
    """Member → guid of the newest version that both have; of no use where it is silent."""
    whole: Manifest | None
    """The newest tick that is here as a whole."""
    view: SiteView
    """Without `progress`: what the state's own procedure says."""

    def theirs_has(self) -> dict[str, frozenset[int]]:
        """Member → guids that the other node's pool shows."""
        members = self.theirs.group.members if self.theirs else {}
        return {m: frozenset(s.guid for s in word.history.snapshots) for m, word in members.items()}


def observe_site(node: RoleNode) -> Engine[Look]:
    """All that core/roles.decide needs. Errors: those of the ports but of the other node and the
    pool: then nothing was seen, and nothing follows."""
    now = yield from ask(ClockPort.now)
    usable = yield from _is_usable(node)
    trees = (yield from observe_trees(node)) if usable else Trees()
    node.writable = (yield from observe_writable(node, trees)) if usable else None
    words = {m: MemberWord(h, None, m in node.group.raw) for m, h in _places(node, trees)}
    if not node.looked:
        node.words, node.looked = words, True
    theirs = yield from _ask_peer(node, now)
    common = find_common(node, trees, _histories(theirs))
    claim, findings = Claim.SILENT, tuple[Finding, ...]()
    # What the other node asks for meanwhile is answered with the words of the last look.
    if usable:  # a pool that cannot be looked at is no word that the members are gone
        node.words = words if _leads(node, theirs) else (yield from _measure(node, words, common))
    if theirs is not None:
        node.rescuing = yield from _is_rescuing(node, trees, common, theirs.group)
        findings = judge_group(say(node).group, theirs.group)
        have = {m: {s.guid for s in h.snapshots} for m, h in _places(node, trees)}
        claim = hear(theirs.said, node.group.here.uuid, have)
    monotonic = yield from ask(ClockPort.monotonic)
    whole, fit = _judge_own(node, trees, usable, now, monotonic)
    authority = yield from ask(AuthorityPort.answer, node.order)
    view = SiteView(
        node.state, recall(node.memory), node.proved, fit, claim=claim,
        verdict=findings[0].verdict if findings else Verdict.UNJUDGED,
        authority=authority, order=node.order,
    )  # fmt: skip
    return Look(now, monotonic, trees, theirs, findings, common, whole, view)


def _is_usable(node: RoleNode) -> Engine[bool]:
    try:
        pool = yield from ask(ZfsPort.observe_pool, node.group.pool)
    except (Standing, Passing) as error:
        if error.reason not in ("pool-missing", "pool-suspended"):
            raise
        return False
    return pool.health in USABLE_HEALTH


def _places(node: RoleNode, trees: Trees) -> list[tuple[str, History]]:
    """Members that stand where they belong."""
    members = node.group.members.items()
    return [(m, trees.history(name)) for m, name in members if name in trees.seen]


def _histories(theirs: RoleWord | None) -> dict[str, History]:
    return {m: w.history for m, w in theirs.group.members.items()} if theirs else {}


def observe_writable(node: RoleNode, trees: Trees) -> Engine[bool]:
    """Whether anything could write: True but where the kernel shows that nothing can."""
    datasets = trees.closable(node)
    names = [d.name for d in datasets]
    used = yield from ask(HostPort.observe_objsets, node.group.pool)
    if any(d.name in used and not is_volume(d) for d in datasets):
        return True
    volumes = yield from ask(HostPort.observe_volumes, names)
    return any(not v.readonly or v.claimed or v.above for v in volumes)


def _ask_peer(node: RoleNode, now: float) -> Engine[RoleWord | None]:
    """Its word; what epoch it told is durable before anything follows from it."""
    try:
        theirs = check_word((yield from ask(RolePeerPort.exchange, say(node))))
    except Passing:
        return None
    if theirs.group.node != node.group.peer.uuid:
        raise Corrupt("malformed", "The other node speaks of its roles under another node's name.")
    if theirs.group.group == node.group.uuid and theirs.group.lineage:
        memory = hear_epoch(node.memory, theirs.group.lineage[-1].epoch)
        yield from keep(node, memory, node.proved, now)
    return theirs


def _leads(node: RoleNode, theirs: RoleWord | None) -> bool:
    """Within one epoch only what was written on the standby counts: the primary spares the look."""
    head = node.memory.head
    same = theirs is not None and theirs.group.lineage == node.memory.lineage
    return same and head is not None and head.node == node.memory.node


def _measure(
    node: RoleNode, words: Mapping[str, MemberWord], common: Mapping[str, int | None]
) -> Engine[dict[str, MemberWord]]:
    """With what was written here since the last version that both have."""
    measured = dict(words)
    for member, word in words.items():
        base = common[member]
        if base is not None:
            name = node.group.members[member]
            written = yield from _measure_written(name, word.history, base)
            measured[member] = replace(word, written_bytes=written)
    return measured


def _measure_written(name: str, history: History, base: int) -> Engine[int | None]:
    """Since `base`, by anybody but a stream that came since `history` was looked at. ZFS commits
    a stream only where nothing was written before it, so what follows the stream is all."""
    written = yield from ask(DatasetPort.observe_written, name, base)
    while written:
        fresh = yield from ask(ZfsPort.observe_history, name)
        landed = newest_own(fresh)
        if landed is None or landed == newest_own(history):
            break
        history = fresh
        written = yield from ask(DatasetPort.observe_written, name, landed.guid)
    return written


def _is_rescuing(
    node: RoleNode, trees: Trees, common: Mapping[str, int | None], theirs: GroupWord
) -> Engine[bool]:
    if not trees.labels:
        return False
    bases = promised_bases(node) if recall(node.memory) is Record.PROMOTING else common
    view = yield from observe_rescue(node, trees, bases, theirs.members.keys(), None)
    return not is_whole(view)


def _judge_own(
    node: RoleNode, trees: Trees, usable: bool, now: float, monotonic: float
) -> tuple[Manifest | None, Fit]:
    """The newest whole tick, and whether this node's copy can serve."""
    have = {m: {s.guid for s in h.snapshots} for m, h in _places(node, trees)}
    whole = find_whole_tick(node.manifests, have)
    lag = None
    if whole is not None:
        last = node.hear_last(monotonic)
        told = now if last is None else last.at + last.silent_seconds
        lag = max(0.0, told - whole.at)
    # Between two places in the middle of a rescue a member is not missing.
    gone = len(have) < len(node.group.members) and not trees.aside(node)
    serves = recall(node.memory) in (Record.PRIMARY, Record.PROMOTING)
    sound = usable and not (serves and gone)
    return whole, judge_fit(sound, whole, lag, node.group.max_lag_seconds)
