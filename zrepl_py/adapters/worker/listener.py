"""The socket a worker listens on, and who may connect. Which question: who is asking?

Invariants: one worker per socket (a lock beside it); no one but root and the allowed users gets an
answer. The socket's directory must belong to root or to the worker's own user: whoever can write
there can put another socket in its place.
"""

import contextlib
import os
import socket
import stat
import struct

from zrepl_py.adapters.files import Lock, translate_file_error
from zrepl_py.adapters.worker.notify import activated_sockets
from zrepl_py.errors import Standing

_BACKLOG = 64
_UCRED = struct.Struct("3i")


class Listener:
    """A listening Unix socket with its lock. `close` removes the socket where we made it."""

    def __init__(self, path: str) -> None:
        """Errors: Refused(already-running), Standing(file-failed), Standing(no-rights)."""
        self.path = path
        self._lock = Lock(f"{path}.lock", f"The worker's socket {path}")
        given = activated_sockets()
        self._made = not given
        self.sock = given[0] if given else self._bind()
        self.sock.setblocking(False)

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        # Anybody may connect, and is looked at then: `zr` must reach a socket of `zr-recv`, which
        # can neither give it away nor share a group with it without also sharing directories.
        mask = os.umask(0o111)
        try:
            self._remove_stale()
            sock.bind(self.path)
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            self._lock.close()
            raise translate_file_error(error, self.path) from error
        except Standing:
            sock.close()
            self._lock.close()
            raise
        finally:
            os.umask(mask)
        return sock

    def _remove_stale(self) -> None:
        try:
            mode = os.lstat(self.path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise Standing(
                "file-failed",
                f"{self.path} exists and is not a socket.",
                "Remove it, or give the worker another path.",
            )
        os.unlink(self.path)

    def stop_listening(self) -> None:
        """Accept nobody any more, but keep the lock: what runs is still ours."""
        if self._made and self.sock.fileno() >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.sock.close()

    def close(self) -> None:
        """Let another worker take the socket."""
        self.stop_listening()
        self._lock.close()


def observe_peer_uid(connection: socket.socket) -> int:
    """The uid of who connected, as the kernel knows it (SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _pid, uid, _gid = _UCRED.unpack(raw)
    return int(uid)
