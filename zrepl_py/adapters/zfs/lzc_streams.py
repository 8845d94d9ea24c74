"""Streams through libzfs_core: send into a pipe, receive from a pipe.

Both close the descriptor they were given, in every case: the other end depends on it. A running
call ends when the *other* end of the pipe is closed. Tried ways and traps: docs/research of
OpenZFS 2.3.9 (zfs-facts): libzfs_core's own reader of BEGIN does a single read, so ours loops; a
send whose reader has gone ends with EINTR; a receive whose writer has gone says StreamTruncated.
"""

import errno
import os
from collections.abc import Callable

from zrepl_py.adapters.zfs.begin import BEGIN_BYTES, Begin, check_begin, parse_begin
from zrepl_py.adapters.zfs.lzc_binding import binding, run_program, words_of
from zrepl_py.adapters.zfs.names import dataset_of, pool_of
from zrepl_py.adapters.zfs.programs import program_text
from zrepl_py.adapters.zfs.translate import ECKSUM, STREAM_TRUNCATED, judge_errno


def stream_flags(raw: bool) -> list[str]:
    """Flags of every send: never embedded data, which 2.3.9 loses silently."""
    return ["large_blocks", "compress", "raw"] if raw else ["large_blocks", "compress"]


def send_stream(
    snapshot: str, base: str | None, *, raw: bool, fd: int, resume: tuple[int, int] | None
) -> None:
    """See ports/zfs.py, send."""
    try:
        z = binding()
        start = base.encode() if base is not None else None
        try:
            if resume is None:
                z.lzc_send(snapshot.encode(), start, fd, stream_flags(raw))
            else:
                z.lzc_send_resume(snapshot.encode(), start, fd, stream_flags(raw), *resume)
        except z.exceptions.ZFSError as error:
            raise judge_errno("send", error.errno, snapshot, words_of(error)) from error
    finally:
        os.close(fd)


def receive_stream(
    snapshot: str,
    *,
    fd: int,
    to_guid: int,
    from_guid: int,
    raw: bool,
    origin: str | None,
    admit: Callable[[Begin], None],
) -> None:
    """See ports/zfs.py, receive. `admit` may refuse a stream that is the expected one."""
    try:
        z = binding()
        record = read_begin(fd, snapshot)
        begin = parse_begin(record)
        clone = origin is not None
        check_begin(begin, to_guid=to_guid, from_guid=from_guid, raw=raw, clone=clone)
        admit(begin)
        from libzfs_core.bindings.libzfs_core import ffi

        header = ffi.new("dmu_replay_record_t *")
        ffi.buffer(header)[:] = record
        try:
            z.lzc_receive_with_cmdprops(
                snapshot.encode(),
                fd,
                header,
                force=False,
                resumable=origin is None,
                raw=raw,
                origin=origin.encode() if origin is not None else None,
            )
        except z.exceptions.ZFSError as error:
            number = error.errno
            if number == ECKSUM and raw and from_guid and not _encrypted(dataset_of(snapshot)):
                # The binding calls every EINVAL a bad stream; this one is a raw increment onto a
                # dataset that is not encrypted.
                number = errno.ENODEV
            raise judge_errno("receive", number, snapshot, words_of(error)) from error
    finally:
        os.close(fd)


def _encrypted(dataset: str) -> bool:
    answer = run_program(pool_of(dataset), program_text("observe_encryption"), [dataset], False)
    return answer.get(dataset) != "off"


def read_begin(fd: int, snapshot: str) -> bytes:
    """The first 312 bytes of a stream; errors: stream-cut."""
    record = b""
    while len(record) < BEGIN_BYTES:
        piece = os.read(fd, BEGIN_BYTES - len(record))
        if not piece:
            raise judge_errno("receive", STREAM_TRUNCATED, snapshot)
        record += piece
    return record
