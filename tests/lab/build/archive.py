"""Packages of the nodes' Debian, through an apt configuration of its own.

The host's apt is of another release and stays untouched; signatures are checked
against the host's debian-archive-keyring.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.lab.errors import BuildFailed

from .mirror import debian_mirror
from .recipe import SOURCE_SUITES, SUITE

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Archive:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "apt.conf"
        self.sources = folder / "sources.list"

    def prepare(self) -> None:
        for name in ("lists/partial", "archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        self.sources.write_text(self.lines(SOURCE_SUITES))
        self.configuration.write_text(
            f'Dir::Etc::SourceList "{self.sources}";\n'
            'Dir::Etc::SourceParts "/dev/null";\n'
            'Dir::Etc::Preferences "/dev/null";\nDir::Etc::PreferencesParts "/dev/null";\n'
            f'Dir::State::Lists "{self.folder}/lists";\n'
            f'Dir::State::Status "{self.folder}/status";\n'
            f'Dir::Cache "{self.folder}";\n'
            'APT::Architecture "amd64";\nAPT::Architectures {"amd64";};\n'
            'APT::Sandbox::User "root";\nAcquire::Languages "none";\n'
        )

    def lines(self, suites: tuple[str, ...]) -> str:
        mirror = debian_mirror()
        return "".join(
            f"deb [signed-by={KEYRING}] {mirror} {suite} main contrib\n" for suite in suites
        )

    def guest_lines(self) -> str:
        return self.lines((SUITE, f"{SUITE}-updates"))

    def update(self) -> None:
        self.prepare()
        self.apt("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")

    def candidates(self, names: tuple[str, ...]) -> dict[str, str]:
        """The version that apt would install of each."""
        shown = self.apt("apt-cache", "policy", *names)
        found = dict(re.findall(r"^(\S+):\n.*\n  Candidate: (\S+)", shown, re.MULTILINE))
        lacking = [name for name in names if found.get(name, "(none)") == "(none)"]
        if lacking:
            raise BuildFailed(f"Debian {SUITE} has no package {', '.join(lacking)}")
        return found

    def names(self, prefix: str) -> list[str]:
        return self.apt("apt-cache", "pkgnames", prefix).split()

    def unpack(self, package: str, version: str, into: Path) -> None:
        """Download a package (apt checks its hash) and unpack it without installing it."""
        into.mkdir(parents=True, exist_ok=True)
        self.apt("apt-get", "-qq", "download", f"{package}={version}", cwd=into)
        (file,) = into.glob(f"{package}_*.deb")
        self.apt("dpkg-deb", "-x", str(file), str(into))
        file.unlink()

    def apt(self, *command: str, cwd: Path | None = None) -> str:
        environment = os.environ | {"APT_CONFIG": str(self.configuration), "LC_ALL": "C"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)
        if done.returncode != 0:
            raise BuildFailed(f"{' '.join(command)}:\n{done.stderr.strip()[-3000:]}")
        return done.stdout
