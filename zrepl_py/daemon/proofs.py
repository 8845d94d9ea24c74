"""Which copies are proven, when, and what came of it? One at a time, beside everything else.

Verifications and drills that a person asks for come first, then what is due (core/proof_judge.py).
All is read by the proof workers and over a connection of its own, so no tick and no lane waits.
How one is made is in proof_runs.py, what is known of those that were made in proof_evidence.py.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.adapters.proof.position import PositionFile
from zrepl_py.core.proof_judge import choose_due
from zrepl_py.daemon.agenda import Agenda
from zrepl_py.daemon.lanes import LaneState
from zrepl_py.daemon.proof_evidence import Evidence
from zrepl_py.daemon.proof_jobs import Job, describe_job, names_of, readers_of
from zrepl_py.daemon.proof_runs import Prover
from zrepl_py.daemon.proof_scratch import Scratches
from zrepl_py.daemon.source import Source
from zrepl_py.engine.proof import Pace
from zrepl_py.errors import Bug, Refused, ZrError
from zrepl_py.events import Event
from zrepl_py.model.config import ProofLimits
from zrepl_py.model.proof import LastProofs, Way
from zrepl_py.ports.clock import ClockPort
from zrepl_py.ports.proof import FarPort

FIRST_SECONDS = 1800.0
"""After the start, before anything is proven by itself: there is enough to do then."""
WATCH_SECONDS = 60.0
RETRY_SECONDS = 3600.0
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
        self._source, self.agenda, self._clock, self._tell = source, agenda, clock, tell
        self._limits, self._position, self._sever = limits, position, sever
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._failed: dict[str, float] = {}
        self._stopping = False
        self._evidence = Evidence(ports["JournalPort"], tell)
        self._scratches = Scratches(agenda, ports, tell)
        pace = Pace(limits.rate_bytes)
        self._prover = Prover(source, agenda, fars, ports, pace, position, self._scratches)

    def start(self) -> None:
        """Sweep what an earlier run left; then prove what is due, from time to time."""
        if self._scratches:
            self.agenda.ask("sweep", self._scratches.sweep)
        self.agenda.ask("watch", self._watch, FIRST_SECONDS)

    def stop(self) -> None:
        """End what runs, soon; it goes on where it was after the next start."""
        self._stopping = True
        self._sever()

    def last(self, lane: str) -> LastProofs:
        """What is known of a lane's copy."""
        return self._evidence.last(lane)

    def readers(self) -> dict[int, str]:
        """guid → which proof needs this node's own snapshot of it now."""
        with self._lock:
            return readers_of(self._jobs.values())

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
            wanted = [s for s in wanted if not s.lane.turned] or _refuse_turned(wanted)
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
        self._scratches.sweep()
        with self.agenda.monitor:
            now = self._clock.monotonic()
            states = {
                uuid: state
                for uuid, state in self._source.lanes.states.items()
                if state.committed is not None
                and not state.lane.turned
                and now - self._failed.get(uuid, -RETRY_SECONDS) >= RETRY_SECONDS
            }
        begun = self._position.load()
        hour = datetime.fromtimestamp(self._clock.now(), observe_local_zone()).hour
        due = choose_due(
            sorted(states, key=lambda lane: states[lane].lane.dataset),
            self._evidence.all(),
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
            proof = self._prover.prove(job, lambda: self._stopping)
            self._evidence.add(job, proof)  # before whoever waits hears that it has ended
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
        self.agenda.ask("work", self._work)


def _refuse_turned(wanted: list[LaneState]) -> list[LaneState]:
    if not wanted:
        return []
    raise Refused(
        "no-copy",
        f"The copy of {wanted[0].lane.dataset} is on the node whose policy founded the group: it "
        "cannot be proven from here yet.",
        "After `zr switchover` the copy on this node can be.",
    )
