"""Frames between the daemon and a worker: 4 bytes of length, JSON, and at most one descriptor.

Which question it answers: how does one message, with its descriptor, cross a Unix stream socket?
docs/formats/worker-rpc.md is the specification. A descriptor that arrives and is not wanted is
closed here; it never leaks. Nothing here interprets a message.
"""

import array
import json
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

from zrepl_py.adapters.clock import Deadline
from zrepl_py.errors import Bug, Corrupt

MAX_FRAME_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")
_CHUNK_BYTES = 256 * 1024
_ANCILLARY_BYTES = socket.CMSG_SPACE(4 * array.array("i").itemsize)


@dataclass(slots=True)
class Frame:
    """One message as it arrived. `fd` belongs to whoever got the frame, until it is taken."""

    body: Any
    fd: int | None = None

    def take_fd(self) -> int | None:
        """Hand the descriptor over; the frame has none afterwards."""
        fd, self.fd = self.fd, None
        return fd

    def close(self) -> None:
        """Close the descriptor if nobody has taken it."""
        fd = self.take_fd()
        if fd is not None:
            os.close(fd)


def write_frame(
    sock: socket.socket, body: Any, *, fd: int | None = None, deadline: Deadline
) -> None:
    """Send one message; the caller keeps `fd` open and closes it. Errors: OSError, TimeoutError."""
    content = json.dumps(body, separators=(",", ":")).encode()
    if len(content) > MAX_FRAME_BYTES:
        raise Bug("frame-size", f"A message of {len(content)} bytes is over the limit.")
    rest = memoryview(_LENGTH.pack(len(content)) + content)
    if fd is not None:
        _arm(sock, deadline)
        rights = array.array("i", [fd])
        sent = sock.sendmsg([rest], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        rest = rest[sent:]
    while rest:
        _arm(sock, deadline)
        rest = rest[sock.send(rest) :]


def read_frame(sock: socket.socket, deadline: Deadline) -> Frame:
    """Receive one message, all of it before the deadline.

    Errors: EOFError where the other side closed between two messages; Corrupt(protocol) where it
    closed inside one, or sent what is no frame; TimeoutError; OSError.
    """
    frame = Frame(None)
    try:
        header = _read_exactly(sock, _LENGTH.size, frame, deadline)
        (length,) = _LENGTH.unpack(header)
        if length > MAX_FRAME_BYTES:
            raise Corrupt("protocol", f"A worker's message announces {length} bytes.")
        body = _read_exactly(sock, length, frame, deadline)
        try:
            frame.body = json.loads(body)
        except ValueError:
            raise Corrupt("protocol", "A worker's message is not JSON.") from None
    except BaseException:
        frame.close()
        raise
    return frame


def _read_exactly(sock: socket.socket, size: int, frame: Frame, deadline: Deadline) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    got = 0
    while got < size:
        _arm(sock, deadline)
        count, ancillary, flags, _ = sock.recvmsg_into(
            [view[got : got + _CHUNK_BYTES]], _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
        )
        _keep_descriptors(frame, ancillary, flags)
        if count == 0:
            if got == 0 and size == _LENGTH.size:
                raise EOFError("the other side closed the connection")
            raise Corrupt("protocol", "A worker's connection ended inside a message.")
        got += count
    return bytes(buffer)


def _keep_descriptors(frame: Frame, ancillary: list[tuple[int, int, bytes]], flags: int) -> None:
    """The first descriptor of a message is its own; any other is closed, and is Corrupt."""
    got = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            got.frombytes(content[: len(content) - len(content) % got.itemsize])
    surplus = list(got)
    if surplus and frame.fd is None:
        frame.fd = surplus.pop(0)
    for fd in surplus:
        os.close(fd)
    if surplus or flags & socket.MSG_CTRUNC:
        raise Corrupt("protocol", "A worker's message carries more than one descriptor.")


def _arm(sock: socket.socket, deadline: Deadline) -> None:
    remaining = deadline.remaining_seconds()
    if remaining == 0.0:
        raise TimeoutError("the deadline of a worker's message is over")
    sock.settimeout(remaining)
