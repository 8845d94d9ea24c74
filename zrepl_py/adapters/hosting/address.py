"""Is the address that clients use on this machine? Put it there, take it away, tell the link.

By iproute2, and judged by `ip -j address` alone. IPv6 addresses are probed here and added without
the kernel's own search for duplicates, so that they can be used at once.
"""

import ipaddress
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zrepl_py.adapters.hosting.neighbours import announce, probe
from zrepl_py.adapters.hosting.running import Ran, run_limited
from zrepl_py.errors import Standing
from zrepl_py.model.host import Address, AddressState, AddressView
from zrepl_py.ports.clock import ClockPort

_LIMIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Entry:
    interface: str
    prefix: int
    flags: frozenset[str]


def observe_address(address: Address, clock: ClockPort) -> AddressView:
    """See HostPort."""
    entries = _entries(address.ip, clock)
    own = [e for e in entries if e.interface == address.interface]
    if not own:
        if entries:
            interface = entries[0].interface
            return AddressView(address.ip, AddressState.ELSEWHERE_HERE, interface)
        return AddressView(address.ip, AddressState.ABSENT)
    if "dadfailed" in own[0].flags:
        return AddressView(address.ip, AddressState.DUPLICATE)
    if "tentative" in own[0].flags:
        return AddressView(address.ip, AddressState.TENTATIVE)
    return AddressView(address.ip, AddressState.HERE)


def add_address(address: Address, clock: ClockPort) -> AddressView:
    """See HostPort. Errors: interface-missing, command-missing, command-failed."""
    seen = observe_address(address, clock)
    if seen.state is AddressState.HERE:
        return seen
    if seen.state is not AddressState.ABSENT:
        remove_address(address, clock)
    ip = ipaddress.ip_address(address.ip)
    try:
        claim = probe(ip, address.interface, clock)
    except OSError as error:
        raise _unusable(address, error.strerror or str(error)) from None
    if claim is not None:
        return AddressView(address.ip, AddressState.ABSENT, claim.mac.hex(":"))
    more = ("nodad",) if ip.version == 6 else ()
    ran = _ip(_change("add", address.prefix, address.ip, address.interface) + more, clock)
    seen = observe_address(address, clock)
    if seen.state is AddressState.ABSENT:
        raise Standing(
            "command-failed",
            f"`ip` did not add {address.ip} on {address.interface}: {ran.said or ran.code}.",
            "Look at `ip address`, and do it by hand if this is urgent.",
        )
    return seen


def announce_address(address: Address, clock: ClockPort) -> bool:
    """See HostPort. Errors: interface-missing."""
    if observe_address(address, clock).state is not AddressState.HERE:
        return False
    try:
        announce(ipaddress.ip_address(address.ip), address.interface, clock)
    except OSError as error:
        raise _unusable(address, error.strerror or str(error)) from None
    return True


def remove_address(address: Address, clock: ClockPort) -> AddressView:
    """See HostPort. Errors: command-missing, command-failed."""
    for entry in _entries(address.ip, clock):
        _ip(_change("del", entry.prefix, address.ip, entry.interface), clock)
    return observe_address(address, clock)


def _entries(ip: str, clock: ClockPort) -> list[_Entry]:
    ran = _ip(("-j", "address", "show"), clock)
    try:
        if ran.code != 0:
            raise ValueError(ran.said or f"exit {ran.code}")
        return list(_find(json.loads(ran.out or "[]"), ipaddress.ip_address(ip)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Standing(
            "command-failed",
            f"The addresses of this machine cannot be read: {error}.",
            "Try `ip -j address`; Debian's package iproute2 has it.",
        ) from None


def _find(
    links: list[dict[str, object]], ip: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> Iterator[_Entry]:
    for link in links:
        listed = link.get("addr_info", [])
        for entry in listed if isinstance(listed, list) else []:
            if entry and ipaddress.ip_address(entry["local"]) == ip:
                flags = frozenset(key for key, value in entry.items() if value is True)
                yield _Entry(str(link["ifname"]), int(entry["prefixlen"]), flags)


def _change(verb: str, prefix: int, ip: str, interface: str) -> tuple[str, ...]:
    return ("address", verb, f"{ip}/{prefix}", "dev", interface)


def _ip(words: Sequence[str], clock: ClockPort) -> Ran:
    return run_limited(("ip", *words), _LIMIT_SECONDS, clock, {})


def _unusable(address: Address, why: str) -> Standing:
    return Standing(
        "interface-missing",
        f"The interface {address.interface} cannot carry {address.ip}: {why}.",
        "Look at `ip link`; correct the interface in zr.toml, or bring it up.",
    )
