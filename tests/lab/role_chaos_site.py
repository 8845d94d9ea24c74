"""The two nodes of the role chaos: how they are set up, what runs there, and what is asked."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import LabError
from .node import Node
from .roles_site import RolesSite
from .site import OTHER, POOLS

GUEST = "/var/lib/chaos/guest.py"
SOURCE = Path(__file__).with_name("role_chaos_guest.py")
STEPS = "/var/lib/zr/role-steps"
SAMPLES = "/run/chaos-samples"
SERVING = ("primary", "primary-alone")
MEMBERS = ("tank/audio", "tank/audio/news")
EVERY, KEEP = "10s", 40
COLLECT_SECONDS = 0.4
LAG_SECONDS = 30
GAP_SECONDS = 0.7
"""Between two samples that are further apart, nothing is known."""
SET_UP = f"""
mkdir -p /etc/systemd/system/zr.service.d
printf '%s\\n' '[Service]' 'ExecStart=' 'ExecStart=/opt/zr/bin/python {GUEST} daemon' \
    >/etc/systemd/system/zr.service.d/chaos.conf
for verb in desk sample; do
    printf '%s\\n' '[Unit]' 'DefaultDependencies=no' '[Service]' \
        "ExecStart=/opt/zr/bin/python {GUEST} $verb" 'Restart=always' 'RestartSec=0.5' \
        'StartLimitIntervalSec=0' '[Install]' 'WantedBy=multi-user.target' \
        >/etc/systemd/system/chaos-$verb.service
done
systemctl daemon-reload
systemctl enable --now chaos-desk chaos-sample
systemctl restart zr
sync
"""

Row = tuple[float, bool, bool]
"""(host's time, writable, address)"""


@dataclass
class Sampler:
    """Collects what a node's sampler wrote, all the time."""

    node: Node
    rows: list[Row] = field(default_factory=list)
    _offset: int = 0
    _boot: str = ""

    def collect(self) -> None:
        """What came since last time; a node that does not answer has nothing to say."""
        with contextlib.suppress(LabError, OSError, ValueError):
            self._collect()

    def _collect(self) -> None:
        said = self.node.run(
            [
                "sh",
                "-c",
                f"cat /proc/sys/kernel/random/boot_id; tail -c +{self._offset + 1} {SAMPLES}",
            ],
            timeout_seconds=5,
        ).stdout
        skew = time.time() - self.node.now()
        boot, _, text = said.decode().partition("\n")
        if boot != self._boot:
            self._boot, again = boot, self._offset != 0
            self._offset = 0
            if again:
                return
        whole = text[: text.rfind("\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            at, writable, here = line.split()
            shift = skew if abs(skew) > 0.1 else 0.0
            self.rows.append((float(at) + shift, writable != "0", here != "0"))


def find_overlaps(one: list[Row], other: list[Row], column: int) -> list[tuple[float, float]]:
    """When both were so for certain: (from, to)."""
    found = []
    left, right = _spans(one, column), _spans(other, column)
    for a, b in left:
        for c, d in right:
            if min(b, d) > max(a, c):
                found.append((max(a, c), min(b, d)))
    return found


def _spans(rows: list[Row], column: int) -> list[tuple[float, float]]:
    spans: list[list[float]] = []
    last = None
    for row in sorted(rows):
        joined = last is not None and last[column] and row[0] - last[0] < GAP_SECONDS
        if row[column] and joined:
            spans[-1][1] = row[0]
        elif row[column]:
            spans.append([row[0], row[0]])
        last = row
    return [(a, b) for a, b in spans]


class ChaosSite(RolesSite):
    """With the desk, the sampler, and a daemon that notes its steps."""

    def prepare(self) -> None:
        """Everything, with alpha as the first primary."""
        self.samplers = {name: Sampler(node) for name, node in self.lab.nodes.items()}
        self._collecting = threading.Event()
        self.set_up(every=EVERY)
        self.wait(lambda: self.states() == ("init", "init"), "both know of each other", 60)
        self.begin()
        for node in self.lab.nodes.values():
            node.run(["mkdir", "-p", "/var/lib/chaos"])
            node.put(GUEST, SOURCE.read_bytes())
            node.sh(SET_UP)
        self.wait(lambda: self.states() == ("primary", "standby"), "as before", 90)
        for name in self.samplers:
            threading.Thread(target=self._collect, args=(name,), daemon=True).start()

    def protect(self, datasets: list[str], **words: Any) -> None:
        """With a retention that has something to do."""
        super().protect(datasets, **{"keep_alpha": KEEP, "keep_beta": KEEP, **words})

    def _collect(self, name: str) -> None:
        while not self._collecting.is_set():
            self.samplers[name].collect()
            self._collecting.wait(COLLECT_SECONDS)

    def end(self) -> None:
        """Nothing is collected any more."""
        self._collecting.set()

    # What is asked.

    def guest(self, node: str, verb: str, order: object, timeout_seconds: float = 120) -> Any:
        """One verb of role_chaos_guest.py."""
        said = self.lab.nodes[node].run(
            ["/opt/zr/bin/python", GUEST, verb],
            stdin=json.dumps(order).encode(),
            timeout_seconds=timeout_seconds,
        )
        return json.loads(said.text)

    def steps(self, node: str, since: float) -> list[str]:
        """The first words of what was noted since then."""
        found = []
        for line in self.lab.nodes[node].sh(f"tail -n 2000 {STEPS} || true").text.splitlines():
            with contextlib.suppress(ValueError):  # cut off by a crash
                noted = json.loads(line)
                if noted["at"] >= since and noted["step"] != "wait":
                    found.append(noted["step"].partition(" ")[0].rstrip(":"))
        return found

    def facts(self, node: str) -> dict[str, Any]:
        """`zr status --json`; empty while nothing answers."""
        try:
            said = self.zr(node, "status", "--json", check=False, timeout_seconds=30)
            return dict(json.loads(said.text))
        except (LabError, OSError, ValueError):
            return {}

    def primary(self) -> str:
        """The one that serves; the cycle begins and ends with exactly one."""
        found = [name for name in self.lab.nodes if self.role(name).get("state") in SERVING]
        if len(found) != 1:
            raise LabError(f"{found or 'nobody'} serves")
        return found[0]

    def find_restless(self) -> list[str]:
        """Why it has not come to rest; empty: it has."""
        facts = {name: self.facts(name) for name in self.lab.nodes}
        roles = {name: (said.get("roles") or [{}])[0] for name, said in facts.items()}
        states = {name: str(role.get("state")) for name, role in roles.items()}
        if sorted(states.values()) != ["primary", "standby"]:
            return [f"{name} is {state}" for name, state in states.items()]
        primary = next(name for name, state in states.items() if state == "primary")
        role, lanes, found = roles[primary], facts[primary]["lanes"], []
        if role.get("address") != "here":
            found.append(f"the address is {role.get('address')} on {primary}")
        if down := {s: v for s, v in (role.get("services") or {}).items() if v != "running"}:
            found.append(f"services on {primary}: {down}")
        if len(lanes) != len(MEMBERS):
            found.append(f"{primary} has {len(lanes)} lanes, not {len(MEMBERS)}")
        wrong = {lane["dataset"]: lane["error"] or lane["conflict"] for lane in lanes}
        found += [f"{dataset}: {why}" for dataset, why in wrong.items() if why]
        lag = roles[OTHER[primary]].get("lag_seconds")
        if lag is None or lag > LAG_SECONDS:  # something is written all the time
            found.append(f"{OTHER[primary]} is {lag} s behind")
        unsent = [
            r["label"] for r in roles[OTHER[primary]].get("rescues") or [] if not r["shipped"]
        ]
        found += [f"rescue {label} is not on {primary}" for label in unsent]
        return found

    def rescues(self, node: str) -> list[dict[str, Any]]:
        """`zr rescue list --json`."""
        said = self.zr(node, "rescue", "list", "--json", check=False)
        try:
            return list(json.loads(said.text)["rescues"])
        except (ValueError, KeyError):
            return []

    def noted(self, file_name: str) -> set[str]:
        """Names that the desks of both nodes noted."""
        return {
            line
            for node in self.lab.nodes.values()
            for line in node.sh(f"cat /var/lib/chaos/{file_name} || true").text.splitlines()
        }

    def own_rescue_snapshots(self, node: str) -> list[str]:
        """Every snapshot below the places of rescues."""
        pool = POOLS[node]
        argv = ["zfs", "list", "-Ho", "name", "-t", "snapshot", "-r"]
        found: list[str] = []
        for place in ("zr-rescue", "zr-rescue-of"):
            said = self.lab.nodes[node].run([*argv, f"{pool}/{place}"], check=False)
            found += [n for n in said.text.splitlines() if "@zr-rescue_" in n]
        return found


def members_of(site: RolesSite, node: str) -> Sequence[str]:
    """The group's datasets on a node."""
    return [site.place(node, member) for member in MEMBERS]
