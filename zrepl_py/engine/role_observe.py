"""What is so, on both nodes, for one decision about roles? Looks, and notes what epoch it is told.

The other node's word is asked for in every look and is kept for none. What could not be found out
is said with the word for that (silent, unjudged, None), which never gives a right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from zrepl_py.core.diff import newest_own
from zrepl_py.core.handshake import Finding, GroupWord, MemberWord, judge_group
from zrepl_py.core.lineage import recall
from zrepl_py.core.rejoin import is_whole
from zrepl_py.core.remember import hear_epoch
from zrepl_py.core.role_moves import SERVING
from zrepl_py.core.role_words import RoleWord, check_word
from zrepl_py.core.siteview import find_whole_tick, hear, judge_fit
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.engine.role_node import RoleNode, keep, say
from zrepl_py.engine.role_tree import (
    Trees,
    aligned_bases,
    find_common,
    is_volume,
    observe_trees,
    view_rescue,
)
from zrepl_py.errors import Corrupt, Passing, Standing
from zrepl_py.model.history import EMPTY, History
from zrepl_py.model.host import VolumeSeen
from zrepl_py.model.properties import CLONED_PROPERTY, count_own
from zrepl_py.model.roles import Claim, Fit, Order, Record, SiteView, State, Verdict
from zrepl_py.model.site import Manifest
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.authority import AuthorityPort
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.rolepeer import RolePeerPort
from zrepl_py.ports.zfs import ZfsPort

USABLE_HEALTH = ("ONLINE", "DEGRADED")
SILENT_SECONDS = 15.0
"""Of a node that does not answer: from one question to the next, while this one is opening."""
AGAIN_SECONDS = 2.0
"""What was seen of this node's own pools is good for so long, where nothing was done to them."""
RESTS = "rest"
"""The name of a turn in which nothing was to be done."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at both nodes."""

    now: float
    monotonic: float
    """When it began."""
    usable: bool
    """The pool."""
    trees: Trees
    theirs: RoleWord | None
    """The other node's word of this look; None: it is silent."""
    findings: tuple[Finding, ...]
    """Of the handshake, worst first; empty where there was none."""
    common: Mapping[str, int | None]
    """Member → guid of the newest version that both have; of no use where it is silent."""
    words: Mapping[str, MemberWord]
    """Of the members, as this look saw them."""
    whole: Manifest | None
    """The newest tick that is here as a whole."""
    leads: bool
    """This node's own epoch is the newest: what was written here since is no tail."""
    view: SiteView
    """Without `progress`: what the state's own procedure says."""

    def theirs_has(self) -> dict[str, frozenset[int]]:
        """Member → guids that the other node's pool shows."""
        members = self.theirs.group.members if self.theirs else {}
        return {m: frozenset(s.guid for s in word.history.snapshots) for m, word in members.items()}


def observe_site(
    node: RoleNode, *, glance: bool = False, ask_peer: bool = True, again: Look | None = None
) -> Engine[Look]:
    """All that core/roles.decide needs. `glance`: less is looked at, and what such a look says is
    good for one thing only: that there is nothing to do. `ask_peer`: False where it was silent a
    moment ago. `again`: the look of a moment ago, since when nothing but the role changed: only the
    other node is asked anew. Errors: those of the ports but of the other node and the pool: then
    nothing was seen, and nothing follows."""
    now = yield from ask(ClockPort.now)
    monotonic = yield from ask(ClockPort.monotonic)
    # A primary hears first, and then looks: so its standby has nothing that it has not, also where
    # a stream comes in between. Everybody else looks first: what it has is older than the word.
    hears_first = ask_peer and node.looked and node.state in SERVING
    theirs = (yield from _ask_peer(node, now, monotonic)) if hears_first else None
    if again is not None and monotonic - again.monotonic <= AGAIN_SECONDS:
        usable, trees, monotonic = again.usable, again.trees, again.monotonic
    else:
        usable = yield from _is_usable(node)
        trees = (yield from observe_trees(node, now, glance=glance)) if usable else Trees()
        node.writable = (yield from observe_writable(node, trees)) if usable else None
    words = {m: MemberWord(h, None, _is_raw(node, trees, m)) for m, h in _places(node, trees)}
    if not node.looked:
        node.words, node.looked = words, True
    if ask_peer and not hears_first:
        theirs = yield from _ask_peer(node, now, monotonic)
    common = find_common(node, trees, _histories(theirs))
    claim, findings = Claim.SILENT, tuple[Finding, ...]()
    # What the other node asks for meanwhile is answered with the words of the last look.
    leads = _leads(node, theirs)
    if usable and not leads:
        words = yield from _measure(node, trees, words, common, glance=glance)
    # A pool that cannot be looked at is no word that the members are gone; nor does a glance that
    # did not find out what was written make the whole look of before it unsaid.
    if usable and (leads or not glance or is_measured(words, common)):
        node.words = words
    if theirs is not None:
        node.rescuing = _is_rescuing(node, trees, common, theirs.group)
        findings = judge_group(say(node).group, theirs.group)
        have = {m: {s.guid for s in h.snapshots} for m, h in _places(node, trees)}
        claim = hear(theirs.said, node.group.here.uuid, have)
    whole, fit = _judge_own(node, trees, usable, now, monotonic)
    authority = yield from ask(AuthorityPort.answer, node.order)
    view = SiteView(
        node.state, recall(node.memory), node.proved, fit, claim=claim,
        verdict=findings[0].verdict if findings else Verdict.UNJUDGED,
        authority=authority, order=node.order,
    )  # fmt: skip
    return Look(now, monotonic, usable, trees, theirs, findings, common, words, whole, leads, view)


def is_measured(words: Mapping[str, MemberWord], common: Mapping[str, int | None]) -> bool:
    """It is known of each member that both have what was written since."""
    both = (words[m] for m, base in common.items() if base is not None and m in words)
    return all(word.written_bytes is not None for word in both)


def _is_usable(node: RoleNode) -> Engine[bool]:
    try:
        pool = yield from ask(ZfsPort.observe_pool, node.group.pool)
    except (Standing, Passing) as error:
        if error.reason not in ("pool-missing", "pool-suspended"):
            raise
        return False
    return pool.health in USABLE_HEALTH


def _is_raw(node: RoleNode, trees: Trees, member: str) -> bool:
    """What is encrypted is always sent raw."""
    dataset = trees.seen[node.group.members[member]].dataset
    return member in node.group.raw or dataset.encryption_root is not None


def _places(node: RoleNode, trees: Trees) -> list[tuple[str, History]]:
    """Members that stand where they belong."""
    members = node.group.members.items()
    return [(m, trees.history(name)) for m, name in members if name in trees.seen]


def _histories(theirs: RoleWord | None) -> dict[str, History]:
    return {m: w.history for m, w in theirs.group.members.items()} if theirs else {}


def observe_writable(node: RoleNode, trees: Trees) -> Engine[bool]:
    """Whether anything could write: True but where the kernel shows that nothing can."""
    datasets = trees.closable(node)
    used = yield from ask(HostPort.observe_objsets, node.group.pool)
    if any(d.name in used and not is_volume(d) for d in datasets):
        return True
    volumes = yield from observe_volumes(datasets)
    return any(not v.readonly or v.claimed or v.above for v in volumes)


def observe_volumes(datasets: Sequence[TreeDataset]) -> Engine[list[VolumeSeen]]:
    """Those among them that are volumes, and have a device."""
    names = [d.name for d in datasets if is_volume(d)]
    return (yield from ask(HostPort.observe_volumes, names)) if names else []


def _ask_peer(node: RoleNode, now: float, monotonic: float) -> Engine[RoleWord | None]:
    """Its word; what epoch it told is durable before anything follows from it."""
    if _is_silent(node, monotonic):
        return None
    try:
        theirs = check_word((yield from ask(RolePeerPort.exchange, say(node))))
    except Passing:
        node.silent_at = monotonic
        return None
    node.silent_at = None
    if theirs.group.node != node.group.peer.uuid:
        raise Corrupt("malformed", "The other node speaks of its roles under another node's name.")
    if theirs.group.group == node.group.uuid and theirs.group.lineage:
        memory = hear_epoch(node.memory, theirs.group.lineage[-1].epoch)
        yield from keep(node, memory, node.proved, now)
    return theirs


def _is_silent(node: RoleNode, monotonic: float) -> bool:
    """Whether the other node need not be asked now: it was silent a moment ago, and this one is in
    the middle of opening, which no word of the other one's could further."""
    opening = node.state is State.PROMOTING or (
        node.state is State.PRIMARY_ALONE and node.repeated != RESTS
    )
    if not opening or node.order is not Order.NONE or node.silent_at is None:
        return False
    return monotonic - node.silent_at < SILENT_SECONDS


def _leads(node: RoleNode, theirs: RoleWord | None) -> bool:
    """Within one epoch only what was written on the standby counts: the primary spares the look."""
    head = node.memory.head
    same = theirs is not None and theirs.group.lineage == node.memory.lineage
    return same and head is not None and head.node == node.memory.node


def _measure(
    node: RoleNode,
    trees: Trees,
    words: Mapping[str, MemberWord],
    common: Mapping[str, int | None],
    *,
    glance: bool,
) -> Engine[dict[str, MemberWord]]:
    """With what was written here since the last version that both have. A standby's are all
    its primary's, also one that came after the primary's word of now was put together: so there
    it is the newest that counts, and one that is not the primary's, the histories show."""
    since = {m: base for m in words if (base := common[m]) is not None}
    if recall(node.memory) is Record.STANDBY:
        newest = {m: newest_own(word.history) for m, word in words.items()}
        since |= {m: snapshot.guid for m, snapshot in newest.items() if snapshot is not None}
    if glance:
        written = {m: _glance_written(trees, node.group.members[m], since[m]) for m in since}
    else:
        written = yield from _measure_written(node, words, since)
    return {m: replace(word, written_bytes=written.get(m)) for m, word in words.items()}


def _glance_written(trees: Trees, name: str, base: int) -> int | None:
    """Nothing, where the list of datasets says so. Where the newest is not the common one, or there
    is something, it is not known: a stream may have come between the list and the history."""
    sight = trees.seen[name]
    newest, size = sight.history.newest, sight.dataset.written_bytes
    if newest is None or newest.guid != base or size is None:
        return None
    return 0 if count_own(size, sight.dataset.local.get(CLONED_PROPERTY, ""), base) == 0 else None


def _measure_written(
    node: RoleNode, words: Mapping[str, MemberWord], bases: Mapping[str, int]
) -> Engine[dict[str, int | None]]:
    """Since `bases`, by anybody but a stream that came since the members were looked at. ZFS
    commits a stream only where nothing was written before it, so what follows the stream is all."""
    places = node.group.members
    found: dict[str, int | None] = {}
    histories = {m: words[m].history for m in bases}
    todo = dict(bases)
    while todo:
        asked = {places[m]: guid for m, guid in todo.items()}
        written = yield from ask(DatasetPort.observe_written, asked)
        found |= {m: written[places[m]] for m in todo}
        dirty = [m for m in todo if found[m]]
        fresh = yield from _observe_fresh([places[m] for m in dirty])
        todo = {}
        for member in dirty:
            history = fresh.get(places[member], EMPTY)
            landed = newest_own(history)
            if landed is not None and landed != newest_own(histories[member]):
                histories[member], todo[member] = history, landed.guid
    return found


def _observe_fresh(names: Sequence[str]) -> Engine[Mapping[str, History]]:
    return (yield from ask(DatasetPort.observe_histories, names)) if names else {}


def _is_rescuing(
    node: RoleNode, trees: Trees, common: Mapping[str, int | None], theirs: GroupWord
) -> bool:
    if not trees.labels:
        return False
    bases = aligned_bases(node, trees) if recall(node.memory) is Record.PROMOTING else common
    return not is_whole(view_rescue(node, trees, bases, theirs.members.keys(), None))


def _judge_own(
    node: RoleNode, trees: Trees, usable: bool, now: float, monotonic: float
) -> tuple[Manifest | None, Fit]:
    """The newest whole tick, and whether this node's copy can serve."""
    have = {m: {s.guid for s in h.snapshots} for m, h in trees.reachable(node).items()}
    whole = find_whole_tick(node.manifests, have)
    lag = None
    if whole is not None:
        last = node.hear_last(monotonic)
        told = now if last is None else last.at + last.silent_seconds
        lag = max(0.0, told - whole.at)
    # Between two places in the middle of a rescue a member is not missing.
    gone = len(have) < len(node.group.members)
    serves = recall(node.memory) in (Record.PRIMARY, Record.PROMOTING)
    sound = usable and not (serves and gone)
    return whole, judge_fit(sound, whole, lag, node.group.max_lag_seconds)
