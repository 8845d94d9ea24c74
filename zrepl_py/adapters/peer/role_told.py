"""A node's word of its roles, as it goes over a connection: small, bounded before it is decoded.

A group's histories may be a hundred thousand versions, and are told every two seconds. So each
goes packed (about 50 bytes a version), and only where it is another one than this connection had
from the same side before: else there is its digest alone. What a digest stands for was told whole
over this very connection, so nothing older than the connection is ever believed.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from zrepl_py.adapters.peer.messages import clean_sentence
from zrepl_py.adapters.peer.role_trim import count_versions, share_version, too_many, trim_histories
from zrepl_py.core.handshake import MemberWord
from zrepl_py.core.role_words import MOST_MEMBERS, MOST_VERSIONS, RoleWord, check_word
from zrepl_py.errors import Bug, Corrupt, Refused
from zrepl_py.model.history import Bookmark, History, Snapshot
from zrepl_py.model.names import MAX_NAME_BYTES, Epoch, check_dataset_name, parse_epoch

MOST_KEPT = 1_000_000
"""Versions that one connection remembers of one side."""
MOST_TEXT = 4000
_NAMES = re.compile(r"[A-Za-z0-9_.: \n-]*\Z")
_GUID_END = 1 << 64
_GUID_CHARACTERS = 12
"""A version's part of a column, rounded up."""


@dataclass(frozen=True, slots=True)
class ToldHistory:
    """Columns: of the snapshots, oldest first, then of the bookmarks."""

    snapshots: int
    """How many of the versions are snapshots."""
    guids: str
    """Base64 of unsigned 64-bit numbers, big endian; so are the next two."""
    createtxgs: str
    created_at: str
    names: str
    """One per line."""


@dataclass(frozen=True, slots=True)
class ToldMember:
    """See core/handshake.MemberWord."""

    digest: str
    """sha256 of the packed history, hex."""
    history: ToldHistory | None
    """None: the one with this digest, told over this connection before."""
    written_bytes: int | None
    raw: bool
    trimmed: bool = False
    """Older versions were left out: see role_trim.py."""


@dataclass(frozen=True, slots=True)
class ToldWord:
    """See core/role_words.RoleWord; its members are beside it."""

    word: RoleWord
    members: dict[str, ToldMember]


class Teller:
    """What one side of one connection has told the other so far. Used by one thread at a time."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], str] = {}

    def tell(self, word: RoleWord, theirs: Mapping[str, History], *, asks: bool) -> ToldWord:
        """To be sent: what this returns counts as told. `theirs`: what the other side told of the
        same group; `asks`: this is no answer. Refused(message-too-large)."""
        members = {}
        histories = {name: member.history for name, member in word.group.members.items()}
        trimmed = trim_histories(histories, theirs, asks=asks)
        for name, member in word.group.members.items():
            packed = _pack(trimmed[name])
            key, digest = (word.group.group, name), _digest(packed)
            known = self._told.get(key) == digest
            self._told[key] = digest
            members[name] = ToldMember(
                digest,
                None if known else packed,
                member.written_bytes,
                member.raw,
                trimmed[name] != member.history,
            )
        outline = replace(word.group, members={})
        said = replace(word, group=outline, trouble=clean_sentence(word.trouble))
        return ToldWord(said, members)


class Listener:
    """The other end of a Teller."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, History]] = {}
        self._versions = 0

    def hear(self, told: ToldWord) -> RoleWord:
        """The word as it was said. Corrupt(malformed)."""
        group = told.word.group
        if group.members:
            raise _malformed("its members are in the wrong place")
        check_word(told.word)
        _check_texts(told.word)
        packed = [m.history for m in told.members.values() if m.history is not None]
        size = sum(len(history.guids) for history in packed)
        if len(told.members) > MOST_MEMBERS or size > MOST_VERSIONS * _GUID_CHARACTERS:
            raise _malformed("it is too large")
        members = {
            name: MemberWord(self._history(group.group, name, m), m.written_bytes, m.raw)
            for name, m in told.members.items()
        }
        return check_word(replace(told.word, group=replace(group, members=members)))

    def histories(self, group: str) -> dict[str, History]:
        """What was told last of each member."""
        return {name: h for (of, name), (_, h) in self._kept.items() if of == group}

    def _history(self, group: str, name: str, told: ToldMember) -> History:
        key = (group, name)
        if told.history is None:
            digest, history = self._kept.get(key, ("", None))
            if history is None or digest != told.digest:
                raise _malformed("it refers to what was never said")
            return history
        if _digest(told.history) != told.digest:
            raise _malformed("a digest is wrong")
        try:
            check_dataset_name(name)
            history = _unpack(told.history)
        except (Refused, Bug, ValueError, binascii.Error, struct.error):
            raise _malformed("a history cannot be") from None
        if key in self._kept:
            self._versions -= count_versions(self._kept[key][1])
        self._versions += count_versions(history)
        if self._versions > MOST_KEPT:
            raise _malformed("more is told than one connection remembers")
        self._kept[key] = (told.digest, history)
        return history


def check_comparable(told: ToldWord, mine: RoleWord, theirs: RoleWord) -> None:
    """Refused(message-too-large) where it was left out what both have: then what was told must not
    be compared."""
    for name, member in told.members.items():
        own = mine.group.members.get(name)
        told_of = theirs.group.members[name].history
        if member.trimmed and (own is None or not share_version(own.history, told_of)):
            raise too_many()


def _pack(history: History) -> ToldHistory:
    versions: list[Snapshot | Bookmark] = [*history.snapshots, *history.bookmarks]
    return ToldHistory(
        len(history.snapshots),
        _column([v.guid for v in versions]),
        _column([v.createtxg for v in versions]),
        _column([v.created_at for v in versions]),
        "\n".join([v.name for v in versions]),
    )


def _unpack(told: ToldHistory) -> History:
    names = told.names.split("\n") if told.names else []
    if not _NAMES.match(told.names) or not all(0 < len(n) <= MAX_NAME_BYTES for n in names):
        raise ValueError("names")
    guids, txgs, moments = map(_numbers, (told.guids, told.createtxgs, told.created_at))
    if not 0 <= told.snapshots <= len(guids) or not all(guids):
        raise ValueError("numbers")
    rows = list(zip(guids, txgs, names, moments, strict=True))
    return History(
        tuple(Snapshot(*row) for row in rows[: told.snapshots]),
        tuple(Bookmark(*row) for row in rows[told.snapshots :]),
    )


def _column(numbers: list[int]) -> str:
    return base64.b64encode(struct.pack(f"!{len(numbers)}Q", *numbers)).decode()


def _numbers(column: str) -> tuple[int, ...]:
    octets = base64.b64decode(column, validate=True)
    return struct.unpack(f"!{len(octets) // 8}Q", octets)


def _digest(told: ToldHistory) -> str:
    summed = hashlib.sha256(f"{told.snapshots}".encode())
    for column in (told.guids, told.createtxgs, told.created_at, told.names):
        summed.update(b"\0" + column.encode(errors="replace"))
    return summed.hexdigest()


def _check_texts(word: RoleWord) -> None:
    """What is shown, compared or journalled later."""
    group, said = word.group, word.said
    epochs: list[Epoch | None] = [entry.epoch for entry in group.lineage]
    epochs += [entry.over for entry in group.lineage]
    epochs += [given.epoch for given in (said.handover, word.intent) if given is not None]
    texts = [word.boot, group.node, group.group, group.founder, group.authority]
    texts += [text for e in group.lineage for text in (e.node, e.accepted, e.who)]
    texts += [given.to for given in (said.handover, word.intent) if given is not None]
    texts += [*word.services.keys(), *word.services.values(), word.address or "", word.trouble]
    numbers: list[int] = [guid for entry in group.lineage for guid in entry.bases.values()]
    numbers += said.handover.finals.values() if said.handover is not None else ()
    names = {name for entry in group.lineage for name in entry.bases}
    names |= said.handover.finals.keys() if said.handover is not None else set()
    if (
        len(word.services) > MOST_MEMBERS
        or not all(len(text) <= MOST_TEXT and text.isprintable() for text in texts)
        or not all(len(flag) <= 60 and flag.isprintable() for flag in group.stream_flags)
        or not all(0 < number < _GUID_END for number in numbers)
        or not _are_names(names)
        or not all(_is_epoch(epoch) for epoch in epochs if epoch is not None)
    ):
        raise _malformed("something in it cannot be")


def _are_names(names: Iterable[str]) -> bool:
    try:
        for name in names:
            check_dataset_name(name)
    except Refused:
        return False
    return True


def _is_epoch(epoch: Epoch) -> bool:
    try:
        return parse_epoch(str(epoch)) == epoch
    except Refused:
        return False


def _malformed(why: str) -> Corrupt:
    return Corrupt("malformed", f"The other node's word of its roles is not one: {why}.")
