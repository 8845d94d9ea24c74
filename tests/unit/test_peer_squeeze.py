"""When zstd on the wire pays, and that expanding is bounded."""

import os

import pytest
import zstandard

from zrepl_py.adapters.flow.squeeze import Squeezer, decide_squeeze, expand_chunk
from zrepl_py.errors import Corrupt

MIB = 1 << 20


@pytest.mark.parametrize(
    ("link", "squeeze", "ratio", "pays"),
    [
        (10 * MIB, 500 * MIB, 0.5, True),  # a slow link
        (1000 * MIB, 500 * MIB, 0.5, False),  # a fast one: compressing costs more than it saves
        (10 * MIB, 500 * MIB, 1.0, False),  # nothing to gain
        (10 * MIB, 500 * MIB, 0.95, False),  # hardly anything
        (100 * MIB, 500 * MIB, 0.1, True),
        (400 * MIB, 500 * MIB, 0.5, False),
        (0, 500 * MIB, 0.5, False),
        (10 * MIB, 0, 0.5, False),
    ],
)
def test_the_rule(link: float, squeeze: float, ratio: float, pays: bool) -> None:
    assert decide_squeeze(link, squeeze, ratio) is pays


class StepClock:
    """Every look at the clock is 2 ms later: so compressing a chunk takes 2 ms, 500 MiB/s."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        self.seconds += 0.002
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def share_squeezed(chunk: bytes, link: float, squeezer: Squeezer, chunks: int = 100) -> float:
    """Send so many chunks over a link of so many bytes per second; the share that was squeezed."""
    before = squeezer.squeezed_chunks
    for _ in range(chunks):
        squeezed = squeezer.squeeze(memoryview(chunk))
        sent = len(squeezed) if squeezed is not None else len(chunk)
        squeezer.observe_link(sent, sent / link)
    return (squeezer.squeezed_chunks - before) / chunks


def test_it_follows_the_link_during_a_stream() -> None:
    squeezer = Squeezer(StepClock())
    text = (b"".join(os.urandom(64) * 4 for _ in range(4096)))[:MIB]
    assert share_squeezed(text, 5000 * MIB, squeezer) == 0
    assert share_squeezed(text, 20 * MIB, squeezer, 400) > 0.6
    assert share_squeezed(text, 20 * MIB, squeezer) == 1
    assert share_squeezed(text, 5000 * MIB, squeezer) < 0.2


def test_what_does_not_shrink_is_only_sampled() -> None:
    squeezer = Squeezer(StepClock())
    assert share_squeezed(os.urandom(MIB), 10 * MIB, squeezer) == 0


def test_small_chunks_are_sent_as_they_are() -> None:
    squeezer = Squeezer(StepClock())
    assert share_squeezed(bytes(1000), 1000, squeezer) == 0


def test_chunks_come_back_as_they_were() -> None:
    chunk = b"abc" * 100_000
    squeezed = zstandard.ZstdCompressor(level=1).compress(chunk)
    assert expand_chunk(memoryview(squeezed), MIB) == chunk


@pytest.mark.parametrize(
    "squeezed",
    [
        zstandard.ZstdCompressor().compress(bytes(MIB + 1)),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(10)),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(50 * MIB)),
        zstandard.ZstdCompressor().compress(b"abc")[:-1],
        zstandard.ZstdCompressor().compress(b"abc") * 2,
        zstandard.ZstdCompressor().compress(b""),
        b"(\xb5/\xfd",
        b"rubbish",
        b"",
        b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc",  # a skippable frame
    ],
)
def test_bombs_and_rubbish_are_damage(squeezed: bytes) -> None:
    with pytest.raises(Corrupt) as caught:
        expand_chunk(memoryview(squeezed), MIB)
    assert caught.value.reason == "protocol"
