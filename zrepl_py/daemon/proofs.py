"""Which copies are proven, when, and what came of it? One at a time, beside everything else.

Verifications and drills that a person asks for come first, then what is due (core/proof_judge.py).
All is read by the proof workers and over a connection of its own, so no tick and no lane waits.
Evidence is in a journal of its own; this is what is remembered of it.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.adapters.proof.position import PositionFile
from zrepl_py.core.codec import decode
from zrepl_py.core.proof_judge import choose_due, last_proofs
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.lanes import LaneState
from zrepl_py.daemon.proof_drills import make_fetcher, make_order
from zrepl_py.daemon.proof_jobs import Job, describe_job, names_of
from zrepl_py.daemon.source import Source
from zrepl_py.engine.proof import (
    Pace,
    drill_copy,
    sweep_scratch,
    verify_copy,
)
from zrepl_py.errors import Bug, Passing, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.config import ProofLimits
from zrepl_py.model.history import EMPTY, Snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.proof import (
    LastProofs,
    Proof,
    Reading,
    Subject,
    Verdict,
    Way,
)
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.proof import FarPort, ProofPort

FIRST_SECONDS = 1800.0
"""After the start, before anything is proven by itself: there is enough to do then."""
WATCH_SECONDS = 60.0
RETRY_SECONDS = 3600.0
STORE_SECONDS = 10.0
KEPT_JOBS = 1000


class Proofs:
    """All proofs of the copies that this node has elsewhere."""

    def __init__(
        self,
        *,
        source: Source,
        agenda: Agenda,
        fars: Mapping[str, FarPort],
        ports: Mapping[str, Any],
        clock: ClockPort,
        tell: Callable[..., None],
        limits: ProofLimits,
        position: PositionFile,
        sever: Callable[[], None] = lambda: None,
    ) -> None:
        """`agenda`: of one thread, for nothing else. `fars`: target's name → the way to it.
        `ports`: ProofPort, ZfsPort, ClockPort, and as JournalPort the one of proofs. `sever`: ends
        what runs on the ways."""
        self._source, self.agenda, self._fars = source, agenda, dict(fars)
        self._ports, self._clock, self._tell = dict(ports), clock, tell
        self._limits, self._position, self._sever = limits, position, sever
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._failed: dict[str, float] = {}
        self._stopping = False
        journal = self._ports["JournalPort"]
        proofs: list[Proof] = [decode(Proof, r["proof"]) for r in journal.records("proof")]
        self._last = last_proofs(proofs)
        gone = {(r["dataset"], r["mark"]) for r in journal.records("scratch-gone")}
        marks = [(str(r["dataset"]), str(r["mark"])) for r in journal.records("scratch")]
        self._marks = {dataset: mark for dataset, mark in marks if (dataset, mark) not in gone}

    def start(self) -> None:
        """Sweep what an earlier run left; then prove what is due, from time to time."""
        if self._marks:
            self.agenda.ask("sweep", self._sweep)
        self.agenda.ask("watch", self._watch, FIRST_SECONDS)

    def stop(self) -> None:
        """End what runs, soon; it goes on where it was after the next start."""
        self._stopping = True
        self._sever()

    def last(self, lane: str) -> LastProofs:
        """What is known of a lane's copy."""
        return self._last.get(lane, LastProofs())

    def begin(
        self,
        way: str,
        datasets: list[str] | None = None,
        snapshot: str | None = None,
    ) -> dict[str, list[str]]:
        """Prove the copies of these datasets, or of all, as soon as it can be; ids of the jobs.

        Errors: Refused(not-protected, no-copy, bad-call).
        """
        if way not in set(Way):
            raise Refused("bad-call", f"There is no way {way!r} to prove a copy.")
        with self.agenda.monitor:
            states = list(self._source.lanes.states.values())
            known = {state.lane.dataset for state in states}
            unknown = sorted(set(datasets or ()) - known)
            if unknown or not states:
                raise Refused(
                    "not-protected",
                    f"{', '.join(unknown) or 'Nothing'} is sent to another node by this one.",
                    "`zr policy explain DATASET` says why.",
                )
            wanted = [s for s in states if not datasets or s.lane.dataset in datasets]
            jobs = [self._make(s, Way(way), snapshot, asked=True) for s in wanted]
        for job in jobs:
            self._add(job)
        return {"jobs": [job.known_as for job in jobs]}

    def look(self, jobs: list[str]) -> list[dict[str, Any]]:
        """How far these are. Errors: Refused(no-proof) for one that is not known."""
        with self._lock:
            unknown = [known_as for known_as in jobs if known_as not in self._jobs]
            if unknown:
                raise Refused(
                    "no-proof",
                    "The daemon does not know of this proof: it was started again.",
                    "Ask for it again; what was read already is not read again.",
                )
            return [describe_job(self._jobs[known_as]) for known_as in jobs]

    def end(self, jobs: list[str]) -> None:
        """Let these end, or not begin; how far they came is remembered."""
        with self._lock:
            for known_as in jobs:
                if known_as in self._jobs:
                    self._jobs[known_as].stopped = True

    def _make(self, state: LaneState, way: Way, snapshot: str | None, *, asked: bool) -> Job:
        lane = state.lane
        known_as = secrets.token_hex(8)
        return Job(known_as, lane.uuid, lane.dataset, lane.target.name, way, snapshot, asked)

    def _add(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.known_as] = job
            ended = [k for k, j in self._jobs.items() if j.state in ("ended", "failed")]
            for known_as in ended[: max(0, len(self._jobs) - KEPT_JOBS)]:
                del self._jobs[known_as]
        self.agenda.ask("work", self._work)

    def _watch(self) -> None:
        """Begin what is due, if nothing runs."""
        self._sweep()
        with self.agenda.monitor:
            now = self._clock.monotonic()
            states = {
                uuid: state
                for uuid, state in self._source.lanes.states.items()
                if state.committed is not None
                and now - self._failed.get(uuid, -RETRY_SECONDS) >= RETRY_SECONDS
            }
        begun = self._position.load()
        hour = datetime.fromtimestamp(self._clock.now(), observe_local_zone()).hour
        due = choose_due(
            sorted(states, key=lambda lane: states[lane].lane.dataset),
            self._last,
            begun.subject.lane if begun else None,
            self._clock.now(),
            hour,
            self._limits,
        )
        with self._lock:
            busy = any(job.state in ("waiting", "running") for job in self._jobs.values())
        if due is not None and not busy:
            self._add(self._make(states[due.lane], due.way, None, asked=False))
        self.agenda.ask("watch", self._watch, WATCH_SECONDS)

    def _work(self) -> None:
        with self._lock:
            job = next((j for j in self._jobs.values() if j.state == "waiting"), None)
            if job is None or self._stopping:
                return
            job.state = "running"
        try:
            proof = self._prove(job)
        except Bug:
            raise
        except ZrError as error:
            job.error, job.state = error, "failed"
            if not self._stopping and not job.stopped:
                self._failed[job.lane] = self._clock.monotonic()
                why = {"reason": error.reason, "message": str(error)}
                self._tell(Event.PROOF_FAILED, **names_of(job), **why)
        else:
            self._failed.pop(job.lane, None)
            job.proof, job.state = proof, "ended"
            self._conclude(job, proof)
        self.agenda.ask("work", self._work)

    def _conclude(self, job: Job, proof: Proof) -> None:
        known = self.last(job.lane)
        verify = proof.way is Way.VERIFY
        self._last[job.lane] = (
            replace(known, verified=proof) if verify else replace(known, drilled=proof)
        )
        event = {
            Verdict.EQUAL: Event.COPY_PROVEN,
            Verdict.UNCOMPARABLE: Event.COPY_UNPROVEN,
        }.get(proof.verdict, Event.COPY_DAMAGED)
        counted = {"entries": proof.entries, "size_bytes": proof.size_bytes, "wrong": proof.wrong}
        paths = [d.path for d in proof.differences[:100]]
        self._tell(
            event,
            **names_of(job),
            snapshot=proof.subject.snapshot,
            verdict=str(proof.verdict),
            **counted,
            restore_seconds=proof.restore_seconds,
            paths=paths,
            message=proof.why,
        )

    def _prove(self, job: Job) -> Proof:
        subject, snapshot = self._subject(job)
        ports = {**self._ports, "FarPort": self._fars[job.target]}
        job.total_bytes = self._ports["ProofPort"].observe_bytes(
            f"{subject.dataset}@{subject.snapshot}"
        )
        reading = Reading(subject, job.way, int(self._clock.now()))
        pace = Pace(self._limits.rate_bytes)
        stored = [self._clock.monotonic()]

        def note(now: Reading) -> None:
            job.reading = now
            if self._stopping or job.stopped or self._clock.monotonic() - stored[0] > STORE_SECONDS:
                stored[0] = self._clock.monotonic()
                if job.way is Way.VERIFY:
                    self._position.store(now)
            if self._stopping or job.stopped:
                raise Passing("proof-stopped", f"The proof of {job.dataset} was ended early.")

        if job.way is Way.VERIFY:
            begun = self._position.load()
            if begun is not None and begun.subject == subject:
                reading = begun
            job.reading = reading
            proof = self.agenda.run(verify_copy(reading, pace, note), ports)
            self._position.store(None)
            return proof
        return self._drill(job, subject, snapshot, pace, note, ports)

    def _drill(
        self,
        job: Job,
        subject: Subject,
        snapshot: Snapshot,
        pace: Pace,
        note: Callable[[Reading], None],
        ports: Mapping[str, Any],
    ) -> Proof:
        job.reading = reading = Reading(subject, Way.DRILL, int(self._clock.now()))
        proof: ProofPort = self._ports["ProofPort"]
        order = make_order(proof, subject)
        self._marks[order.dataset] = order.mark
        fetch = make_fetcher(job, subject, snapshot, proof, lambda: self._stopping)
        return self.agenda.run(drill_copy(reading, order, fetch, pace, note), ports)

    def _subject(self, job: Job) -> tuple[Subject, Snapshot]:
        """The copy, by the newest snapshot that both sides have; or that of an interrupted
        comparison, or the one that was asked for. Errors: Refused(no-copy, no-snapshot)."""
        with self.agenda.monitor:
            state = self._source.lanes.states.get(job.lane)
            history = self._source.history_of(job.dataset) or EMPTY
            if state is None or state.committed is None:
                raise Refused(
                    "no-copy",
                    f"{job.target} is not known to have a copy of {job.dataset} yet.",
                    "`zr status` says how far it is; `zr replicate` sends what is missing.",
                )
            kinds = {
                name: member.dataset.kind
                for group in self._source.groups.values()
                for name, member in group.members.items()
            }
            begun = self._position.load() if job.way is Way.VERIFY else None
            chosen = history.snapshot(state.committed.guid)
            if job.snapshot is not None:
                name = job.snapshot.rpartition("@")[2]
                chosen = next((s for s in history.snapshots if s.name == name), None)
            elif begun is not None and begun.subject.lane == job.lane:
                chosen = history.snapshot(begun.subject.guid) or chosen
            if chosen is None:
                raise Refused(
                    "no-snapshot",
                    f"{job.dataset} has no such snapshot any more.",
                    "Name another one, or none: then the newest common one is taken.",
                )
            volume = kinds.get(job.dataset) is Kind.VOLUME
            lane = state.lane
        return (
            Subject(
                lane.uuid,
                lane.dataset,
                lane.target.name,
                chosen.name,
                chosen.guid,
                volume,
                lane.raw,
            ),
            chosen,
        )

    def _sweep(self) -> None:
        """Destroy scratch datasets that an earlier run left. Errors wait for the next time."""
        pools = {dataset.partition("/")[0] for dataset in self._marks}
        for pool in sorted(pools):
            mine = {d: m for d, m in self._marks.items() if d.startswith(pool + "/")}
            try:
                self.agenda.run(sweep_scratch(pool, mine), self._ports)
            except Bug:
                raise
            except ZrError as error:
                why = {"reason": error.reason, "message": str(error)}
                self._tell(Event.PROOF_FAILED, dataset=pool, target="", way="sweep", **why)
                if not isinstance(error, Refused):
                    continue
                # Somebody put something in it: until the next start it is theirs.
            for dataset in mine:
                self._marks.pop(dataset, None)
