"""The frames that ask who has an address, and that tell who has it now: ARP, neighbour discovery.

Pure: bytes in, bytes out. ARP by RFC 826 and 5227, neighbour discovery by RFC 4861 and 4862.
"""

import ipaddress
import struct
from dataclasses import dataclass

ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
_BROADCAST = b"\xff" * 6
_ARP_HEAD = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_REQUEST, _REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT = 135, 136
_ICMPV6 = 58
_OVERRIDE = 0x2000_0000
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
_NOBODY = bytes(16)
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody on the link has, or is about to take, the address."""

    mac: bytes


def render_probe(ip: IpAddress, mac: bytes) -> bytes:
    """A whole Ethernet frame that asks who has `ip`, and puts nothing into anybody's cache."""
    if isinstance(ip, ipaddress.IPv4Address):
        return _arp(_REQUEST, mac, bytes(4), bytes(6), ip.packed)
    group = bytes.fromhex("ff0200000000000000000001ff") + ip.packed[13:]
    body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + ip.packed
    return _ipv6(mac, _NOBODY, group, body)


def render_announcements(ip: IpAddress, mac: bytes) -> list[bytes]:
    """Frames that make everybody on the link send to `mac` from now on. Of gratuitous ARP some
    systems heed the request only, some the reply only."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [
            _arp(_REQUEST, mac, ip.packed, bytes(6), ip.packed),
            _arp(_REPLY, mac, ip.packed, _BROADCAST, ip.packed),
        ]
    option = struct.pack("!BB", 2, 1) + mac  # the target's link-layer address
    body = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _OVERRIDE) + ip.packed + option
    return [_ipv6(mac, ip.packed, _ALL_NODES, body)]


def parse_claim(frame: bytes, ip: IpAddress, own_mac: bytes) -> Claim | None:
    """Does this frame show that another machine has `ip`, or probes for it at this moment?"""
    if len(frame) < 14 or frame[6:12] == own_mac:
        return None
    kind = int.from_bytes(frame[12:14], "big")
    if isinstance(ip, ipaddress.IPv4Address):
        return _claim_of_arp(frame[14:], ip, own_mac) if kind == ETHERTYPE_ARP else None
    return _claim_of_icmp(frame, ip) if kind == ETHERTYPE_IPV6 else None


def ethertype(ip: IpAddress) -> int:
    """What its frames are."""
    return ETHERTYPE_ARP if ip.version == 4 else ETHERTYPE_IPV6


def _claim_of_arp(body: bytes, ip: ipaddress.IPv4Address, own_mac: bytes) -> Claim | None:
    if len(body) < 28 or body[:6] != _ARP_HEAD:
        return None
    sender_mac, sender_ip, target_ip = body[8:14], body[14:18], body[24:28]
    probes = sender_ip == bytes(4) and target_ip == ip.packed
    if sender_mac != own_mac and (sender_ip == ip.packed or probes):
        return Claim(sender_mac)
    return None


def _claim_of_icmp(frame: bytes, ip: ipaddress.IPv6Address) -> Claim | None:
    packet = frame[14:]
    if len(packet) < 64 or packet[6] != _ICMPV6 or packet[7] != 255 or packet[48:64] != ip.packed:
        return None
    kind, source = packet[40], packet[8:24]
    if kind == _ADVERTISEMENT or (kind == _SOLICITATION and source == _NOBODY):
        return Claim(frame[6:12])
    return None


def _arp(kind: int, mac: bytes, sender: bytes, target_mac: bytes, target: bytes) -> bytes:
    body = _ARP_HEAD + struct.pack("!H", kind) + mac + sender + target_mac + target
    return _BROADCAST + mac + struct.pack("!H", ETHERTYPE_ARP) + body


def _ipv6(mac: bytes, source: bytes, group: bytes, body: bytes) -> bytes:
    pseudo = source + group + struct.pack("!II", len(body), _ICMPV6)
    checked = body[:2] + struct.pack("!H", _checksum(pseudo + body)) + body[4:]
    head = struct.pack("!IHBB", 0x6000_0000, len(body), _ICMPV6, 255) + source + group
    return b"\x33\x33" + group[12:] + mac + struct.pack("!H", ETHERTYPE_IPV6) + head + checked


def _checksum(content: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
