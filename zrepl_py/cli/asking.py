"""How does a command ask this node's daemon? And how is what it answers waited for?"""

from pathlib import Path
from typing import Any

from zrepl_py.adapters.control import CONTROL_SOCKET, call
from zrepl_py.config.node import load_node_config

ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.2


def ask_daemon(config: str, verb: str, **args: Any) -> Any:
    """Ask the daemon of the node that `config` describes. Errors: Standing(config, daemon-silent,
    no-rights), and whatever the daemon answers."""
    path = Path(load_node_config(config).run_dir) / CONTROL_SOCKET
    return call(path, verb, ANSWER_SECONDS, **args)
