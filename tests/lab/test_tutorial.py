"""docs/tutorial.md, typed word for word on two fresh nodes: ten commands, less than ten minutes."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator

import pytest

from . import Lab
from .command import Process
from .contents import common
from .fresh import OFFLINE, SOURCE, make_bare
from .layout import REPOSITORY
from .node import Node

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
TUTORIAL = REPOSITORY / "docs/tutorial.md"
PART = re.compile(r"^On (alpha|beta|both):$|^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
MOST_COMMANDS = 10
MOST_SECONDS = 600
GIVEN = "make"
"""Not in the lab's image: tests/lab/fresh.py brings it."""


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """(node, command) in the order of the page; a block belongs to the node named right before."""
    node = ""
    for match in PART.finditer(text):
        if match[1]:
            node = match[1]
        elif node:
            for line in match[2].splitlines():
                for name in ("alpha", "beta") if node == "both" else (node,):
                    yield name, line
            node = ""


class Typist:
    """Two hands: the code that one node shows is typed on the other."""

    def __init__(self, lab: Lab) -> None:
        self.nodes = lab.nodes
        self._code = ""
        self._showing: Process | None = None

    def type(self, name: str, line: str) -> None:
        node, words = self.nodes[name], shlex.split(line)
        if words[:2] == ["apt", "install"]:
            check_installed(node, words[2:])
        elif line == "zr pair":
            self._show(node)
        elif words[:2] == ["zr", "pair"]:
            self._join(node, words)
        else:
            done = node.run(
                ["sh", "-ec", line], env=OFFLINE, cwd=SOURCE, timeout_seconds=300, check=True
            )
            print(done.text)

    def _show(self, node: Node) -> None:
        self._showing = showing = node.start(["zr", "pair"])
        shown = showing.wait_for_output(b"Waiting", timeout_seconds=60).decode()
        (self._code,) = re.findall(r"\d{3}-\d{3}-\d{3}", shown)

    def _join(self, node: Node, words: list[str]) -> None:
        done = node.run(words, stdin=f"{self._code}\n".encode(), timeout_seconds=120)
        print(done.text)
        assert self._showing is not None
        assert self._showing.wait() == 0
        print(self._showing.output().decode())


def check_installed(node: Node, packages: list[str]) -> None:
    """The image has them from Debian's archive already; there is no network here."""
    for package in set(packages) - {GIVEN}:
        shown = node.run(["dpkg-query", "-W", "-f", "${Status}", package]).text
        assert shown == "install ok installed"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="tutorial", init="systemd") as made:
        made.alpha.sh("zfs create tank/audio && echo first >/tank/audio/interview.wav")
        for node in made.nodes.values():
            make_bare(node)
        yield made


def test_the_page_has_ten_commands_until_protected() -> None:
    before = TUTORIAL.read_text().split("## 5.")[0]
    lines = list(dict.fromkeys(line for _, line in commands_of(before)))
    assert lines[0].startswith("apt install")
    assert lines[-1] == "zr status"
    assert len(lines) <= MOST_COMMANDS


def test_two_fresh_nodes_are_protected(lab: Lab) -> None:
    began = time.monotonic()
    typist = Typist(lab)
    for name, line in commands_of(TUTORIAL.read_text()):
        at = time.monotonic()
        typist.type(name, line)
        print(f"--- {name}: {line}: {time.monotonic() - at:.1f} s")
    took = time.monotonic() - began
    print(f"the whole tutorial: {took:.0f} s")
    assert took < MOST_SECONDS
    assert common(lab.alpha, "tank/audio", lab.beta, "back/zr/alpha/tank/audio")
    assert lab.alpha.run(["cat", "/tmp/interview.wav"]).text == "first"
    facts = json.loads(lab.alpha.run(["zr", "status", "--json"]).text)
    assert {lane["dataset"] for lane in facts["lanes"]} == {"tank", "tank/audio"}
    assert facts["unpaired"] == []


def test_init_again_has_nothing_to_do(lab: Lab) -> None:
    for node, argv in ((lab.alpha, ["--target", "beta"]), (lab.beta, ["--replicas", "back/zr"])):
        assert "Nothing to do" in node.run(["zr", "init", *argv]).text
        facts = json.loads(node.run(["zr", "init", "--json"]).text)
        assert (facts["steps"], facts["notes"]) == ([], [])


def test_it_survives_a_reboot(lab: Lab) -> None:
    lab.crash()  # no sync: what was installed and configured is on disk by itself
    lab.boot()
    deadline = time.monotonic() + 300
    lab.alpha.sh("echo after >>/tank/audio/interview.wav")
    while lab.alpha.run(["zr", "sync", "--timeout", "20"], check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_installing_again_upgrades_and_uninstalling_leaves_everything(lab: Lab) -> None:
    def make(target: str) -> None:
        lab.beta.run(["make", target], env=OFFLINE, cwd=SOURCE, timeout_seconds=300)

    make("install")
    assert lab.beta.run(["systemctl", "is-active", "zr"]).text.strip() == "active"
    make("uninstall")
    left = lab.beta.sh("find /opt /usr/local /etc/systemd/system -name '*zr*'").text
    assert left == ""
    assert lab.beta.run(["systemctl", "is-active", "zr"], check=False).returncode != 0
    lab.beta.sh("test -s /etc/zr/zr.toml; test -s /var/lib/zr/state.json; getent passwd zr zr-recv")
    lab.beta.sh("zfs list -t snapshot -r back/zr/alpha/tank/audio | grep -q zr_")
    make("wheels")
    elsewhere = ["make", "install", "WHEELS=wheels", "PREFIX=/srv/zr"]
    lab.beta.run(elsewhere, cwd=SOURCE, timeout_seconds=300)
    resolved = lab.beta.run(["readlink", "-f", "/usr/local/bin/zr"]).text
    assert resolved.startswith("/srv/zr.versions/")
    assert "systemctl enable --now" in lab.beta.run(["zr", "init", "--yes"]).text
    lab.alpha.run(["zr", "sync"], timeout_seconds=320)
