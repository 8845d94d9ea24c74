"""Which snapshot of a copy is to be proven? The newest that both sides have; or that of an
interrupted comparison, or the one that a person named. Looks at what the daemon knows only.
"""

from zrepl_py.daemon.proof_jobs import Job
from zrepl_py.daemon.source import Source
from zrepl_py.errors import Refused
from zrepl_py.model.history import EMPTY, History, Snapshot
from zrepl_py.model.observation import Kind
from zrepl_py.model.proof import Reading, Subject


def choose_subject(source: Source, job: Job, begun: Reading | None) -> tuple[Subject, Snapshot]:
    """The copy, and the source's snapshot of it. Call it with the monitor.

    `begun`: a comparison that was interrupted, of whatever copy. Errors: Refused(no-copy,
    no-snapshot).
    """
    state = source.lanes.states.get(job.lane)
    if state is None or state.committed is None:
        raise Refused(
            "no-copy",
            f"{job.target} is not known to have a copy of {job.dataset} yet.",
            "`zr status` says how far it is; `zr replicate` sends what is missing.",
        )
    history = source.history_of(job.dataset) or EMPTY
    chosen = _choose_snapshot(history, job, state.committed.guid, begun)
    if chosen is None:
        raise Refused(
            "no-snapshot",
            f"{job.dataset} has no such snapshot any more.",
            "Name another one, or none: then the newest common one is taken.",
        )
    kinds = {
        name: member.dataset.kind
        for group in source.groups.values()
        for name, member in group.members.items()
    }
    lane, volume = state.lane, kinds.get(job.dataset) is Kind.VOLUME
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


def _choose_snapshot(
    history: History, job: Job, committed: int, begun: Reading | None
) -> Snapshot | None:
    if job.snapshot is not None:
        name = job.snapshot.rpartition("@")[2]
        return next((s for s in history.snapshots if s.name == name), None)
    chosen = history.snapshot(committed)
    if begun is not None and begun.subject.lane == job.lane:
        return history.snapshot(begun.subject.guid) or chosen
    return chosen
