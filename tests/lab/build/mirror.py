"""Which Debian mirror does this host use?

It is never written down in the repository: hosts reach different mirrors. What the
host's own apt uses for its own release serves the nodes' release as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import BuildFailed

VARIABLE = "ZR_LAB_MIRROR"
SUPPORTED = {"bookworm", "trixie"}


@dataclass(frozen=True)
class Entry:
    """One archive of the host's apt: address, suites, components, key."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def debian_mirror(root: Path = Path("/")) -> str:
    if chosen := os.environ.get(VARIABLE):
        return chosen.rstrip("/")
    release = parse_os_release((root / "etc/os-release").read_text())
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or codename not in SUPPORTED:
        raise BuildFailed(
            f"the lab takes its Debian mirror from the apt sources of a Debian 12 or 13 host; "
            f"this is {release.get('PRETTY_NAME', 'something else')}. Set {VARIABLE} to the "
            "address of a Debian archive"
        )
    fitting = [
        entry
        for entry in read_entries(root / "etc/apt")
        if codename in entry.suites and "main" in entry.components and "security" not in entry.uri
    ]
    if not fitting:
        raise BuildFailed(f"the host's apt sources name no Debian main archive; set {VARIABLE}")
    # Somebody else's archive may use Debian's code name; it has neither of these.
    fitting.sort(key=lambda e: ("debian-archive" in e.signed_by, e.uri.endswith("/debian")))
    return fitting[-1].uri


def parse_os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip('"') for name, _, value in pairs}


def read_entries(folder: Path) -> Iterator[Entry]:
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if file.suffix == ".sources":
            yield from parse_deb822(file.read_text())
        elif file.suffix == ".list" and file.is_file():
            yield from parse_one_line(file.read_text())


def parse_deb822(text: str) -> Iterator[Entry]:
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and name:
                fields[name] += f" {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        for uri in fields.get("uris", "").split():
            suites = tuple(fields.get("suites", "").split())
            components = tuple(fields.get("components", "").split())
            yield Entry(uri.rstrip("/"), suites, components, fields.get("signed-by", ""))


def parse_one_line(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if found:
            options, uri, suite, components = found.groups()
            yield Entry(uri.rstrip("/"), (suite,), tuple(components.split()), options or "")
