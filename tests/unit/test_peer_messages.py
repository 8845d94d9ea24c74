"""The conversation's table, JSON messages, and the errors that travel."""

import pytest

from tests.unit.peer_support import ALPHA, BETA, hello_of
from zrepl_py.adapters.peer.conversation import NEXT, Conversation, Side, State
from zrepl_py.adapters.peer.framing import HEADER_BYTES, FrameType
from zrepl_py.adapters.peer.greeting import judge_hello
from zrepl_py.adapters.peer.messages import (
    parse_failure,
    parse_hello,
    parse_message,
    render_failure,
    render_message,
)
from zrepl_py.errors import KINDS, Bug, Corrupt, Refused, Standing
from zrepl_py.model.history import Snapshot, history_of
from zrepl_py.model.observation import ReplicaView, ResumePoint
from zrepl_py.model.site import Manifest
from zrepl_py.model.wire import (
    Answer,
    AskAbort,
    AskHold,
    AskReplica,
    Begin,
    Call,
    Committed,
    End,
    LaneName,
    TellManifest,
    TellProperties,
)

LANE = LaneName("6f0d7c3e-2a0b-5c55-9d3c-7a7265706c79", "tank/a")
VIEW = ReplicaView(
    True, history_of([Snapshot(2**64 - 1, 2, "ä b", 3)]), ResumePoint(1, 0, 2, 3, 4, True)
)
MESSAGES = [
    (FrameType.HELLO, hello_of(ALPHA, groups={"p": ("alpha", "beta")})),
    (FrameType.ANSWER, Answer(VIEW)),
    (FrameType.ANSWER, Answer()),
    (FrameType.BEGIN, Begin(LANE, "s", 1, 0, False, True, "1-00000000", 5)),
    (FrameType.END, End(1, 2**40)),
    (FrameType.COMMITTED, Committed(2**64 - 1, 9)),
]
CALLS: list[Call] = [
    AskReplica(LANE),
    AskAbort(LANE, 3),
    AskHold(LANE, 2**64 - 1),
    TellManifest(Manifest("g", 1, "1-00000000", 2, {"tank/a": 3})),
    TellProperties(LANE, {"compression": "off"}),
]


@pytest.mark.parametrize(("frame_type", "message"), MESSAGES)
def test_messages_come_back_as_they_were(frame_type: FrameType, message: object) -> None:
    frame = render_message(frame_type, message)
    assert parse_message(type(message), frame[HEADER_BYTES:]) == message


@pytest.mark.parametrize("call", CALLS)
def test_calls_come_back_as_they_were(call: Call) -> None:
    frame = render_message(FrameType.CALL, call)
    assert parse_message(Call, frame[HEADER_BYTES:]) == call


def test_a_history_out_of_order_is_the_peers_fault() -> None:
    frame = render_message(FrameType.ANSWER, Answer(VIEW)).decode("latin-1")
    snapshot = frame[
        frame.index('{"type":"Snapshot"') : frame.index("],", frame.index("snapshots"))
    ]
    twice = frame[HEADER_BYTES:].replace(snapshot, f"{snapshot},{snapshot}").encode("latin-1")
    with pytest.raises(Corrupt) as caught:
        parse_message(Answer, twice)
    assert caught.value.reason == "protocol"


def test_a_message_beyond_the_limit_is_refused_here() -> None:
    with pytest.raises(Refused) as caught:
        render_message(FrameType.HELLO, hello_of(ALPHA, groups={"x" * 70_000: ()}))
    assert caught.value.reason == "message-too-large"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_arrive_as_themselves_but_a_bug_is_not_ours(kind: str) -> None:
    error = KINDS[kind]("some-reason", "A sentence.", "A remedy.")
    arrived = parse_failure(render_failure(error)[HEADER_BYTES:])
    if kind == "Bug":
        assert type(arrived) is Standing
        assert arrived.reason == "peer-bug"
    else:
        assert type(arrived) is type(error)
        assert (arrived.reason, arrived.message, arrived.remedy) == (
            "some-reason", "A sentence.", "A remedy.",
        )  # fmt: skip


def test_sentences_of_the_peer_cannot_steer_a_terminal() -> None:
    arrived = parse_failure(
        render_failure(Refused("r", "\x1b[2J\x07" + "x" * 10_000, "a\nb"))[HEADER_BYTES:]
    )
    assert arrived.message.isprintable()
    assert len(arrived.message) <= 4000
    assert arrived.remedy == "a b"


def test_another_protocol_is_a_version_not_damage() -> None:
    with pytest.raises(Standing) as caught:
        parse_hello(b'{"type":"Hello","protocol":2,"something":"new"}')
    assert caught.value.reason == "peer-version"


@pytest.mark.parametrize("version", ["2.2.0", "2.3.9-1", "zfs-kmod-2.4.0", "10.0.1"])
def test_fitting_versions(version: str) -> None:
    judge_hello(hello_of(ALPHA), hello_of(BETA, zfs=version), BETA.uuid)


def test_the_conversation_of_one_stream_on_both_sides() -> None:
    client, server = Conversation(Side.CLIENT), Conversation(Side.SERVER)
    order = [
        (client, server, FrameType.HELLO), (server, client, FrameType.HELLO),
        (client, server, FrameType.PING), (server, client, FrameType.PONG),
        (client, server, FrameType.BEGIN), (server, client, FrameType.READY),
        (client, server, FrameType.CHUNK), (client, server, FrameType.CHUNK_ZSTD),
        (client, server, FrameType.END), (server, client, FrameType.COMMITTED),
        (client, server, FrameType.CALL), (server, client, FrameType.ANSWER),
    ]  # fmt: skip
    for speaker, listener, frame_type in order:
        speaker.sent(frame_type)
        listener.heard(frame_type)
    assert client.state is server.state is State.IDLE


def test_frames_that_cross_on_the_way() -> None:
    client, server = Conversation(Side.CLIENT), Conversation(Side.SERVER)
    client.state = server.state = State.BEGUN
    server.sent(FrameType.READY)
    client.sent(FrameType.CANCEL)
    client.heard(FrameType.READY)
    server.heard(FrameType.CANCEL)
    server.sent(FrameType.FAILURE)
    client.heard(FrameType.FAILURE)
    client.state = server.state = State.STREAMING
    server.sent(FrameType.FAILURE)
    client.sent(FrameType.CHUNK)
    client.sent(FrameType.END)
    client.heard(FrameType.FAILURE)
    server.heard(FrameType.CHUNK)
    server.heard(FrameType.END)


def test_all_that_is_not_in_the_table_is_refused() -> None:
    for state in State:
        for frame_type in FrameType:
            if frame_type in (FrameType.PING, FrameType.PONG):
                continue
            for side, other in ((Side.CLIENT, Side.SERVER), (Side.SERVER, Side.CLIENT)):
                conversation = Conversation(side)
                conversation.state = state
                if (state, side, frame_type) not in NEXT:
                    with pytest.raises(Bug):
                        conversation.sent(frame_type)
                if (state, other, frame_type) not in NEXT:
                    with pytest.raises(Corrupt):
                        conversation.heard(frame_type)
                assert conversation.state is state
