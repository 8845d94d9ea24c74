"""Who on the link has an address? And: tell them that it is here now.

Raw Ethernet frames on one interface, in the network namespace of this process. Nothing answers
where the link is down or cut: silence proves nothing.
"""

import select
import socket
import struct

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.hosting.packets import (
    Claim,
    IpAddress,
    ethertype,
    parse_claim,
    render_announcements,
    render_probe,
)
from zrepl_py.ports.clock import ClockPort

_PROBES = 3
_PROBE_SECONDS = 0.3
_ANNOUNCEMENTS = 3
_ANNOUNCEMENT_SECONDS = 0.1
_SOL_PACKET, _ADD_MEMBERSHIP, _ALL_MULTICAST = 263, 1, 2
"""Of linux/if_packet.h; Python has no names for them."""


def probe(ip: IpAddress, interface: str, clock: ClockPort) -> Claim | None:
    """Ask three times within a second; the first who answers. Raises OSError."""
    with _open(interface, ethertype(ip)) as sock:
        mac: bytes = sock.getsockname()[4]
        # Answers to a solicitation of nobody go to a group that this card may not listen to.
        index = socket.if_nametoindex(interface)
        request = struct.pack("iHH8s", index, _ALL_MULTICAST, 0, b"")
        sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)  # ends with the socket
        for _ in range(_PROBES):
            sock.send(render_probe(ip, mac))
            deadline = Deadline(clock, _PROBE_SECONDS)
            while not deadline.expired():
                ready, _, _ = select.select([sock], [], [], deadline.remaining_seconds())
                if ready and (claim := parse_claim(sock.recv(2048), ip, mac)) is not None:
                    return claim
    return None


def announce(ip: IpAddress, interface: str, clock: ClockPort) -> None:
    """Raises OSError."""
    with _open(interface, ethertype(ip)) as sock:
        mac: bytes = sock.getsockname()[4]
        for number in range(_ANNOUNCEMENTS):
            if number:
                clock.sleep(_ANNOUNCEMENT_SECONDS)
            for frame in render_announcements(ip, mac):
                sock.send(frame)


def _open(interface: str, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        sock.bind((interface, kind))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
