"""A third party on the lab's link: a relay at the hub that flips bits or cuts, and strangers.

Sockets are made in the lab's network namespace; the threads are the test's own.
"""

import contextlib
import os
import select
import socket
import threading
from types import TracebackType

from .hub import ADDRESS
from .network import Network


class Relay:
    """Listens at the hub, passes bytes to a node, and damages them as it is told to."""

    def __init__(self, network: Network, target: tuple[str, int]) -> None:
        self._network, self._target = network, target
        with network.entered():
            self._listener = socket.create_server((ADDRESS, 0))
        self.port: int = self._listener.getsockname()[1]
        self.flip_every_bytes = 0
        """0: leave everything as it is."""
        self.cut_after_bytes = 0
        self.flipped = self.cuts = 0
        self._ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                near, _ = self._listener.accept()
                far = self._network.connect(self._target, timeout_seconds=5)
            except OSError:
                continue
            threading.Thread(target=self._relay, args=(near, far), daemon=True).start()

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        passed = 0
        with near, far, contextlib.suppress(OSError):
            while not self._ended:
                for ready in select.select([near, far], [], [], 1)[0]:
                    piece = bytearray(ready.recv(65_536))
                    if not piece:
                        return
                    if ready is near:
                        self._damage(piece, passed)
                        passed += len(piece)
                        if self.cut_after_bytes and passed > self.cut_after_bytes:
                            self.cuts += 1
                            return
                    (far if ready is near else near).sendall(piece)

    def _damage(self, piece: bytearray, passed: int) -> None:
        every = self.flip_every_bytes
        if every and (passed + len(piece)) // every > passed // every:
            piece[len(piece) // 2] ^= 0x10
            self.flipped += 1


def say(network: Network, target: tuple[str, int], words: bytes) -> bytes:
    """What a stranger hears who connects and says this; at most 64 KiB, within 3 seconds."""
    heard = b""
    with network.connect(target, timeout_seconds=10) as stranger, contextlib.suppress(OSError):
        stranger.settimeout(3)
        stranger.sendall(words)
        stranger.shutdown(socket.SHUT_WR)
        while len(heard) < 65_536 and (piece := stranger.recv(4096)):
            heard += piece
    return heard


def rubbish(size_bytes: int) -> bytes:
    return os.urandom(size_bytes)
