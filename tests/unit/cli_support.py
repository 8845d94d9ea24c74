"""Commands run in this process against a control socket with the verbs that a test gives it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result

from zrepl_py.adapters.control import CONTROL_SOCKET, ControlServer
from zrepl_py.errors import ZrError

CONFIG = """\
format = 1

[node]
name = "alpha"
pools = ["tank"]

[paths]
state = "{here}/state"
run = "{here}/run"
policies = "{here}/policies"
key = "{here}/node.key"
certificate = "{here}/node.pem"

[peers.beta]
address = "10.77.0.2:7676"
certificate = "{here}/beta.pem"
"""
POLICY = """\
format = 1

[policy]
name = "station"
source = "alpha"
datasets = ["tank/audio/**", "tank/services/*"]
exclude = ["tank/services/cache"]
every = "1m"
targets = ["beta"]
timezone = "Europe/Berlin"

[retention.beta]
keep_within = "7d"
"""


def prepare(here: Path) -> str:
    """A node's files below `here`; returns the path of its zr.toml."""
    for folder in ("state", "run", "policies"):
        (here / folder).mkdir()
    (here / "policies" / "station.toml").write_text(POLICY)
    config = here / "zr.toml"
    config.write_text(CONFIG.format(here=here))
    return str(config)


@contextmanager
def daemon(here: Path, verbs: Mapping[str, Any]) -> Iterator[None]:
    """Answers `verbs` at the control socket of the node that `prepare` made."""
    server = ControlServer(here / "run" / CONTROL_SOCKET, verbs)
    try:
        yield
    finally:
        server.close()


def run(command: click.Command, *words: str) -> Result:
    """Run it; a ZrError becomes what cli/main.py makes of it."""
    result = CliRunner().invoke(command, words)
    if isinstance(result.exception, ZrError):
        result.exit_code = result.exception.exit_code
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lane(dataset: str = "tank/audio", **changed: Any) -> dict[str, Any]:
    """A lane as the daemon's status has it, in sync unless changed."""
    newest = "zr_1-00000000_7_20261121T091342Z"
    return {
        "lane": f"lane-of-{dataset}",
        "dataset": dataset,
        "target": "beta",
        "newest": newest,
        "committed": newest,
        "state": "in-sync",
        "in_sync": True,
        "lag_seconds": 0,
        "proof": None,
        "transfers": 1,
        "sent_bytes": 0,
        "failures": 0,
        "conflict": None,
        "error": None,
        **changed,
    }


def group(**changed: Any) -> dict[str, Any]:
    """A group as the daemon's status has it."""
    return {
        "policy": "station",
        "pool": "tank",
        "members": ["tank/audio"],
        "missing": [],
        "refused": {},
        "every_seconds": 60,
        "seq": 7,
        "tick_age_seconds": 4.0,
        "timezone": "Europe/Berlin",
        "ticks_ended": 3,
        "taken": 1,
        "error": None,
        **changed,
    }


def status(
    lanes: list[dict[str, Any]], groups: list[dict[str, Any]] | None = None, **changed: Any
) -> dict[str, Any]:
    """The daemon's whole answer."""
    return {
        "format": 1,
        "version": "0.1.0",
        "node": "alpha",
        "uuid": "ab253478-2a5f-4b32-bc8c-00dab5bcbec7",
        "sentence": "If this node died now, nothing would be lost.",
        "groups": [group()] if groups is None else groups,
        "lanes": lanes,
        "replicas": [],
        "unsent": [],
        **changed,
    }
