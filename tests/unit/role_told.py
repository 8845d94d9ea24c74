"""What a daemon says of roles, as recorded, and a control socket that says it step by step."""

from collections.abc import Sequence
from typing import Any

from zrepl_py.core.roles import WAITING
from zrepl_py.errors import Refused, ZrError
from zrepl_py.model.roles import State

COMMAND = "zr promote radio --on beta --force --i-fenced alpha --accept-loss 2026-11-21T09:14:23Z"
STATEMENT = (*COMMAND.split()[2:],)
LINES = [
    "Lost would be what was written on alpha after 2026-11-21T09:14:23Z (at most 37 s, "
    "of which alpha has been silent for 35 s).",
]


def role(**changed: Any) -> dict[str, Any]:
    """`role_show` of a standby whose primary is silent, unless changed."""
    usual = {
        "group": "radio",
        "name": "radio/tank",
        "state": "standby",
        "since": "2026-11-21T09:00:00+00:00",
        "epoch": "1-9f3a21cc",
        "primary": "alpha",
        "here": "beta",
        "peer": "alpha",
        "peer_state": None,
        "claim": "silent",
        "verdict": "unjudged",
        "fit": "fresh",
        "whole_tick": "2026-11-21T09:14:23+00:00",
        "lag_seconds": None,
        "order": "none",
        "step": "rest",
        "error": None,
        "blocked": None,
        "address": None,
        "services": {},
        "rescues": [],
    } | changed
    return {"says": WAITING[State(usual["state"])]} | usual


def serving(**changed: Any) -> dict[str, Any]:
    """beta, after it was promoted."""
    usual = {"state": "primary-alone", "epoch": "2-ab12cd34", "primary": "beta"}
    return role(**usual | changed)


def failure(error: ZrError) -> dict[str, str]:
    """As it travels in an answer."""
    return {
        "kind": type(error).__name__,
        "reason": error.reason,
        "message": error.message,
        "remedy": error.remedy,
    }


class Told:
    """Verbs for a ControlServer: `shown` one after the other, the last again and again; `looked`
    alike. What was asked is in `ordered`."""

    def __init__(
        self,
        shown: Sequence[dict[str, Any]],
        looked: Sequence[dict[str, Any]] = (),
        refused: ZrError | None = None,
    ) -> None:
        self._shown, self._looked, self._refused = list(shown), list(looked), refused
        self.ordered: list[dict[str, Any]] = []

    @property
    def verbs(self) -> dict[str, Any]:
        """For `cli_support.daemon`."""
        return {
            "role_show": self._show,
            "role_order": self._order,
            "role_look": self._look,
            "role_report": self._report,
        }

    def _show(self) -> list[dict[str, Any]]:
        return [self._shown.pop(0) if len(self._shown) > 1 else self._shown[0]]

    def _order(self, **args: Any) -> dict[str, int]:
        self.ordered.append(args)
        if self._refused is not None:
            raise self._refused
        return {"id": len(self.ordered)}

    def _look(self, group: str, id: int) -> dict[str, Any]:
        usual = {"state": "standby", "over": True, "refusal": None, "steps": [], "seconds": 1.0,
                 "error": None, "waits_for": None}  # fmt: skip
        return usual | (self._looked.pop(0) if self._looked else {})

    def _report(self, group: str) -> dict[str, Any]:
        return {"report": {"command": COMMAND, "since": "2026-11-21T09:14:23Z"}, "lines": LINES}


NEEDED = Refused(
    "statement-needed",
    "alpha does not answer as primary of radio; what it wrote last may not be on beta.",
    "Read the report, make sure that alpha is switched off, and type the command below it.",
)
