"""How does a load balancer learn who is primary? By HTTP: `/primary`, `/standby`, `/health`.

`GET /primary` answers 200 where this node is primary of every group, else 503; `/primary/GROUP`
asks about one. `/standby` alike. `/health` answers 200 while the node's own roles are known and in
order. HEAD and OPTIONS answer the same. The body is JSON and is for people.

Read-only, without a secret, so it needs no TLS. It asks one function that never waits, and serves
a bounded number of callers, each for a bounded time: a slow one costs a thread for five seconds.
"""

import json
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import unquote

from zrepl_py.errors import Standing
from zrepl_py.model.config import Endpoint

CALLER_SECONDS = 5.0
MAX_CALLERS = 64


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """What may be told of one group."""

    role: str
    """`primary`, `standby`, or what else a role is called."""
    epoch: str
    healthy: bool = True
    """Nothing about it needs a person."""


Roles = Callable[[], Mapping[str, GroupHealth]]
"""Every group of this node, from memory: must never wait for anything."""


def judge_path(path: str, roles: Mapping[str, GroupHealth]) -> tuple[HTTPStatus, dict[str, Any]]:
    """The answer to a path."""
    words = [unquote(word) for word in path.partition("?")[0].split("/") if word]
    if not words or words[0] not in ("primary", "standby", "health") or len(words) > 2:
        return HTTPStatus.NOT_FOUND, {"error": "ask /primary, /standby or /health"}
    asked = {g: h for g, h in roles.items() if len(words) == 1 or g == words[1]}
    if len(words) == 2 and not asked:
        return HTTPStatus.NOT_FOUND, {"error": f"no group {words[1]!r} on this node"}
    if words[0] == "health":
        good = all(health.healthy for health in asked.values())
    else:
        # Who has no group is nobody's primary.
        good = bool(asked) and all(health.role == words[0] for health in asked.values())
    told = {
        g: {"role": h.role, "epoch": h.epoch, "healthy": h.healthy} for g, h in asked.items()
    }  # fmt: skip
    return (HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE), {"groups": told}


class HealthServer:
    """Listens until closed."""

    def __init__(self, endpoint: Endpoint, roles: Roles) -> None:
        """Errors: Standing(health-address)."""
        try:
            self._server = _Server(endpoint, roles)
        except OSError as error:
            raise Standing(
                "health-address",
                f"Load balancers cannot be answered at {endpoint}: {error.strerror or error}.",
                "Correct `health` in zr.toml, or end what listens there.",
            ) from None
        self.port: int = self._server.server_address[1]
        thread = threading.Thread(target=self._server.serve_forever, name="zr-health", daemon=True)
        thread.start()

    def close(self) -> None:
        """No further answers."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CALLERS

    def __init__(self, endpoint: Endpoint, roles: Roles) -> None:
        self.roles = roles
        self._turns = threading.BoundedSemaphore(MAX_CALLERS)
        self.address_family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        super().__init__((endpoint.host, endpoint.port), _Caller)

    def server_bind(self) -> None:
        """Without the look-up of our own name that HTTPServer does: it can take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """One too many is hung up on at once: a load balancer takes that for a no."""
        if not self._turns.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See ThreadingMixIn."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._turns.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no news."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Caller(BaseHTTPRequestHandler):
    timeout = CALLER_SECONDS
    server_version, sys_version = "zr", ""
    server: _Server

    def setup(self) -> None:
        """A caller that sends a byte now and then does not get more time for each."""
        super().setup()
        self._limit = threading.Timer(CALLER_SECONDS, self._hang_up)
        self._limit.daemon = True
        self._limit.start()

    def finish(self) -> None:
        """See BaseHTTPRequestHandler."""
        self._limit.cancel()
        super().finish()

    def do_GET(self) -> None:
        """Answers, and ends the connection."""
        status, told = judge_path(self.path, self.server.roles())
        body = json.dumps(told).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_OPTIONS = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """A question each second by each load balancer is no news."""

    def _hang_up(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # It ended by itself.
