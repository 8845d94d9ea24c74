"""How is one proof made, from its subject to its evidence? In the thread of proofs only.

A comparison's position is stored now and then, and when it is ended early; so the next one goes on
from there, also in another process.
"""

from collections.abc import Callable, Mapping
from typing import Any

from zrepl_py.adapters.proof.position import PositionFile
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.proof_drills import make_fetcher, make_order
from zrepl_py.daemon.proof_jobs import Job
from zrepl_py.daemon.proof_scratch import Scratches
from zrepl_py.daemon.proof_subjects import choose_subject
from zrepl_py.daemon.source import Source
from zrepl_py.engine.proof import Pace, drill_copy, verify_copy
from zrepl_py.errors import Bug, Passing, ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.proof import Proof, Reading, Subject, Way
from zrepl_py.ports.proof import FarPort

STORE_SECONDS = 10.0


class Prover:
    """Makes the proofs that are asked for, one after the other."""

    def __init__(
        self,
        source: Source,
        agenda: Agenda,
        fars: Mapping[str, FarPort],
        ports: Mapping[str, Any],
        pace: Pace,
        position: PositionFile,
        scratches: Scratches,
    ) -> None:
        """See Proofs."""
        self._source, self._agenda, self._fars = source, agenda, dict(fars)
        self._ports, self._clock, self._pace = ports, ports["ClockPort"], pace
        self._position, self._scratches = position, scratches

    def prove(self, job: Job, stopping: Callable[[], bool]) -> Proof:
        """What came of it, journalled. `stopping`: the daemon ends. Errors: those of the engine,
        Refused(no-copy, no-snapshot), Passing(proof-stopped)."""
        verify = job.way is Way.VERIFY
        with self._agenda.monitor:
            begun = self._position.load() if verify else None
            subject, snapshot = choose_subject(self._source, job, begun)
        ports = {**self._ports, "FarPort": self._fars[job.target]}
        whole_name = join_snapshot(subject.dataset, subject.snapshot)
        job.total_bytes = self._ports["ProofPort"].observe_bytes(whole_name)
        job.reading = Reading(subject, job.way, int(self._clock.now()))
        note = self._make_note(job, stopping)
        if verify:
            if begun is not None and begun.subject == subject:
                job.reading = begun
            proof = self._agenda.run(verify_copy(job.reading, self._pace, note), ports)
            self._position.store(None)
        else:
            proof = self._drill(job, job.reading, snapshot, note, ports, stopping)
        self._tell_target(job, proof)
        return proof

    def _tell_target(self, job: Job, proof: Proof) -> None:
        """On the day on which this node is gone, the target is asked whether its copy is proven."""
        try:
            self._fars[job.target].tell_proof(proof)
        except Bug:
            raise
        except ZrError:
            return  # the evidence is here; the next proof tells it

    def _make_note(self, job: Job, stopping: Callable[[], bool]) -> Callable[[Reading], None]:
        stored = [self._clock.monotonic()]

        def note(now: Reading) -> None:
            job.reading = now
            stopped = stopping() or job.stopped
            if stopped or self._clock.monotonic() - stored[0] > STORE_SECONDS:
                stored[0] = self._clock.monotonic()
                if job.way is Way.VERIFY:
                    self._position.store(now)
            if stopped:
                raise Passing("proof-stopped", f"The proof of {job.dataset} was ended early.")

        return note

    def _drill(
        self,
        job: Job,
        reading: Reading,
        snapshot: Snapshot,
        note: Callable[[Reading], None],
        ports: Mapping[str, Any],
        stopping: Callable[[], bool],
    ) -> Proof:
        subject: Subject = reading.subject
        proof = self._ports["ProofPort"]
        order = make_order(proof, subject)
        self._scratches.note(order.dataset, order.mark)
        fetch = make_fetcher(job, subject, snapshot, proof, stopping)
        return self._agenda.run(drill_copy(reading, order, fetch, self._pace, note), ports)
