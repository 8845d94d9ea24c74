"""What retention asks a person about: told once per dataset, and again when it is another question.

The question stays open until the plan is allowed (`zr retention apply`), or its reason has passed.
"""

from typing import Any

from zrepl_py.core.caution import Removal
from zrepl_py.daemon.lanes import Tell
from zrepl_py.events import Event


class Doubts:
    """The open questions of one side of the daemon."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._open: dict[str, dict[str, Any]] = {}
        """Dataset → the question, as it was last seen."""

    @property
    def questions(self) -> list[dict[str, Any]]:
        """Those that are open, by dataset (docs/reference/status.md)."""
        return [self._open[dataset] for dataset in sorted(self._open)]

    def note(self, dataset: str, removal: Removal) -> None:
        """Tell of it, where that is news."""
        doubt, known = removal.doubt, self._open.pop(dataset, None)
        if doubt is None:
            return
        self._open[dataset] = question = {
            "dataset": dataset,
            "reason": doubt.reason,
            "message": doubt.sentence,
            "snapshots": len(removal.withheld),
            "plan": removal.digest,
            "allow": f"zr retention apply {dataset} --plan {removal.digest}",
        }
        if known is None or known["reason"] != doubt.reason:
            self._tell(Event.RETENTION_ASKS, **question)

    def forget(self, dataset: str) -> None:
        """It is not there any more, or not this side's."""
        self._open.pop(dataset, None)
