"""The role lanes port: this node's own streams of one group, as a change of roles must touch them.

The streams themselves are the lanes' matter (engine/lane.py, engine/receive.py); which of them may
run, the role says (core/roles.RIGHTS, core/role_words.judge_stream).
"""

from collections.abc import Mapping
from typing import Protocol

from zrepl_py.model.history import Snapshot


class RoleLanesPort(Protocol):
    """The lanes of one group on this node."""

    def observe_receives(self) -> frozenset[str]:
        """Datasets of the group into which a stream is being received at this moment."""

    def end_receives(self) -> None:
        """None is received any more when this returns; what arrived is kept for resuming. One that
        could not be ended within 30 s: Passing(busy)."""

    def note_tick(self, taken: Mapping[str, Snapshot]) -> None:
        """The role took these snapshots itself, by the datasets' names: so the next `send_all` need
        not look for what there is."""

    def send_all(self) -> None:
        """Try once to bring the other node to the newest snapshot of every member; returns when
        that was tried, whether it came to the end or not (the other node's word says what is
        there). Errors: Passing(peer-silent)."""
