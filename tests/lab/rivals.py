"""bzfs and sanoid, which thin out snapshots too: fetched, put into a node, asked for a plan.

For comparisons only: zr needs neither, and no other test does. bzfs comes from PyPI in one version,
sanoid from the nodes' Debian; both into the lab's cache, and from there into a running node.

All three tools are given a policy in their own words: the newest 96 quarters of an hour, 48 hours,
30 days. zr finds the last snapshot of each hour by its time; the others know an hour's by its name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from .build.archive import Archive
from .build.build import locked
from .build.cache import Cache, Step
from .layout import cache_directory
from .node import Node
from .past import name_tick

BZFS = "1.25.0"
SANOID = ("sanoid", "libconfig-inifiles-perl", "libcapture-tiny-perl")
UNPACKED = ("usr/sbin/sanoid", "usr/share/sanoid", "usr/share/perl5", "opt/bzfs")
EVERY_SECONDS = 900
QUARTERS, HOURS, DAYS = 96, 48, 30
POLICY = f"""\
format = 1

[policy]
name = "compared"
source = "alpha"
datasets = ["tank/zr"]
every = "15m"

[retention.alpha]
grid = ["{QUARTERS} x 15m"]
hourly = {HOURS}
daily = {DAYS}

[limits]
max_snapshots = 200000
"""
SANOID_CONF = f"""\
[back/sanoid]
frequent_period = 15
frequently = {QUARTERS}
hourly = {HOURS}
daily = {DAYS}
weekly = 0
monthly = 0
yearly = 0
autosnap = no
autoprune = yes
"""
BZFS_PLAN = f"{{'b':{{'c':{{'15minutely':{QUARTERS},'hourly':{HOURS},'daily':{DAYS}}}}}}}"


@dataclass(frozen=True)
class Way:
    """One tool, on one node, with a dataset of its own."""

    tool: str
    node: str
    dataset: str
    argv: tuple[str, ...]
    name_of: Callable[[int, int], str]
    """(number, seconds since 1970) → what this tool would have called that snapshot."""
    count_going: Callable[[str], int]
    """What it printed → how many it would destroy."""

    def snapshot(self, number: int, at: int) -> str:
        """The whole name."""
        return f"{self.dataset}@{self.name_of(number, at)}"


def _stamp(at: int, words: tuple[str, str, str]) -> str:
    """With the word for the longest of day, hour and quarter that begins here."""
    word = words[0 if at % 86_400 == 0 else 1 if at % 3600 == 0 else 2]
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d_%H:%M:%S}_{word}"


def _bzfs_going(said: str) -> int:
    return int(said.partition("[Deleted ")[2].partition(" ")[0])


def _zr_going(said: str) -> int:
    going: int = json.loads(said)["datasets"][0]["counts"]["goes"]
    return going


ZR = Way(
    "zr",
    "alpha",
    "tank/zr",
    ("zr", "retention", "plan", "--json", "tank/zr"),
    name_tick,
    _zr_going,
)
BZFS_WAY = Way(
    "bzfs",
    "alpha",
    "tank/bzfs",
    (
        *("env", "PYTHONPATH=/opt/bzfs", "/usr/bin/python3", "-m", "bzfs_main.bzfs"),
        *("dummy", "tank/bzfs", "--dryrun", "--skip-replication", "--delete-dst-snapshots"),
        *("--delete-dst-snapshots-except-plan", BZFS_PLAN, "--log-dir", "/tmp/bzfs-logs"),
    ),
    lambda _, at: "b_c_" + _stamp(at, ("daily", "hourly", "15minutely")),
    _bzfs_going,
)
SANOID_WAY = Way(
    "sanoid",
    "beta",  # it lists all snapshots of all pools of a machine, so it has one for itself
    "back/sanoid",
    (
        *("sanoid", "--configdir", "/etc/sanoid", "--cache-dir", "/tmp/sanoid"),
        *("--run-dir", "/tmp/sanoid", "--prune-snapshots", "--readonly", "--verbose"),
        "--force-prune",  # else it starts a `ps` for each snapshot that goes
    ),
    lambda _, at: "autosnap_" + _stamp(at, ("daily", "hourly", "frequently")),
    lambda said: said.count("INFO: pruning back/sanoid@"),
)
WAYS = (ZR, BZFS_WAY, SANOID_WAY)


def fetch_rivals() -> tuple[bytes, dict[str, str]]:
    """A tar archive for a node's root directory, and which versions are in it."""
    cache = Cache(cache_directory())
    with locked(cache.folder / "lock"):
        folder = cache.obtain("rivals", f"fetching bzfs {BZFS} and sanoid", _fill, BZFS, *SANOID)
    versions: dict[str, str] = json.loads((folder / "versions.json").read_text())
    return (folder / "rivals.tar").read_bytes(), versions


def _fill(step: Step) -> None:
    root = step.folder / "root"
    step.command(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--root-user-action", "ignore", "--no-deps", "--no-compile"),
        *("--target", root / "opt/bzfs", f"bzfs=={BZFS}"),
    )
    archive = Archive(cache_directory() / "apt")
    archive.update()
    versions = archive.candidates(SANOID)
    for package, version in versions.items():
        archive.unpack(package, version, root)
    step.command("tar", "-C", root, "-cf", "rivals.tar", *UNPACKED)
    said = {"bzfs": BZFS, "sanoid": versions["sanoid"]}
    (step.folder / "versions.json").write_text(json.dumps(said))


def install_rivals(nodes: dict[str, Node]) -> dict[str, str]:
    """Put them and everybody's policy on the nodes; returns which versions."""
    content, versions = fetch_rivals()
    for node in nodes.values():
        node.put("/tmp/rivals.tar", content)
        node.sh("tar -xf /tmp/rivals.tar -C /; mkdir -p /etc/sanoid /tmp/sanoid")
        node.put("/etc/sanoid/sanoid.conf", SANOID_CONF.encode())
        node.put("/etc/zr/policies/compared.toml", POLICY.encode())
    return versions
