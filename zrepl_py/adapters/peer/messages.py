"""JSON payloads. Which question it answers: is this a message that an honest peer sends?

Everything that is not is Corrupt(protocol): bad UTF-8 or JSON, unknown or missing fields, guids
beyond 64 bits, names that OpenZFS would not accept. Nothing here trusts a length, a name or a
sentence of the peer; sentences are stripped of control characters, since terminals show them.
"""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from zrepl_py.adapters.peer.framing import FrameType, check_length, render_frame
from zrepl_py.core.codec import decode, encode
from zrepl_py.core.proof_digest import key_of, key_of_line
from zrepl_py.errors import KINDS, Bug, Corrupt, Refused, Standing, ZrError
from zrepl_py.model.fetch import Copies, Fetch, FetchCopies, FetchPage, FetchStream, TellProof
from zrepl_py.model.names import check_dataset_name, join_snapshot, parse_epoch
from zrepl_py.model.proof import Page, Position, Proof
from zrepl_py.model.site import Manifest
from zrepl_py.model.wire import (
    PROTOCOL,
    AskAbort,
    AskHold,
    Begin,
    Call,
    Committed,
    End,
    Failure,
    Hello,
    LaneName,
    TellManifest,
    TellProperties,
    TellReceipt,
)

T = TypeVar("T")
_GUID_END = 1 << 64
_REASON = re.compile(r"[a-z][a-z0-9-]{0,59}\Z")
_PROPERTY = re.compile(r"[a-z0-9][a-z0-9:._@-]{0,199}\Z")
_CHAIN = re.compile(r"[0-9a-f]{64}\Z")
_SENTENCE_CHARACTERS = 4000
_VALUE_BYTES = 8191


def render_message(frame_type: FrameType, value: object) -> bytes:
    """A dataclass of model/wire.py → a whole frame. Refused(message-too-large)."""
    text = json.dumps(encode(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    payload = text.encode()
    if not check_length(frame_type, len(payload)):
        raise Refused(
            "message-too-large",
            f"A {frame_type.name} message of {len(payload)} bytes is longer than the protocol has.",
            "Keep fewer snapshots or bookmarks per dataset.",
        )
    return render_frame(frame_type, payload)


def parse_message(expected: type[T] | Any, payload: memoryview | bytes) -> T:
    """Payload → `expected`. Corrupt(protocol)."""
    value = _parse_json(payload)
    try:
        message: T = decode(expected, value)
    except (Corrupt, Bug, RecursionError) as error:
        # A Bug here is a model type that refuses its fields: the peer's fault, not ours.
        raise Corrupt("protocol", f"The peer sent a malformed message. {error}") from None
    return message


def parse_hello(payload: memoryview | bytes) -> Hello:
    """The greeting. Standing(peer-version) when the protocol is another one, else as above."""
    value = _parse_json(payload)
    spoken = value.get("protocol") if isinstance(value, dict) else None
    if type(spoken) is int and spoken != PROTOCOL:
        # Before anything else is looked at: another protocol's Hello may have other fields.
        raise Standing(
            "peer-version",
            f"The peer speaks protocol {spoken}, this node speaks {PROTOCOL}.",
            "Install the same version of zr on both nodes.",
        )
    return parse_message(Hello, payload)


def parse_call(payload: memoryview | bytes) -> Call:
    """A Call whose names, guids and properties have been looked at."""
    return check_call(parse_message(Call, payload))


def check_call(call: Call) -> Call:
    """The same of one that was decoded. Corrupt(protocol)."""
    if isinstance(call, TellManifest):
        _check_manifest(call.manifest)
        return call
    if isinstance(call, TellReceipt):
        for held in call.receipt.holdings:
            _check_lane(LaneName(held.lane, held.dataset))
            _check_guid(held.guid)
        return call
    _check_lane(call.lane)
    if isinstance(call, AskAbort):
        _check_guid(call.to_guid)
    if isinstance(call, AskHold):
        _check_guid(call.base_guid)
    if isinstance(call, TellProperties):
        _check_properties(call.properties)
    return call


def parse_begin(payload: memoryview | bytes) -> Begin:
    """A Begin whose names and guids have been looked at."""
    return check_begin(parse_message(Begin, payload))


def check_begin(begin: Begin) -> Begin:
    """The same of one that was decoded. Corrupt(protocol)."""
    _check_lane(begin.lane)
    _check_guid(begin.to_guid)
    _check_guid(begin.from_guid, zero=True)
    if begin.from_guid == begin.to_guid or not 0 <= begin.estimate_bytes < _GUID_END:
        raise Corrupt("protocol", "The peer began a stream with impossible numbers.")
    _check_version(begin.lane.dataset, begin.to_name)
    return begin


def parse_fetch(payload: memoryview | bytes) -> Fetch:
    """A Fetch whose lane and guid have been looked at."""
    fetch: Fetch = parse_message(Fetch, payload)
    if isinstance(fetch, TellProof):
        return TellProof(_check_proof(fetch.proof))
    if not isinstance(fetch, FetchCopies):
        _check_lane(LaneName(fetch.lane, "any"))
    if isinstance(fetch, FetchStream | FetchPage):
        _check_guid(fetch.guid)
    if isinstance(fetch, FetchPage):
        _check_position(fetch.after)
    return fetch


def parse_copies(payload: memoryview | bytes) -> Copies:
    """The answer to a Fetch, looked at."""
    answer: Copies = parse_message(Copies, payload)
    for copy in answer.copies:
        _check_lane(LaneName(copy.lane, copy.dataset))
        _check_properties(copy.properties)
    for snapshot in answer.snapshots:
        _check_guid(snapshot.guid)
        _check_version("any", snapshot.name)
    return answer


def parse_page(payload: memoryview | bytes) -> Page:
    """The answer to a FetchPage, looked at."""
    page: Page = parse_message(Page, payload)
    _check_position(page.next)
    counted = (page.entries, page.size_bytes, page.unreadable)
    if not all(0 <= number < _GUID_END for number in counted):
        raise Corrupt("protocol", "The peer sent a page with impossible numbers.")
    for line in page.records:
        key_of_line(line)
    return page


def parse_end(payload: memoryview | bytes) -> End:
    """The End of a stream."""
    return parse_message(End, payload)


def parse_committed(payload: memoryview | bytes) -> Committed:
    """What the target has committed."""
    committed: Committed = parse_message(Committed, payload)
    _check_guid(committed.guid)
    return committed


def render_failure(error: ZrError) -> bytes:
    """An error of this side → a FAILURE frame."""
    sentences = (clean_sentence(error.message), clean_sentence(error.remedy))
    return render_message(
        FrameType.FAILURE, Failure(type(error).__name__, error.reason, *sentences)
    )


def parse_failure(payload: memoryview | bytes) -> ZrError:
    """A FAILURE frame → the error itself, to be raised.

    The peer's Bug is not ours: it arrives as Standing(peer-bug), so that it cannot crash us.
    """
    failure: Failure = parse_message(Failure, payload)
    kind = KINDS.get(failure.kind)
    if kind is None or not _REASON.match(failure.reason):
        raise Corrupt("protocol", "The peer sent a failure of unknown kind.")
    message, remedy = clean_sentence(failure.message), clean_sentence(failure.remedy)
    if kind is Bug:
        return Standing(
            "peer-bug",
            f"The peer broke its own promise ({failure.reason}): {message}",
            "Look at the peer's log, and report the bug.",
        )
    return kind(failure.reason, message, remedy)


def _parse_json(payload: memoryview | bytes) -> Any:
    octets = bytes(payload)
    try:
        value = json.loads(octets.decode())
        if b"\\u" in octets:
            # Escaped lone surrogates would pass here and fail much later, when written.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Corrupt("protocol", "The peer sent a message that is not JSON.") from None
    return value


def _check_guid(guid: int, *, zero: bool = False) -> None:
    if not (0 if zero else 1) <= guid < _GUID_END:
        raise Corrupt("protocol", "The peer sent an impossible guid.")


def _check_position(position: Position) -> None:
    key_of(position)
    if not 0 <= position.done < _GUID_END or not _CHAIN.match(position.chain):
        raise Corrupt("protocol", "The peer sent an impossible position.")


def _check_proof(proof: Proof) -> Proof:
    """With a sentence that can be shown."""
    _check_lane(LaneName(proof.subject.lane, proof.subject.dataset))
    _check_guid(proof.subject.guid)
    _check_version(proof.subject.dataset, proof.subject.snapshot)
    taken = proof.restore_seconds
    if proof.differences or not (taken is None or 0 <= taken < _GUID_END):
        raise Corrupt("protocol", "The peer told an impossible proof.")
    return replace(proof, why=clean_sentence(proof.why))


def _check_lane(lane: LaneName) -> None:
    try:
        check_dataset_name(lane.dataset)
        well_formed = str(uuid.UUID(lane.lane)) == lane.lane
    except (Refused, ValueError):
        well_formed = False
    if not well_formed:
        raise Corrupt("protocol", "The peer named an impossible lane.")


def _check_version(dataset: str, name: str) -> None:
    try:
        if "/" in name:
            raise Refused("bad-name", "A snapshot's name has no slash.")
        check_dataset_name(name)
        join_snapshot(dataset, name)
    except Refused as error:
        raise Corrupt("protocol", f"The peer named an impossible snapshot. {error}") from None


def _check_properties(properties: Mapping[str, str]) -> None:
    for name, value in properties.items():
        if not _PROPERTY.match(name) or len(value.encode()) > _VALUE_BYTES or "\0" in value:
            raise Corrupt("protocol", f"The peer sent an impossible property {name[:60]!r}.")


def _check_manifest(manifest: Manifest) -> None:
    try:
        parse_epoch(manifest.epoch)
        for dataset, guid in manifest.members.items():
            check_dataset_name(dataset)
            _check_guid(guid)
    except Refused:
        raise Corrupt("protocol", "The peer sent an impossible manifest.") from None
    if not 0 < len(manifest.group) <= 255 or manifest.seq < 0:
        raise Corrupt("protocol", "The peer sent an impossible manifest.")


def clean_sentence(text: str) -> str:
    """As it may be sent, and shown on a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:_SENTENCE_CHARACTERS])
