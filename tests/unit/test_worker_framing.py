"""Frames: what is sent arrives, with its descriptor; nothing leaks, nothing hangs."""

import array
import os
import socket
import struct

import pytest

from tests.unit.worker_support import open_descriptors
from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.adapters.worker.framing import MAX_FRAME_BYTES, read_frame, write_frame
from zrepl_py.errors import Corrupt


def soon(seconds: float = 5.0) -> Deadline:
    return Deadline(MachineClock(), seconds)


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def test_a_message_and_its_descriptor_arrive() -> None:
    before = open_descriptors()
    left, right = pair()
    with left, right:
        reader, writer = os.pipe()
        write_frame(left, {"n": 2**64 - 1, "s": "ü\udcff"}, fd=writer, deadline=soon())
        write_frame(left, [], deadline=soon())
        os.close(writer)
        frame = read_frame(right, soon())
        assert frame.body == {"n": 2**64 - 1, "s": "ü\udcff"}
        fd = frame.take_fd()
        assert fd is not None
        assert not os.get_inheritable(fd)
        os.write(fd, b"x")
        os.close(fd)
        assert os.read(reader, 9) == b"x"
        assert os.read(reader, 9) == b""
        os.close(reader)
        second = read_frame(right, soon())
        assert (second.body, second.fd) == ([], None)
    assert open_descriptors() == before


def test_the_end_between_messages_is_an_end_and_inside_one_is_not() -> None:
    left, right = pair()
    left.close()
    with right, pytest.raises(EOFError):
        read_frame(right, soon())
    for part in (b"\0", b"\0\0\0\x05ab"):
        left, right = pair()
        left.sendall(part)
        left.close()
        with right, pytest.raises(Corrupt):
            read_frame(right, soon())


@pytest.mark.parametrize("sent", [struct.pack(">I", MAX_FRAME_BYTES + 1), b"\0\0\0\x02{x"])
def test_what_is_no_frame_is_corrupt(sent: bytes) -> None:
    left, right = pair()
    with left, right:
        left.sendall(sent)
        with pytest.raises(Corrupt) as caught:
            read_frame(right, soon())
        assert caught.value.reason == "protocol"


@pytest.mark.parametrize("count", [2, 4, 30])
def test_surplus_descriptors_are_closed(count: int) -> None:
    before = open_descriptors()
    left, right = pair()
    with left, right:
        rights = array.array("i", [0] * count)
        left.sendmsg([b"\0\0\0\x02[]"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        with pytest.raises(Corrupt):
            read_frame(right, soon())
    assert open_descriptors() == before


def test_deadlines_count_for_the_whole_message() -> None:
    left, right = pair()
    with left, right:
        with pytest.raises(TimeoutError):
            read_frame(right, soon(0.05))
        left.sendall(b"\0\0\0\x05a")
        with pytest.raises(TimeoutError):
            read_frame(right, soon(0.05))
        with pytest.raises(TimeoutError):
            write_frame(left, "x" * 10_000_000, deadline=soon(0.1))
