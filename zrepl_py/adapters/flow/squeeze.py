"""zstd on the wire. Which question it answers: is this chunk sent compressed?

Only for streams that ZFS did not compress (the caller says so), and only where it pays by
measurement: a fast link is sent plain, a slow one compressed. What is measured is forgotten
slowly, so that a link which changes during a stream is followed.

Expanding never yields more than the chunk limit, whatever the compressed bytes claim.
"""

import zstandard

from zrepl_py.errors import Corrupt
from zrepl_py.ports.clock import ClockPort

LEVEL = 1
_LEAST_CHUNK = 16 << 10
_SAMPLE_EVERY = 32
_MARGIN = 0.9
_NEWEST_WEIGHT = 0.2


def decide_squeeze(
    link_bytes_per_second: float, squeeze_bytes_per_second: float, ratio: float
) -> bool:
    """Whether compressing first makes a byte arrive sooner, by a tenth at least.

    `ratio` is compressed size / size. Compressing and sending take turns in one thread, so their
    times add up: 1/squeeze + ratio/link is compared with 1/link.
    """
    if link_bytes_per_second <= 0 or squeeze_bytes_per_second <= 0:
        return False
    plain_seconds = 1 / link_bytes_per_second
    squeezed_seconds = 1 / squeeze_bytes_per_second + ratio / link_bytes_per_second
    return squeezed_seconds < _MARGIN * plain_seconds


class Squeezer:
    """Decides for one stream, chunk by chunk, by what it measures."""

    def __init__(self, clock: ClockPort) -> None:
        self._clock = clock
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        # Seconds per byte, not bytes per second: of a mean of rates, one chunk that only went into
        # the kernel's buffer would be most for a long time.
        self._link: float | None = None
        self._squeeze: float | None = None
        self._ratio: float | None = None
        self._since_sample = _SAMPLE_EVERY
        self.squeezed_chunks = 0

    def observe_link(self, size_bytes: int, seconds: float) -> None:
        """The link has accepted so many bytes in so many seconds."""
        if size_bytes >= _LEAST_CHUNK:
            self._link = _blend(self._link, max(seconds, 1e-9) / size_bytes)

    def squeeze(self, chunk: memoryview) -> bytes | None:
        """The compressed chunk where that pays, else None: send it plain."""
        if len(chunk) < _LEAST_CHUNK or self._link is None:
            return None
        self._since_sample += 1
        if not self._pays() and self._since_sample < _SAMPLE_EVERY:
            return None
        self._since_sample = 0
        began = self._clock.monotonic()
        squeezed = self._compressor.compress(chunk)
        seconds = max(self._clock.monotonic() - began, 1e-9)
        self._squeeze = _blend(self._squeeze, seconds / len(chunk))
        self._ratio = _blend(self._ratio, len(squeezed) / len(chunk))
        if len(squeezed) >= len(chunk) or not self._pays():
            return None
        self.squeezed_chunks += 1
        return squeezed

    def _pays(self) -> bool:
        if self._link is None or self._squeeze is None or self._ratio is None:
            return False
        return decide_squeeze(1 / self._link, 1 / self._squeeze, self._ratio)


def expand_chunk(squeezed: memoryview, limit_bytes: int) -> bytes:
    """Compressed chunk → chunk; Corrupt(protocol) for anything that would exceed the limit."""
    try:
        frame = zstandard.get_frame_parameters(squeezed)
        size = frame.content_size
        if size == zstandard.CONTENTSIZE_UNKNOWN or not 0 < size <= limit_bytes:
            raise Corrupt("protocol", "The peer sent a compressed chunk of impossible size.")
        chunk = zstandard.ZstdDecompressor(max_window_size=2 * limit_bytes).decompress(
            squeezed, max_output_size=limit_bytes, allow_extra_data=False
        )
    except zstandard.ZstdError:
        raise Corrupt("protocol", "The peer sent a chunk that is not zstd.") from None
    if len(chunk) != size:
        raise Corrupt("protocol", "The peer sent a compressed chunk of another size.")
    return chunk


def _blend(known: float | None, newest: float) -> float:
    return newest if known is None else known + _NEWEST_WEIGHT * (newest - known)
