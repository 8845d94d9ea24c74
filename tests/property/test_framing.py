"""The frame decoder and the message parsers against any bytes, in any split."""

import contextlib
import json
import struct
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zrepl_py.adapters.flow.squeeze import expand_chunk
from zrepl_py.adapters.peer.conversation import Conversation, Side, State
from zrepl_py.adapters.peer.framing import (
    HEADER_BYTES,
    LENGTHS,
    FrameDecoder,
    FrameType,
    render_frame,
)
from zrepl_py.adapters.peer.messages import (
    parse_begin,
    parse_call,
    parse_committed,
    parse_end,
    parse_failure,
    parse_hello,
)
from zrepl_py.adapters.peer.role_messages import parse_asked, parse_opening, parse_shipped
from zrepl_py.errors import Corrupt, Standing, ZrError

FIRST_BUFFER = 64 << 10
PARSERS = (
    parse_begin, parse_call, parse_committed, parse_end, parse_failure, parse_hello,
    parse_asked, parse_opening, parse_shipped,
)  # fmt: skip


@st.composite
def frames(draw: st.DrawFn) -> tuple[FrameType, bytes]:
    frame_type = draw(st.sampled_from(list(FrameType)))
    least, most = LENGTHS[frame_type]
    size = draw(
        st.integers(least, min(most, 200)) | st.integers(min(least, most), min(most, 150_000))
    )
    return frame_type, draw(st.binary(min_size=1, max_size=1)) * size


def split(octets: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({c % (len(octets) + 1) for c in cuts}), len(octets)]
    return [octets[a:b] for a, b in pairwise(places)]


def decode(pieces: list[bytes]) -> tuple[list[tuple[FrameType, bytes]], bool, int]:
    """(frames, whether the rest was refused, bytes of an unfinished frame)."""
    decoder = FrameDecoder()
    found = []
    arrived = 0
    for piece in pieces:
        decoder.feed(piece)
        arrived += len(piece)
        assert decoder.allocated_bytes <= max(FIRST_BUFFER, 2 * (arrived + FIRST_BUFFER))
        try:
            while (frame := decoder.take()) is not None:
                found.append((frame.type, bytes(frame.payload)))
        except Corrupt:
            return found, True, 0
    return found, False, decoder.unfinished_bytes


@given(st.lists(frames(), max_size=12), st.lists(st.integers(0, 2**20), max_size=30))
def test_frames_come_back_in_any_split(
    sent: list[tuple[FrameType, bytes]], cuts: list[int]
) -> None:
    octets = b"".join(render_frame(*frame) for frame in sent)
    assert decode(split(octets, cuts)) == (sent, False, 0)


@given(st.lists(frames(), min_size=1, max_size=4), st.integers(1, 2**20))
def test_a_truncated_sequence_yields_only_whole_frames(
    sent: list[tuple[FrameType, bytes]], lost: int
) -> None:
    octets = b"".join(render_frame(*frame) for frame in sent)
    kept = len(octets) - 1 - lost % len(octets)
    found, refused, unfinished = decode([octets[:kept]])
    assert found == sent[: len(found)]
    assert not refused
    assert sum(HEADER_BYTES + len(p) for _, p in found) + unfinished == kept


@given(
    st.lists(frames(), min_size=1, max_size=6),
    st.integers(0, 2**24),
    st.lists(st.integers(0, 2**20), max_size=10),
)
def test_a_flipped_bit_never_surprises(
    sent: list[tuple[FrameType, bytes]], bit: int, cuts: list[int]
) -> None:
    octets = bytearray(b"".join(render_frame(*frame) for frame in sent))
    octets[bit // 8 % len(octets)] ^= 1 << bit % 8
    whole = decode([bytes(octets)])
    assert decode(split(bytes(octets), cuts)) == whole
    for frame_type, payload in whole[0]:
        least, most = LENGTHS[frame_type]
        assert least <= len(payload) <= most


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=10))
def test_any_bytes_in_any_split_are_judged_the_same(octets: bytes, cuts: list[int]) -> None:
    assert decode(split(octets, cuts)) == decode([octets])


@given(st.sampled_from(list(FrameType)), st.integers(0, 2**32 - 1))
def test_a_length_is_judged_before_anything_is_allocated(
    frame_type: FrameType, length: int
) -> None:
    decoder = FrameDecoder()
    decoder.feed(struct.pack("!BI", frame_type, length))
    least, most = LENGTHS[frame_type]
    refused = False
    try:
        decoder.take()
    except Corrupt:
        refused = True
    assert refused == (not least <= length <= most)
    assert decoder.allocated_bytes == FIRST_BUFFER


def judge(parser: Any, payload: bytes) -> None:
    raised: ZrError | None = None
    try:
        parser(payload)
    except (Corrupt, Standing) as error:
        raised = error
    assert raised is None or raised.reason in ("protocol", "peer-version")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["Hello", "Begin", "End", "Committed", "Failure", "AskReplica", "AskAbort", "AskHold",
             "TellManifest", "TellProperties", "LaneName", "Manifest", "AskRoles",
             "TellHeartbeat", "AskShipped", "Shipped", "BeginRescue"]
        ),
        "lane": JSON | st.fixed_dictionaries(
            {"type": st.just("LaneName"), "lane": JSON, "dataset": JSON}
        ),
        "manifest": JSON,
        "to_guid": JSON,
        "guid": JSON,
        "createtxg": JSON,
        "size_bytes": JSON,
        "kind": st.sampled_from(["Bug", "Refused", "KeyError"]) | JSON,
        "reason": JSON,
        "message": JSON,
        "protocol": st.integers(),
        "properties": JSON,
        "group": JSON,
        "label": JSON,
        "guids": JSON,
        "told": JSON,
        "beat": JSON | st.fixed_dictionaries(
            {"type": st.just("Heartbeat"), "boot": JSON, "at": JSON}
        ),
        "order": JSON | st.fixed_dictionaries(
            {"type": st.just("ShipOrder"), "label": JSON, "member": JSON, "name": JSON,
             "to_guid": JSON, "base_guid": JSON, "raw": JSON}
        ),
    },
)  # fmt: skip


@given(st.sampled_from(PARSERS), st.binary(max_size=200))
def test_any_payload_is_a_message_or_damage(parser: Any, payload: bytes) -> None:
    judge(parser, payload)


@settings(max_examples=300)
@given(st.sampled_from(PARSERS), FIELDS | JSON)
def test_any_json_is_a_message_or_damage(parser: Any, value: Any) -> None:
    judge(parser, json.dumps(value).encode())


@given(st.binary(max_size=300), st.booleans())
def test_any_compressed_chunk_is_bounded(octets: bytes, framed: bool) -> None:
    squeezed = b"\x28\xb5\x2f\xfd" + octets if framed else octets
    with contextlib.suppress(Corrupt):
        assert 0 < len(expand_chunk(memoryview(squeezed), 4096)) <= 4096


@given(
    st.lists(st.tuples(st.sampled_from(list(Side)), st.sampled_from(list(FrameType))), max_size=60)
)
def test_two_ends_walk_the_table_together(attempts: list[tuple[Side, FrameType]]) -> None:
    """Without delay on the way, both ends are always in the same state, and never stuck in it."""
    ends = {side: Conversation(side) for side in Side}
    for side, frame_type in attempts:
        speaker = ends[side]
        listener = ends[Side.SERVER if side is Side.CLIENT else Side.CLIENT]
        before = speaker.state
        try:
            listener.heard(frame_type)
        except Corrupt:
            assert listener.state is before
            continue
        speaker.sent(frame_type)
        assert speaker.state is listener.state
        assert speaker.state in State
