"""[roles.GROUP] of zr.toml → Hosting: which services and which address follow a group's primary.

docs/formats/node-config.md is the specification. Problems are collected in the Reader. Does not
look whether units, files or interfaces exist: they may be there later, and on one node only.
"""

import ipaddress
import os
import re

from zrepl_py.config.reading import Reader
from zrepl_py.config.values import parse_duration
from zrepl_py.model.host import Address, Hosting, Service, ServiceKind

_UNIT = re.compile(r"[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\@-]*\Z")
_INTERFACE = re.compile(r"[^\s/:]{1,15}\Z")
_GROUP = re.compile(r"[A-Za-z0-9._-]+\Z")
_LONGEST_SECONDS = 600
"""A worker's call takes no longer."""


def read_roles(roles: Reader) -> dict[str, Hosting]:
    """Every table [roles.GROUP], by group."""
    found = {}
    for group in roles.table:
        reader = roles.sub(group)
        if not _GROUP.match(group):
            roles.problem(group, f"{group!r} must be a policy's name: letters, digits, - _ and .")
        services = tuple(_read_service(table) for table in reader.tables("services"))
        names = [service.name for service in services]
        for name in sorted({n for n in names if n and names.count(n) > 1}):
            reader.problem("services", f"has two services named {name!r}; give them a name of own")
        found[group] = Hosting(group, services, _read_address(reader))
        reader.finish()
    return found


def parse_address(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """`10.0.0.50`, `10.0.0.50/24`, `fd00::50/64` → an interface's address; alone if no prefix."""
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an address like 10.0.0.50 or fd00::50/64") from None


def _read_address(reader: Reader) -> Address | None:
    interface = ""
    if reader.has("interface"):
        interface = reader.text_of("interface")
        if interface and not _INTERFACE.match(interface):
            reader.problem("interface", f"{interface!r} is not the name of an interface like eth0")
    if not reader.has("address"):
        if interface:
            reader.problem("interface", "has no address beside it")
        return None
    if not reader.has("interface"):
        reader.problem("interface", 'is missing; expected one like "eth0" for the address')
    parsed = reader.parsed("address", parse_address, ipaddress.ip_interface("0.0.0.0"))
    if parsed.ip.is_multicast or parsed.ip.is_loopback:
        reader.problem("address", f"{parsed.ip} cannot move between machines")
    return Address(str(parsed.ip), parsed.network.prefixlen, interface)


def _read_service(reader: Reader) -> Service:
    kinds = [key for key in ("unit", "compose", "start") if reader.has(key)]
    if len(kinds) != 1:
        said = " and ".join(kinds) if kinds else "nothing of the kind"
        reader.problem(
            kinds[-1] if kinds else "unit",
            f"expected one of unit, compose, or start with stop and status; found {said}",
        )
    target, argvs, kind = "", dict[str, tuple[str, ...]](), ServiceKind.COMMAND
    if kinds == ["unit"]:
        kind, target = ServiceKind.UNIT, reader.text_of("unit")
        if target and not _UNIT.match(target):
            reader.problem("unit", f"{target!r} is not a unit like postgresql.service")
    elif kinds == ["compose"]:
        kind, target = ServiceKind.COMPOSE, reader.text_of("compose")
        if target and not target.startswith("/"):
            reader.problem("compose", f"{target!r} is not an absolute path of a compose file")
    elif kinds == ["start"]:
        argvs = {key: _read_argv(reader, key) for key in ("start", "stop", "status")}
    name = reader.text_of("name", "") or _usual_name(kind, target, argvs.get("start", ()))
    limits = [
        reader.parsed(key, _parse_limit, 90) for key in ("start_timeout", "stop_timeout")
    ]  # fmt: skip
    reader.finish()
    return Service(
        name,
        kind,
        target,
        **{key: argvs.get(key, ()) for key in ("start", "stop", "status")},
        start_seconds=limits[0],
        stop_seconds=limits[1],
    )


def _read_argv(reader: Reader, key: str) -> tuple[str, ...]:
    """A command as a list: no shell ever reads it."""
    expected = f'a list like ["/usr/local/bin/player", "{key}"]'
    words = reader.value(key, list, expected, None)
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        reader.problem(key, f"expected {expected}")
        return ()
    if key in reader.table and not (words and words[0].startswith("/")):
        reader.problem(key, "must begin with the absolute path of a program")
    return tuple(words)


def _usual_name(kind: ServiceKind, target: str, start: tuple[str, ...]) -> str:
    if kind is ServiceKind.UNIT:
        return target.removesuffix(".service")
    if kind is ServiceKind.COMPOSE:
        return os.path.basename(os.path.dirname(target)) or target
    return os.path.basename(start[0]) if start else ""


def _parse_limit(text: str) -> int:
    seconds = parse_duration(text)
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"{text!r} is longer than 10m")
    return seconds
