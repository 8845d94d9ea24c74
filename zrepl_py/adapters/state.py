"""The node's identity on disk: /var/lib/zr/state.json. Which question: who is this node?

Format 1, specified in docs/formats/state.md. It is written rarely (`zr init`, a promotion) and
always whole. A newer format is refused, an older one would be migrated forward here.
"""

import json
import uuid
from dataclasses import dataclass

from zrepl_py.adapters.files import read_limited, write_atomically
from zrepl_py.core.codec import decode, encode
from zrepl_py.errors import Corrupt, Refused
from zrepl_py.model.names import parse_epoch
from zrepl_py.model.site import Node

FORMAT = 1
_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class NodeState:
    """What this node must remember of itself."""

    node: Node
    epoch: str
    """As model.names.Epoch renders itself, `0-9f3a21cc`."""


def load_state(path: str) -> NodeState | None:
    """The state, or None where the node was never initialised.

    Errors: Corrupt(state-damaged), Refused(newer-format), and those of read_limited.
    """
    content = read_limited(path, _LIMIT_BYTES)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except ValueError:
        raise _damaged(path, "it is not JSON") from None
    if not isinstance(value, dict) or type(value.get("format")) is not int:
        raise _damaged(path, "it has no format number")
    if value.pop("format") > FORMAT:
        raise Refused(
            "newer-format",
            f"{path} was written by a newer zr than this one, which knows format {FORMAT}.",
            "Install the newer zr again.",
        )
    try:
        state: NodeState = decode(NodeState, {"type": "NodeState", **value})
        parse_epoch(state.epoch)
        uuid.UUID(state.node.uuid)
    except (Corrupt, Refused, ValueError) as error:
        raise _damaged(path, str(error)) from error
    return state


def store_state(path: str, state: NodeState) -> None:
    """Replace the state, durably, readable by its owner only."""
    fields = {k: v for k, v in encode(state).items() if k != "type"}
    text = json.dumps({"format": FORMAT, **fields}, indent=2, sort_keys=True)
    write_atomically(path, text.encode() + b"\n", mode=0o600)


def _damaged(path: str, how: str) -> Corrupt:
    return Corrupt(
        "state-damaged",
        f"{path} is damaged: {how}.",
        "Keep a copy of it, and restore it from a backup; never invent a new uuid.",
    )
