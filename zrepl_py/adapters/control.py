"""The control socket: how `zr status` and its like ask the daemon. One JSON line each way.

`{"format": 1, "verb": "status", "args": {}}` is answered by `{"ok": …}` or by
`{"failure": {kind, reason, message, remedy}}`. Who may connect is decided by the socket's mode
(0660, group zr); nothing that can be asked here destroys anything but a rescue, which only a person
drops.
"""

import json
import os
import pwd
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from zrepl_py.errors import KINDS, Bug, Refused, Standing, ZrError

FORMAT = 1
CONTROL_SOCKET = "control.sock"
"""In the run directory."""
MAX_BYTES = 64 << 20
IDLE_SECONDS = 30.0

Verb = Callable[..., Any]
Heard = Callable[[str, str], None]
"""heard(verb, user): somebody asked for something; called before it is done."""


def _ignore(verb: str, user: str) -> None:
    return None


class ControlServer:
    """Serves verbs on a Unix socket, a thread per caller."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb], heard: Heard = _ignore) -> None:
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
        self._path, self._verbs, self._heard = path, dict(verbs), heard
        self._accepting = threading.Thread(target=self._accept, name="zr-control", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """No further calls."""
        self._path.unlink(missing_ok=True)
        # The thread must be gone before the descriptor is: its number may be the next server's.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return  # shut down
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller:
            caller.settimeout(IDLE_SECONDS)
            try:
                line = caller.makefile("rb").readline(1 << 20)
                answer = self._answer(line, _user_of(caller))
                caller.settimeout(IDLE_SECONDS)
                caller.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return  # the caller went away

    def _answer(self, line: bytes, user: str) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb = self._verbs.get(request["verb"])
            if request.get("format") != FORMAT or verb is None:
                raise Refused("bad-call", f"The daemon has no verb {request['verb']!r}.")
            self._heard(request["verb"], user)
            return {"ok": verb(**request.get("args", {}))}
        except ZrError as error:
            return {"failure": _render_failure(error)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            refused = Refused("bad-call", f"The daemon did not understand the call: {error!r}.")
            return {"failure": _render_failure(refused)}


def _user_of(caller: socket.socket) -> str:
    """Who asks, as the kernel says."""
    form = struct.Struct("3i")
    said = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size)
    uid = form.unpack(said)[1]
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


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
            f"The daemon does not answer at {path} ({getattr(error, 'strerror', error) or error}).",
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
