"""Do two nodes fit together, and which of them has to come after the other? Pure.

The rules H1 to H10, for each dataset; the verdict of a group is the worst of its members'. All of
it from the point of view of one node ("mine"); the other one comes to the mirrored verdict.

Invariants:
- A longer lineage counts even where nothing else fits: whoever was overtaken stops.
- What was not measured counts as written; what cannot be compared is never called the same.
- Nothing here proposes to force, to roll back, or to destroy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zrepl_py.core.diff import Agreement, diff
from zrepl_py.core.lineage import Relation, compare
from zrepl_py.model.history import EMPTY, History
from zrepl_py.model.lineage import Lineage
from zrepl_py.model.plan import Covered, Diverged, NothingToSend, TargetAhead
from zrepl_py.model.roles import Verdict


@dataclass(frozen=True, slots=True)
class MemberWord:
    """What one side has of one member."""

    history: History = EMPTY
    written_bytes: int | None = None
    """Written there since the last version that both have, zr's own marker not counted. None: not
    measured, or not measurable."""
    raw: bool = False
    """Its lane's streams are raw: the same in both directions, for ever."""


@dataclass(frozen=True, slots=True)
class GroupWord:
    """What one side says of a group."""

    node: str
    group: str
    lineage: Lineage = ()
    founder: str = ""
    """uuid of the node that is primary of a group without a lineage: the policy's source."""
    authority: str = "manual"
    stream_flags: frozenset[str] = frozenset()
    members: Mapping[str, MemberWord] = field(default_factory=dict)
    rescuing: bool = False
    """A rescue was begun here and is not whole: core/rejoin.py has a step left. Members may be
    under no name for the moment, so their histories prove nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that holds, what follows, and for which member (empty: for the group)."""

    verdict: Verdict
    rule: str
    member: str
    sentence: str


_SEVERITY = list(Verdict)
"""Worst first: the order in which they are written down in model/roles.py."""


def judge_group(mine: GroupWord, theirs: GroupWord) -> tuple[Finding, ...]:
    """All findings, worst first; the first one's verdict is the group's. Never empty."""
    if mine.group != theirs.group:
        return (Finding(Verdict.REFUSED, "H1", "", "The other node's group is another one."),)
    relation = compare(mine.lineage, theirs.lineage)
    if relation is Relation.UNRELATED:
        return (Finding(Verdict.UNRELATED, "H9", "", "The two have no epoch in common."),)
    found = [*_judge_contract(mine, theirs, relation), *_judge_rescue(mine, theirs, relation)]
    if relation is Relation.FORKED:
        found.append(_judge_fork(mine, theirs))
    else:
        names = sorted(mine.members.keys() | theirs.members.keys())
        found += (_judge_member(n, mine, theirs, relation) for n in names)
    if not found:
        found.append(Finding(_nothing_own(relation), "H2", "", "There is no member yet."))
    return tuple(sorted(found, key=lambda f: (_SEVERITY.index(f.verdict), f.member)))


def _nothing_own(relation: Relation) -> Verdict:
    """The verdict where there is nothing of one's own."""
    return {
        Relation.EQUAL: Verdict.SYNC,
        Relation.MINE_IS_PREFIX: Verdict.FORWARD,
        Relation.THEIRS_IS_PREFIX: Verdict.PEER_YIELDS,
    }[relation]


def _judge_contract(mine: GroupWord, theirs: GroupWord, relation: Relation) -> list[Finding]:
    """H10: a difference refuses streams, but hides neither a longer lineage nor a fork."""
    if relation in (Relation.MINE_IS_PREFIX, Relation.FORKED):
        return []
    unlike = []
    if mine.authority != theirs.authority:
        unlike.append(f"the authority ({mine.authority} here, {theirs.authority[:40]} there)")
    if mine.stream_flags != theirs.stream_flags:
        unlike.append("the flags of streams")
    for name in sorted(mine.members.keys() & theirs.members.keys()):
        if mine.members[name].raw != theirs.members[name].raw:
            unlike.append(f"whether {name} is sent raw")
    return [
        Finding(Verdict.REFUSED, "H10", "", f"The two nodes differ in {what}.") for what in unlike
    ]


def _judge_rescue(mine: GroupWord, theirs: GroupWord, relation: Relation) -> list[Finding]:
    """A rescue that was begun is finished before anything else."""
    if mine.rescuing and relation is Relation.MINE_IS_PREFIX:
        return [Finding(Verdict.RETURNING, "H6", "", "A rescue was begun here, and is not whole.")]
    if relation is Relation.EQUAL and not _sends(mine) and mine.rescuing:
        return [Finding(Verdict.WRITTEN, "H4", "", "A rescue was begun here, and is not whole.")]
    if relation is Relation.EQUAL and _sends(mine) and theirs.rescuing:
        return [Finding(Verdict.PEER_YIELDS, "H4", "", "The standby is finishing a rescue.")]
    return []


def _sends(mine: GroupWord) -> bool:
    """Whether this node is the source, within one epoch: its primary is."""
    return (mine.lineage[-1].node if mine.lineage else mine.founder) == mine.node


def _judge_fork(mine: GroupWord, theirs: GroupWord) -> Finding:
    """H8, for the group as a whole. No rule chooses, also where one side wrote nothing: it has seen
    an epoch that the other lineage does not have, and may not go back behind it. A person's choice
    makes a new epoch above both."""
    here, there = _wrote(mine), _wrote(theirs)
    after = "Both may have been written to since."
    if here is False:
        after = "This one was not written to since: keeping the other one loses nothing."
    elif there is False:
        after = "The other one was not written to since: keeping this one loses nothing."
    return Finding(Verdict.SPLIT, "H8", "", f"Both were promoted from the same epoch. {after}")


def _wrote(word: GroupWord) -> bool | None:
    """Whether anything was written on one side since the fork; None where it is not known."""
    written = [member.written_bytes for member in word.members.values()]
    if any(written):
        return True
    return None if None in written else False


def _judge_member(name: str, mine: GroupWord, theirs: GroupWord, relation: Relation) -> Finding:
    here, there = mine.members.get(name), theirs.members.get(name)
    if relation is Relation.EQUAL:
        return _judge_equal(name, mine, theirs)
    if relation is Relation.THEIRS_IS_PREFIX:
        own, rule = _has_own(there, here)
        sentence = f"{name}: the other node has not taken part in the newest epoch yet."
        return Finding(Verdict.PEER_YIELDS, "H7", name, f"{sentence} {rule}: {own}")
    own, rule = _has_own(here, there)
    verdict = Verdict.FORWARD if rule == "H5" else Verdict.RETURNING
    return Finding(verdict, rule, name, f"{name}: {own}")


def _has_own(old: MemberWord | None, new: MemberWord | None) -> tuple[str, str]:
    """What the side with the shorter lineage has that the other has not: (sentence, rule)."""
    if old is None or (old.history.newest is None and old.written_bytes == 0):
        return "there is nothing yet, a whole stream goes.", "H5"
    if new is None:
        return "only the old primary has it; it is kept as a rescue.", "H6"
    agreement = diff(new.history, old.history, raw=old.raw)
    if not isinstance(agreement, Agreement | NothingToSend | TargetAhead | Diverged | Covered):
        return "nothing is common; it is kept as a rescue, and goes whole.", "H9"
    if not isinstance(agreement, Agreement):
        return "it has snapshots that the new primary has not; they are kept as a rescue.", "H6"
    if old.written_bytes != 0:
        return "it was, or may have been, written to after the last common snapshot.", "H6"
    return "it has nothing of its own, an increment fits.", "H5"


def _judge_equal(name: str, mine: GroupWord, theirs: GroupWord) -> Finding:
    """H2, H3, H4, H9: within one epoch, its primary is the source."""
    sends = _sends(mine)
    source, replica = (mine, theirs) if sends else (theirs, mine)
    here, there = source.members.get(name), replica.members.get(name)
    if here is None or there is None:
        return Finding(Verdict.SYNC, "H3", name, f"{name}: one side has it, and the other not yet.")
    agreement = diff(here.history, there.history, raw=here.raw)
    match agreement:
        case Agreement() | NothingToSend():
            pass
        case TargetAhead() | Diverged() | Covered():
            return Finding(
                Verdict.REFUSED,
                "H3",
                name,
                f"{name}: the standby has snapshots that its primary has not, in the same epoch.",
            )
        case _:
            return Finding(Verdict.UNRELATED, "H9", name, f"{name}: no snapshot is common.")
    if there.history.newest is not None and there.written_bytes != 0:
        if there.written_bytes is None:
            return Finding(
                Verdict.UNJUDGED, "H4", name, f"{name}: whether the standby was written to is "
                "not known yet.",
            )  # fmt: skip
        sentence = f"{name}: somebody wrote to the standby."
        verdict = Verdict.PEER_YIELDS if sends else Verdict.WRITTEN
        return Finding(verdict, "H4", name, sentence)
    same = isinstance(agreement, Agreement) and not agreement.pending
    rule, sentence = ("H2", "both are the same") if same else ("H3", "an increment fits")
    return Finding(Verdict.SYNC, rule, name, f"{name}: {sentence}.")
