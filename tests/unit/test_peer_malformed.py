"""A proven peer that does not keep to the protocol: its connection ends, the server lives on."""

import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest
import zstandard

from tests.unit.peer_support import (
    ALPHA,
    EPOCH,
    QUICK,
    Site,
    full_of,
    hello_of,
    lane_of,
    serving,
    stream_of,
    wait_for,
)
from zrepl_py.adapters.peer.framing import FrameType, render_frame
from zrepl_py.adapters.peer.messages import render_message
from zrepl_py.adapters.peer.role_messages import AskShipped, BeginRescue, TellHeartbeat
from zrepl_py.adapters.peer.tls import make_client_context, shake_hands
from zrepl_py.core.role_words import Heartbeat, ShipOrder
from zrepl_py.model.wire import AskAbort, AskHold, AskReplica, Begin, End, LaneName

LANE = LaneName(lane_of().uuid, "tank/a")
HELLO = render_message(FrameType.HELLO, hello_of(ALPHA))
BEGIN = render_message(FrameType.BEGIN, Begin(LANE, "s", 1, 0, False, False, EPOCH))
END = render_message(FrameType.END, End(1, 3))
CHUNK = render_frame(FrameType.CHUNK, b"abc")
CANCEL = render_frame(FrameType.CANCEL)
PING = render_frame(FrameType.PING)
CALL = render_message(FrameType.CALL, AskReplica(LANE))
LABEL = "1-00000001-00000002"
ASK_SHIPPED = render_message(FrameType.CALL, AskShipped("g", LABEL))
BEAT = render_message(FrameType.CALL, TellHeartbeat("g", Heartbeat("boot", 1)))
ORDER = ShipOrder(LABEL, "tank/a", f"zr-rescue_{LABEL}", 2, 1, False)
RESCUE = render_message(FrameType.BEGIN, BeginRescue("g", ORDER))
BOMB = zstandard.ZstdCompressor().compress(bytes(2 << 20))
SMALL_LIE = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 20))


def altered(frame: bytes, **fields: object) -> bytes:
    """The same message with other fields."""
    value = {**json.loads(frame[5:]), **fields}
    return render_frame(FrameType(frame[0]), json.dumps(value).encode())


CASES: dict[str, bytes] = {
    "unknown type": HELLO + struct.pack("!BI", 99, 0),
    "type 0": HELLO + bytes(5),
    "too long a call": HELLO + struct.pack("!BI", FrameType.CALL, (16 << 20) + 1),
    "too long a chunk": HELLO + BEGIN + struct.pack("!BI", FrameType.CHUNK, (1 << 20) + 1),
    "too long a ping": HELLO + struct.pack("!BI", FrameType.PING, 1),
    "an empty chunk": HELLO + BEGIN + struct.pack("!BI", FrameType.CHUNK, 0),
    "no hello": CALL,
    "a ping for hello": PING,
    "two hellos": HELLO + HELLO,
    "hello of rubbish": render_frame(FrameType.HELLO, b"\xff\xfe{}"),
    "hello of a list": render_frame(FrameType.HELLO, b"[]"),
    "hello without fields": render_frame(FrameType.HELLO, b'{"type":"Hello","protocol":1}'),
    "hello nested deeply": render_frame(FrameType.HELLO, b"[" * 60000),
    "hello with a surrogate": altered(HELLO, name="\ud800"),
    "hello with a huge number": render_frame(
        FrameType.HELLO, b'{"type":"Hello","protocol":' + b"9" * 6000 + b"}"
    ),
    "answer": HELLO + render_frame(FrameType.ANSWER, b"{}"),
    "failure": HELLO + render_frame(FrameType.FAILURE, b"{}"),
    "ready": HELLO + render_frame(FrameType.READY),
    "committed": HELLO + render_frame(FrameType.COMMITTED, b"{}"),
    "chunk without begin": HELLO + CHUNK,
    "end without begin": HELLO + END,
    "cancel without begin": HELLO + CANCEL,
    "begin within a stream": HELLO + BEGIN + CHUNK + BEGIN,
    "call within a stream": HELLO + BEGIN + CHUNK + CALL,
    "unknown call": HELLO + render_frame(FrameType.CALL, b'{"type":"Destroy","lane":"x"}'),
    "call with a field too many": HELLO + altered(CALL, force=True),
    "call with a wrong lane": HELLO + altered(CALL, lane=7),
    "begin with a bad guid": HELLO + altered(BEGIN, to_guid=2**64),
    "begin with a negative guid": HELLO + altered(BEGIN, from_guid=-1),
    "begin with a path": HELLO + altered(BEGIN, to_name="../../x"),
    "begin with a flag for a number": HELLO + altered(BEGIN, to_guid=True),
    "end with another count": HELLO + BEGIN + CHUNK + altered(END, size_bytes=4),
    "end with another guid": HELLO + BEGIN + CHUNK + altered(END, to_guid=2),
    "zstd bomb": HELLO + BEGIN + render_frame(FrameType.CHUNK_ZSTD, BOMB),
    "zstd without its size": HELLO + BEGIN + render_frame(FrameType.CHUNK_ZSTD, SMALL_LIE),
    "zstd rubbish": HELLO + BEGIN + render_frame(FrameType.CHUNK_ZSTD, b"rubbish"),
    "abort of no guid": HELLO + altered(
        render_message(FrameType.CALL, AskAbort(LANE, 1)), to_guid=0
    ),
    "hold of no guid": HELLO + altered(
        render_message(FrameType.CALL, AskHold(LANE, 1)), base_guid=2**64
    ),
    "lane that is no uuid": HELLO + altered(
        CALL, lane={"type": "LaneName", "lane": "x", "dataset": "tank/a"}
    ),
    "dataset that is no name": HELLO + altered(
        CALL, lane={"type": "LaneName", "lane": LANE.lane, "dataset": "tank/a@b"}
    ),
    "rescue of no label": HELLO + altered(ASK_SHIPPED, label="../x"),
    "heartbeat of no time": HELLO + altered(BEAT, beat={"type": "Heartbeat", "boot": "", "at": -1}),
    "word of roles that is none": HELLO + altered(BEAT, type="AskRoles"),
    "begin of a rescue with a path": HELLO + altered(
        RESCUE, order={**json.loads(RESCUE[5:])["order"], "member": "tank/../x"}
    ),
    "begin of a rescue with another name": HELLO + altered(
        RESCUE, order={**json.loads(RESCUE[5:])["order"], "name": "zr-rescue_other"}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    limits = replace(QUICK, linger_seconds=0.1)
    site = Site(tmp_path_factory.mktemp("peer"), limits=limits)
    site.put(lane_of(), full_of(1), b"x")
    with serving(site):
        yield site


def speak(site: Site, octets: bytes) -> bytes:
    """Everything the server answers until it closes the connection."""
    raw = socket.create_connection(("127.0.0.1", site.server.port), timeout=5)
    context = make_client_context(site.alpha, site.beta_pin)
    secured, _ = shake_hands(context, raw, [site.beta_pin], server=False)
    answer = b""
    with secured:
        secured.sendall(octets)
        while piece := secured.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize("case", CASES)
def test_the_connection_ends_and_the_server_lives(site: Site, case: str) -> None:
    site.events.clear()
    site.vault.bodies.clear()
    answer = speak(site, CASES[case])
    wait_for(lambda: "protocol" in site.reasons())
    # (A connection of the case before may be told as closed only now.)
    assert set(site.reasons()) <= {"", "protocol", "peer-silent"}
    if CASES[case].startswith(HELLO):
        assert b'"reason":"protocol"' in answer
    assert site.vault.bodies == {}
    peer = site.client()
    peer.observe_replica(lane_of())
    peer.transfer(lane_of(), full_of(1))
    assert site.vault.bodies == {1: b"x"}
    peer.close()


def test_a_chunk_after_the_end_comes_too_late(site: Site) -> None:
    """What was whole is committed; the connection ends all the same."""
    site.events.clear()
    body = stream_of(b"body")
    end = altered(END, size_bytes=len(body))
    answer = speak(site, HELLO + BEGIN + render_frame(FrameType.CHUNK, body) + end + CHUNK)
    wait_for(lambda: "protocol" in site.reasons())
    assert b'"type":"Committed"' in answer
    assert site.vault.bodies[1] == b"body"


def test_a_flood_of_pings_ends(site: Site) -> None:
    site.events.clear()
    speak(site, HELLO + PING * 5000)
    wait_for(lambda: "protocol" in site.reasons())


def test_a_peer_that_stops_in_a_frame_holds_nothing(site: Site) -> None:
    site.vault.ended.clear()
    raw = socket.create_connection(("127.0.0.1", site.server.port), timeout=5)
    context = make_client_context(site.alpha, site.beta_pin)
    secured, _ = shake_hands(context, raw, [site.beta_pin], server=False)
    with secured:
        secured.sendall(HELLO + BEGIN + CHUNK[:-1])
        assert site.vault.ended.wait(site.limits.silence_seconds + 3)
    assert 1 in site.vault.cut
