"""The control socket: how `zr status` and its like ask the daemon. One JSON line each way.

`{"format": 1, "verb": "status", "args": {}}` is answered by `{"ok": …}` or by
`{"failure": {kind, reason, message, remedy}}`. Who may connect is decided by the socket's mode
(0660, group zr); nothing that can be asked here destroys anything.
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zrepl_py.errors import KINDS, Bug, Refused, Standing, ZrError

FORMAT = 1
MAX_BYTES = 64 << 20
IDLE_SECONDS = 30.0

Verb = Callable[..., Any]


class ControlServer:
    """Serves verbs on a Unix socket, a thread per caller."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        path.unlink(missing_ok=True)  # the journal's lock proves that no other daemon lives
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(str(path))
            os.chmod(path, 0o660)
        except OSError as error:
            raise Standing(
                "no-rights",
                f"The control socket {path} cannot be made: {error.strerror}.",
                f"Let the daemon's user own {path.parent}, or start the daemon through systemd.",
            ) from None
        self._socket.listen(16)
        self._path, self._verbs = path, dict(verbs)
        threading.Thread(target=self._accept, name="zr-control", daemon=True).start()

    def close(self) -> None:
        """No further calls."""
        self._path.unlink(missing_ok=True)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller:
            caller.settimeout(IDLE_SECONDS)
            try:
                line = caller.makefile("rb").readline(1 << 20)
                answer = self._answer(line)
                caller.settimeout(IDLE_SECONDS)
                caller.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return  # the caller went away

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb = self._verbs.get(request["verb"])
            if request.get("format") != FORMAT or verb is None:
                raise Refused("bad-call", f"The daemon has no verb {request['verb']!r}.")
            return {"ok": verb(**request.get("args", {}))}
        except ZrError as error:
            return {"failure": _render_failure(error)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            refused = Refused("bad-call", f"The daemon did not understand the call: {error!r}.")
            return {"failure": _render_failure(refused)}


def call(path: Path, verb: str, timeout_seconds: float = 60.0, **args: Any) -> Any:
    """Ask the daemon. Errors: Standing(daemon-silent), and whatever the daemon answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_seconds)
            connection.connect(str(path))
            request = {"format": FORMAT, "verb": verb, "args": args}
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = connection.makefile("rb").readline(MAX_BYTES)
            answer = json.loads(line)
    except PermissionError:
        raise Standing(
            "no-rights", f"You may not talk to the daemon at {path}.", "Use sudo, or join group zr."
        ) from None
    except (OSError, ValueError) as error:
        raise Standing(
            "daemon-silent",
            f"The daemon does not answer at {path} ({error}).",
            "Start it: systemctl start zr (or: zr daemon), and look at journalctl -u zr.",
        ) from None
    if "failure" in answer:
        failure = answer["failure"]
        kind = KINDS.get(failure["kind"], Bug)
        raise kind(failure["reason"], failure["message"], failure["remedy"])
    return answer["ok"]


def _render_failure(error: ZrError) -> dict[str, str]:
    return {
        "kind": type(error).__name__,
        "reason": error.reason,
        "message": error.message,
        "remedy": error.remedy,
    }
