"""Prove one copy: page by page, both sides, each read where it is; or restored, and then read here.

A comparison can be given up between any two pages and gone on with later. It never waits for a
lane and no lane waits for it. What was found is journalled before anybody is told.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from zrepl_py.core.codec import encode
from zrepl_py.core.proof_compare import (
    add_page,
    compare_records,
    is_same,
    judge_tally,
    meeting,
)
from zrepl_py.core.proof_judge import explain_proof
from zrepl_py.engine.commands import Engine, ask
from zrepl_py.errors import Passing, Standing
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.proof import (
    FORMAT,
    NO_CHAIN,
    Page,
    Position,
    Proof,
    Reading,
    ScratchOrder,
    Tally,
    Verdict,
)
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.journal import JournalPort, Json
from zrepl_py.ports.proof import FarPort, ProofPort

STEP_SECONDS = 1.0
Note = Callable[[Reading], None]
"""Told after each page; raises a ZrError to end the comparison there."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast is read."""

    rate_bytes: int
    """Per second, on each side."""


def verify_copy(reading: Reading, pace: Pace, note: Note) -> Engine[Proof]:
    """Compare the copy on the target with the source's snapshot; journalled. Errors: those of the
    ports, and of `note`; a key that is missing is a verdict."""
    subject = reading.subject
    source = join_snapshot(subject.dataset, subject.snapshot)

    def read(after: Position, acls: bool, listed: bool) -> Engine[tuple[Page, Page]]:
        mine = yield from ask(
            ProofPort.read_page, source, subject.guid, after, subject.form, acls, listed
        )
        theirs = yield from ask(
            FarPort.read_far_page, subject.lane, subject.guid, after, subject.form, acls, listed
        )
        return mine, theirs

    try:
        done = yield from _compare(reading, pace, note, read)
    except Standing as error:
        yield from ask(ProofPort.let_go, source)
        if error.reason != "key-missing":
            raise
        return (yield from _conclude(reading, Verdict.UNCOMPARABLE))
    return (yield from _conclude(done, judge_tally(done.tally)))


def drill_copy(
    reading: Reading,
    order: ScratchOrder,
    fetch: Callable[[ScratchOrder], Engine[int]],
    pace: Pace,
    note: Note,
) -> Engine[Proof]:
    """Restore the copy into a scratch dataset, compare it, and destroy it again; journalled.

    `fetch` brings it here, and returns the bytes of its stream. However this ends, the scratch
    dataset goes, or its mark stays in the journal for the next start. Errors: as verify_copy.
    """
    subject = reading.subject
    pool = subject.dataset.partition("/")[0]
    marked: dict[str, Json] = {"dataset": order.dataset, "mark": order.mark, "guid": order.guid}
    yield from ask(JournalPort.append, "scratch", marked)
    try:
        began = yield from ask(ClockPort.monotonic)
        size = yield from fetch(order)
        seconds = round((yield from ask(ClockPort.monotonic)) - began, 3)
        source = join_snapshot(subject.dataset, subject.snapshot)
        scratch = join_snapshot(order.dataset, order.snapshot)

        def read(after: Position, acls: bool, listed: bool) -> Engine[tuple[Page, Page]]:
            pages = []
            for snapshot in (source, scratch):
                pages.append(
                    (
                        yield from ask(
                            ProofPort.read_page,
                            snapshot,
                            subject.guid,
                            after,
                            subject.form,
                            acls,
                            listed,
                        )
                    )
                )
            return pages[0], pages[1]

        try:
            done = yield from _compare(reading, pace, note, read)
            verdict = judge_tally(done.tally)
        except Standing as error:
            yield from ask(ProofPort.let_go, source)
            if error.reason != "key-missing":
                raise
            done, verdict = reading, Verdict.UNCOMPARABLE
        return (yield from _conclude(done, verdict, seconds, size))
    finally:
        with suppress(Passing):  # its mark stays in the journal, and it is swept later
            yield from sweep_scratch(pool, {order.dataset: order.mark})


def sweep_scratch(pool: str, marks: dict[str, str]) -> Engine[None]:
    """Destroy those scratch datasets of a pool whose name and mark this node's journal has. The
    worker looks at name and mark again, in the very txg."""
    seen = yield from ask(ProofPort.observe_scratch, pool)
    for dataset, mark in marks.items():
        if mark and seen.get(dataset) == mark:
            yield from ask(ProofPort.destroy_scratch, dataset, mark)
            yield from ask(JournalPort.append, "scratch-gone", {"dataset": dataset, "mark": mark})


def _compare(
    reading: Reading,
    pace: Pace,
    note: Note,
    read: Callable[[Position, bool, bool], Engine[tuple[Page, Page]]],
) -> Engine[Reading]:
    """From where `reading` stands to the end."""
    ended = False
    while not ended:
        began = yield from ask(ClockPort.monotonic)
        at, acls = reading.at, reading.tally.acls
        mine, theirs = yield from read(at, acls, False)
        if mine.acls != theirs.acls:
            # One side does not show access control lists: both go on without them.
            reading = replace(reading, tally=replace(reading.tally, acls=False))
            continue
        if is_same(mine, theirs):
            tally, after, ended = add_page(reading.tally, mine, ()), mine.next, mine.ended
        else:
            mine, theirs = yield from read(at, acls, True)
            after, ended = meeting(mine, theirs)
            found = compare_records(
                mine.records,
                theirs.records,
                None if ended else after,
                reading.tally.differences,
            )
            tally = add_page(reading.tally, mine, found)
        reading = replace(reading, at=after, tally=tally)
        note(reading)
        yield from _rest(began, mine.size_bytes, pace)
    return reading


def _rest(began: float, size_bytes: int, pace: Pace) -> Engine[None]:
    """Wait until so many bytes may have been read; in short steps, so that a stop is soon felt."""
    until = began + size_bytes / pace.rate_bytes
    while (left := until - (yield from ask(ClockPort.monotonic))) > 0:
        yield from ask(ClockPort.sleep, min(left, STEP_SECONDS))


def _conclude(
    reading: Reading,
    verdict: Verdict,
    restore_seconds: float | None = None,
    stream_bytes: int | None = None,
) -> Engine[Proof]:
    tally: Tally = reading.tally
    now = yield from ask(ClockPort.now)
    whole = verdict is Verdict.EQUAL and reading.at.chain != NO_CHAIN
    proof = Proof(
        format=FORMAT,
        way=reading.way,
        verdict=verdict,
        subject=reading.subject,
        began_at=reading.began_at,
        ended_at=int(now),
        entries=tally.entries,
        size_bytes=tally.size_bytes,
        digest=reading.at.chain if whole else "",
        restore_seconds=restore_seconds,
        stream_bytes=stream_bytes,
        wrong=tally.wrong,
        differences=tally.differences,
        left_out=()
        if tally.acls or verdict is Verdict.UNCOMPARABLE or reading.subject.volume
        else ("acls",),
    )
    proof = replace(proof, why=explain_proof(proof))
    yield from ask(JournalPort.append, "proof", {"proof": encode(proof)})
    return proof
