"""One stream: sent into memory, cut or damaged there, then received; with the port's own verbs."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from zrepl_py.adapters.zfs.begin import BEGIN_BYTES, Begin, parse_begin
from zrepl_py.errors import ZrError
from zrepl_py.ports.zfs import ZfsPort

PATIENCE_SECONDS = 60.0
SMALL_BYTES = 100_000
"""A flipped bit has to be in a file's content, which is most of a stream larger than this."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What `send` wrote."""

    content: bytes
    begin: Begin


def send_whole(
    port: ZfsPort, snapshot: str, base: str | None, *, raw: bool, resume: tuple[int, int] | None
) -> Stream:
    """Send into memory; raises what `send` raised."""
    near, far = os.pipe()
    pieces: list[bytes] = []

    def reading() -> None:
        while piece := os.read(near, 1 << 20):
            pieces.append(piece)
        os.close(near)

    with _Beside(reading):
        port.send(snapshot, base, raw=raw, fd=far, resume=resume)
    content = b"".join(pieces)
    return Stream(content, parse_begin(content[:BEGIN_BYTES]))


def receive_whole(
    port: ZfsPort, target: str, content: bytes, *, to_guid: int, from_guid: int, raw: bool
) -> None:
    """Receive from memory; raises what `receive` raised."""
    near, far = os.pipe()

    def writing() -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(far, view[: 1 << 20]) :]
        except BrokenPipeError:
            pass
        finally:
            os.close(far)

    with _Beside(writing):
        port.receive(target, fd=near, to_guid=to_guid, from_guid=from_guid, raw=raw)


def mangle(stream: Stream, header_bytes: int, cut: str | float | None, flip: float | None) -> bytes:
    """The stream's content, cut or damaged.

    `cut`: `empty`, `part` (of BEGIN), `begin` (right behind it), or how much of the rest is left;
    `flip`: where in the rest one bit is turned over, if it is large enough, and no resumed stream,
    since sides resume at different places.
    """
    content = stream.content
    begin = BEGIN_BYTES + stream.begin.payload_bytes
    start = begin + header_bytes
    rest = len(content) - start
    if flip is not None and rest > SMALL_BYTES and not stream.begin.resuming:
        damaged = bytearray(content)
        damaged[start + int(flip * rest)] ^= 0x10
        return bytes(damaged)
    if cut is None:
        return content
    if isinstance(cut, str):
        return content[: {"empty": 0, "part": 100, "begin": begin}[cut]]
    return content[: start + min(int(cut * rest), rest - 1)]


class _Beside:
    """A thread that has to end soon after the block did."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise AssertionError("a stream did not end after its other end was closed")


def words_of(error: ZrError) -> list[str]:
    """An error as both sides have to say it."""
    return [type(error).__name__, error.reason]
