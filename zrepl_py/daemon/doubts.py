"""What retention asks a person about: told once per dataset, and again when it is another question.

The question stays open until the plan is allowed (`zr retention apply`), or its reason has passed.
"""

from zrepl_py.core.caution import Removal
from zrepl_py.daemon.lanes import Tell
from zrepl_py.events import Event


class Doubts:
    """The open questions of one side of the daemon."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._open: dict[str, str] = {}
        """Dataset → the reason that was told."""

    def note(self, dataset: str, removal: Removal) -> None:
        """Tell of it, where that is news."""
        doubt = removal.doubt
        if doubt is None:
            self._open.pop(dataset, None)
        elif self._open.get(dataset) != doubt.reason:
            self._open[dataset] = doubt.reason
            self._tell(
                Event.RETENTION_ASKS,
                dataset=dataset,
                reason=doubt.reason,
                message=doubt.sentence,
                snapshots=len(removal.withheld),
                plan=removal.digest,
                allow=f"zr retention apply {dataset} --plan {removal.digest}",
            )
