"""Which scratch datasets of drills may still stand, and must go? By the journal's names and marks.

Nothing is destroyed by its name alone: see engine/proof.py, sweep_scratch.
"""

from collections.abc import Callable, Mapping
from typing import Any

from zrepl_py.daemon.agenda import Agenda
from zrepl_py.engine.proof import sweep_scratch
from zrepl_py.errors import Bug, Refused, ZrError
from zrepl_py.events import Event


class Scratches:
    """Those that this node's drills made, as long as they are not known to be gone."""

    def __init__(self, agenda: Agenda, ports: Mapping[str, Any], tell: Callable[..., None]) -> None:
        """`ports`: ProofPort, ClockPort, and as JournalPort the one of proofs."""
        self._agenda, self._ports, self._tell = agenda, ports, tell
        journal = ports["JournalPort"]
        gone = {(r["dataset"], r["mark"]) for r in journal.records("scratch-gone")}
        marks = [(str(r["dataset"]), str(r["mark"])) for r in journal.records("scratch")]
        self._marks = {dataset: mark for dataset, mark in marks if (dataset, mark) not in gone}

    def __bool__(self) -> bool:
        return bool(self._marks)

    def note(self, dataset: str, mark: str) -> None:
        """One that is about to be made."""
        self._marks[dataset] = mark

    def sweep(self) -> None:
        """Destroy what an earlier drill left. Errors are told, and wait for the next time."""
        pools = {dataset.partition("/")[0] for dataset in self._marks}
        for pool in sorted(pools):
            mine = {d: m for d, m in self._marks.items() if d.startswith(pool + "/")}
            try:
                self._agenda.run(sweep_scratch(pool, mine), self._ports)
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
