"""Streams through `zfs send` and `zfs receive`.

The stream's BEGIN is read and checked before `zfs receive` is started, which then gets it back in
front of the rest. A peer's resume token is never used: for `zfs send -t` one is
made here, of a validated (object, offset) and of guids that were read from this pool.
"""

import errno
import os
import select
import subprocess
from collections.abc import Callable, Sequence

from zrepl_py.adapters.zfs.begin import BEGIN_BYTES, Begin, check_begin, is_end_record, parse_begin
from zrepl_py.adapters.zfs.command_errors import judge_command, parse_errno_words
from zrepl_py.adapters.zfs.forks import Ended, start
from zrepl_py.adapters.zfs.lzc_streams import read_begin
from zrepl_py.adapters.zfs.resume_token import ResumeToken, render_resume_token
from zrepl_py.adapters.zfs.translate import ECKSUM, STREAM_TRUNCATED, judge_errno
from zrepl_py.model.observation import ResumePoint

_CHUNK_BYTES = 1 << 17
_END_SECONDS = 120.0


def render_send_argv(
    snapshot: str,
    base: str | None,
    *,
    raw: bool,
    resume: tuple[int, int] | None,
    guids: tuple[int, int] | None,
) -> list[str]:
    """The arguments of `zfs send`; `guids` of snapshot and base (or 0) are needed to resume."""
    if resume is not None and guids is not None:
        point = ResumePoint(guids[0], guids[1], resume[0], resume[1], 0, raw)
        return ["zfs", "send", "-t", render_resume_token(ResumeToken(point, snapshot))]
    flags = ["-L", "-c", "-w"] if raw else ["-L", "-c"]
    since = ["-i", base] if base is not None else []
    return ["zfs", "send", *flags, *since, "--", snapshot]


def send_by_command(
    snapshot: str,
    base: str | None,
    *,
    raw: bool,
    fd: int,
    resume: tuple[int, int] | None,
    guids: tuple[int, int] | None,
) -> None:
    """See ports/zfs.py, send; does not close `fd`."""
    argv = render_send_argv(snapshot, base, raw=raw, resume=resume, guids=guids)
    child = start(argv, stdin=subprocess.DEVNULL, stdout=fd)
    words = child.communicate()[1].decode("utf-8", "replace")
    if child.returncode < 0:
        raise judge_errno("send", errno.EPIPE, snapshot)
    if child.returncode != 0:
        raise judge_command("send", Ended(child.returncode, "", words), snapshot)


def receive_by_command(
    snapshot: str,
    *,
    fd: int,
    to_guid: int,
    from_guid: int,
    raw: bool,
    admit: Callable[[Begin], None],
    origin: str | None = None,
    argv: Sequence[str] = (),
) -> None:
    """See ports/zfs.py, receive; does not close `fd`. `admit` may refuse an expected stream.

    `argv`: another `zfs receive` than the resumable one of a replica; never with -F.
    """
    record = read_begin(fd, snapshot)
    begin = parse_begin(record)
    clone = origin is not None
    check_begin(begin, to_guid=to_guid, from_guid=from_guid, raw=raw, clone=clone)
    admit(begin)
    read_end, write_end = os.pipe()
    how = ["-u", "-o", f"origin={origin}"] if origin is not None else ["-s", "-u"]
    try:
        child = start(
            list(argv) or ["zfs", "receive", *how, "--", snapshot],
            stdin=read_end,
            stdout=subprocess.DEVNULL,
        )
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    cut = False
    try:
        cut = _relay(record, fd, write_end, to_guid)
    finally:
        os.close(write_end)
        words = _last_words(child)
    if child.returncode == 0:
        return
    if cut and parse_errno_words("receive", words) == ECKSUM:
        raise judge_errno("receive", STREAM_TRUNCATED, snapshot)
    raise judge_command("receive", Ended(child.returncode, "", words), snapshot)


def _last_words(child: subprocess.Popen[bytes]) -> str:
    try:
        said = child.communicate(timeout=_END_SECONDS)[1]
    except subprocess.TimeoutExpired:
        child.kill()
        said = child.communicate()[1]
    return said.decode("utf-8", "replace")


def _relay(record: bytes, source: int, target: int, to_guid: int) -> bool:
    """Move `record` and then all of `source` into `target`, until either is at its end.

    Returns whether the source ended before its END record; False where the reader went first.
    """
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(target, 0)  # POLLERR comes unasked when the reader has gone.
    tail = b""
    try:
        os.write(target, record)
        while True:
            seen = dict(poll.poll())
            if seen.get(target, 0) & select.POLLERR:
                return False
            if source not in seen:
                continue
            piece = os.read(source, _CHUNK_BYTES)
            if not piece:
                return not is_end_record(tail, to_guid)
            tail = (tail + piece[-BEGIN_BYTES:])[-BEGIN_BYTES:]
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
    except BrokenPipeError:
        return False
