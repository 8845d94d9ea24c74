"""The server's answer to a FETCH: a list, or a stream with the roles changed.

Used by session.py. The stream is that of outgoing.py: the asking node is its receiver, says READY
and COMMITTED or FAILURE, and closes the connection to cancel.
"""

from zrepl_py.adapters.flow.task import Task
from zrepl_py.adapters.peer.framing import FrameType
from zrepl_py.adapters.peer.incoming import await_task
from zrepl_py.adapters.peer.limits import Limits
from zrepl_py.adapters.peer.link import Link
from zrepl_py.adapters.peer.messages import parse_fetch, render_failure, render_message
from zrepl_py.adapters.peer.outgoing import OutgoingStream
from zrepl_py.errors import Bug, Refused, ZrError
from zrepl_py.model.fetch import Copies, CopyName, FetchCopies, FetchPage, FetchStream, TellProof
from zrepl_py.model.history import Snapshot
from zrepl_py.model.proof import Page
from zrepl_py.model.wire import Begin, LaneName
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.copies import CopyPort


def serve_fetch(
    link: Link,
    payload: memoryview,
    copies: CopyPort | None,
    source: str,
    epoch: str,
    clock: ClockPort,
    limits: Limits,
) -> None:
    """Answer one FETCH. What goes wrong before a stream has begun is said, and the connection
    lives on; later it is raised, and ends it."""
    fetch = parse_fetch(payload)
    try:
        if copies is None:
            raise Refused("not-a-target", "This node keeps no replicas.")
        if isinstance(fetch, FetchPage):
            page = _read_page(link, copies, source, fetch, clock, limits)
            said = render_message(FrameType.COPIES, page)
        elif isinstance(fetch, FetchStream):
            copy, snapshot = copies.find_version(source, fetch.lane, fetch.guid)
        elif isinstance(fetch, TellProof):
            copies.store_proof(source, fetch.proof)
            said = render_message(FrameType.COPIES, Copies())
        elif isinstance(fetch, FetchCopies):
            said = render_message(FrameType.COPIES, Copies(copies.observe_copies(source)))
        else:
            versions = copies.observe_versions(source, fetch.lane)
            said = render_message(FrameType.COPIES, Copies(snapshots=versions))
    except Bug:
        raise
    except ZrError as error:
        link.say(FrameType.FAILURE, render_failure(error), limits.call_seconds)
        return
    if not isinstance(fetch, FetchStream):
        link.say(FrameType.COPIES, said, limits.call_seconds)
        return
    _send(link, copies, source, fetch, copy, snapshot, epoch, clock, limits)


def _read_page(
    link: Link,
    copies: CopyPort,
    source: str,
    fetch: FetchPage,
    clock: ClockPort,
    limits: Limits,
) -> Page:
    """Reading takes a while: the asking node is told meanwhile that we live."""

    def work() -> Page:
        return copies.read_page(
            source,
            fetch.lane,
            fetch.guid,
            fetch.after,
            fetch.form,
            acls=fetch.acls,
            listed=fetch.listed,
        )

    task = Task(work, f"page {fetch.lane}")
    try:
        return await_task(link, task, clock, limits, limits.call_seconds)
    finally:
        task.close()


def _send(
    link: Link,
    copies: CopyPort,
    source: str,
    fetch: FetchStream,
    copy: CopyName,
    snapshot: Snapshot,
    epoch: str,
    clock: ClockPort,
    limits: Limits,
) -> None:
    begin = Begin(
        lane=LaneName(fetch.lane, copy.dataset),
        to_name=snapshot.name,
        to_guid=snapshot.guid,
        from_guid=0,
        raw=copy.encrypted,
        resumes=False,
        epoch=epoch,
    )
    link.bear_stall(limits.stall_seconds)
    port, lane, guid = copies, fetch.lane, fetch.guid
    OutgoingStream(
        link,
        begin,
        lambda fd: port.send_version(source, lane, guid, fd),
        clock=clock,
        limits=limits,
        squeezer=None,
        progress=lambda _: None,
    ).run()
