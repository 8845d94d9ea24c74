"""Which containers does Docker start by itself? Asked of `docker compose`; nothing is changed."""

import json
import os
import shutil

from zrepl_py.adapters.zfs.forks import run
from zrepl_py.errors import Standing

LOOK_SECONDS = 20.0


def observe_restarts(path: str) -> dict[str, str]:
    """Service of a compose file → its restart policy, `no` where it says none; empty where the file
    or Docker is not there: then nothing starts. Errors: command-failed, too-slow."""
    if not os.path.exists(path) or shutil.which("docker") is None:
        return {}
    argv = ["docker", "compose", "--file", path, "config", "--format", "json"]
    ended = run(argv, deadline_seconds=LOOK_SECONDS)
    try:
        if ended.code == 0:
            return parse_restarts(ended.out)
        said = ended.err.strip()
    except ValueError as error:
        said = str(error)
    raise Standing(
        "command-failed", f"`{' '.join(argv)}` failed: {said}.", "Mend the compose file."
    )


def parse_restarts(text: str) -> dict[str, str]:
    """What `docker compose config --format json` says. ValueError where it is something else."""
    value = json.loads(text)
    services = value.get("services", {}) if isinstance(value, dict) else None
    if not isinstance(services, dict):
        raise ValueError("it names no services")
    return {name: str(of.get("restart") or "no") for name, of in services.items()}
