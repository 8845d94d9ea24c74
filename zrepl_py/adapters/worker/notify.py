"""systemd's two small protocols, by hand: "I am ready" and sockets that were opened for us."""

import os
import socket

_FIRST_FD = 3


def notify(state: str) -> bool:
    """Send `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…` to systemd; False where it is not
    the one who started us. A lost notification is not an error of ours."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(5)
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def activated_sockets() -> list[socket.socket]:
    """Listening sockets that systemd opened for this very process; none when there are none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = []
    for fd in range(_FIRST_FD, _FIRST_FD + count):
        os.set_inheritable(fd, False)
        sockets.append(socket.socket(fileno=fd))
    return sockets
