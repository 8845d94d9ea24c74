"""Everything that `zr doctor` looks at, in the order in which it is said; each look by itself, so
that one that fails hides no other. Looks and judges; changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.control import CONTROL_SOCKET, call
from zrepl_py.adapters.doctor import datasets, files, system, zpool
from zrepl_py.adapters.host.prepare import SERVICE_USER, units_of
from zrepl_py.adapters.host.scratchowner import observe_scratch
from zrepl_py.adapters.state import load_state
from zrepl_py.adapters.zfs.rights import RECEIVE_USER
from zrepl_py.cli.audit_roles import find_served, look_at_roles
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.core.audit import datasets as of_datasets
from zrepl_py.core.audit import identity, leftovers, pools, releases, service
from zrepl_py.core.audit import system as of_system
from zrepl_py.core.audit.finding import Finding, Findings, judge_unseen
from zrepl_py.core.audit.roles import judge_progress
from zrepl_py.core.audit.seen import Placed
from zrepl_py.core.selection import is_selected
from zrepl_py.errors import Passing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.names import parse_tick
from zrepl_py.model.policy import Limits, Policy
from zrepl_py.model.properties import PLACEHOLDER_PROPERTY
from zrepl_py.wiring import STATE_FILE

T = TypeVar("T")
ANSWER_SECONDS = 10.0


@dataclass
class Audit:
    """One round. `findings` grows while it runs."""

    config: str
    findings: Findings = field(default_factory=list)
    node: NodeConfig | None = None
    policies: tuple[Policy, ...] = ()
    status: dict[str, Any] | None = None

    def run(self) -> Findings:
        """All findings, the worst first; within a level in the order of the looks."""
        self._look_at_service()
        placed = self._look_at_pools() if self.node else []
        encrypted = any(one.get("encryption") not in ("off", "-") for one in placed)
        self._look_at_machine(encrypted)
        if self.node:
            self._look_at_identity(self.node)
            self._look_at_datasets(self.node, placed)
        order = ("error", "warning", "note")
        return sorted(self.findings, key=lambda finding: order.index(finding.level))

    def _try(self, what: str, observe: Callable[[], T]) -> T | None:
        """What was seen; None, and a finding that says so, where it could not be seen."""
        try:
            return observe()
        except ZrError as error:
            self.findings.append(judge_unseen(what, error.message))
            return None

    def _look_at_service(self) -> None:
        try:
            self.node = node = load_node_config(self.config)
            self.policies = load_policies(node.policy_dir)
            keeps = node.replica_parent is not None
            peers = list(node.peers)
            self.findings += service.judge_targets(self.policies, node.name, peers, keeps=keeps)
        except ZrError as error:
            self.findings += service.judge_config(error.message)
        if self.node is None:
            return
        node = self.node
        try:
            self.status = call(Path(node.run_dir) / CONTROL_SOCKET, "status", ANSWER_SECONDS)
        except ZrError as error:
            if error.reason == "no-rights":
                self.findings.append(judge_unseen("the daemon", error.message))
            else:
                self.findings += service.judge_silent(error.message)
        if self.status is not None:
            self.findings += service.judge_status(self.status)
            self.findings += service.judge_sources(self.status, self.policies, node.name)
            self.findings += judge_progress(self._roles)

    def _look_at_machine(self, encrypted: bool) -> None:
        daemon = str(self.status["version"]) if self.status else None
        versions = system.observe_versions(daemon)
        self.findings += releases.judge_versions(versions, encrypted=encrypted)
        now = MachineClock().now()
        self.findings += of_system.judge_clock(system.observe_clock(now, self._newest_at()))
        units = self._units()
        seen = self._try("the units", lambda: system.observe_units(units)) if units else []
        self.findings += of_system.judge_units(seen, answers=self.status is not None)
        self.findings += of_system.judge_byte_path(system.observe_machine())

    @property
    def _roles(self) -> list[dict[str, Any]]:
        """The daemon's word of them; empty where it is silent, which is said elsewhere."""
        return list(self.status.get("roles", ())) if self.status else []

    def _newest_at(self) -> float | None:
        lanes = self.status["lanes"] if self.status else []
        ticks = [tick for lane in lanes if (tick := parse_tick(lane["newest"] or ""))]
        return max((float(tick.at) for tick in ticks), default=None)

    def _units(self) -> list[str]:
        if self.node is None:
            return []
        return units_of(self.node)

    def _look_at_pools(self) -> list[Placed]:
        """The datasets of all pools that could be seen."""
        placed: list[Placed] = []
        now = MachineClock().now()
        for pool in self.node.pools if self.node else ():
            try:
                self.findings += pools.judge_pool(zpool.observe_pool_status(pool), now)
                limit = self._limit_percent(pool)
                self.findings += pools.judge_room(datasets.observe_room(pool, limit))
                placed += datasets.observe_placed(pool)
                left = [one.name for one in observe_scratch(pool) if not one.alive]
                self.findings += leftovers.judge_scratch(left)
            except Passing as error:
                self.findings += pools.judge_pool_silent(pool, error.message)
            except ZrError as error:
                self.findings += pools.judge_pool_missing(pool, error.message)
        return placed

    def _limit_percent(self, pool: str) -> int:
        node = self.node
        if node is None:
            return 0
        limits = [
            policy.limits.min_free_percent
            for policy in self.policies
            if policy.source == node.name
            and any(p.split("/")[0] == pool for p in policy.selection.include)
        ]
        if node.replica_parent and node.replica_parent.split("/")[0] == pool:
            # What is received goes by the policy of its source, as daemon/replicas.py does it.
            theirs = [p.limits.min_free_percent for p in self.policies if p.source != node.name]
            limits += theirs or [Limits().min_free_percent]
        return max(limits, default=0)

    def _look_at_identity(self, node: NodeConfig) -> None:
        now, state_path = MachineClock().now(), str(Path(node.state_dir) / STATE_FILE)
        state = self._try(state_path, lambda: (load_state(state_path),))
        known = state[0] if state else None
        if state and known is None:
            self.findings += service.judge_uninitialised(state_path)
        own = files.observe_certificate(node.certificate)
        uuid = known.node.uuid if known else ""
        self.findings += identity.judge_certificate(own, uuid, now)
        pins = {n: files.observe_certificate(p.certificate) for n, p in node.peers.items()}
        self.findings += identity.judge_pins(pins, own, now)
        users = [SERVICE_USER, *([RECEIVE_USER] if node.receiving_pools else [])]
        missing = system.observe_missing_users(users)
        self.findings += identity.judge_users(missing)
        self.findings += list(self._judge_files(node, SERVICE_USER not in missing))

    def _judge_files(self, node: NodeConfig, user_exists: bool) -> Iterator[Finding]:
        key = self._try(node.key, lambda: files.observe_file(node.key))
        if key is not None:
            yield from identity.judge_key_file(key)
        state = self._try(node.state_dir, lambda: files.observe_file(node.state_dir))
        for file in (key, state):
            if file is not None and user_exists:
                yield from identity.judge_owner(file, SERVICE_USER)
        written = self._try(
            "the configuration's files",
            lambda: files.observe_configuration(self.config, node.policy_dir),
        )
        for file in written or ():
            yield from identity.judge_writable(file)
        room = self._try(node.state_dir, lambda: files.observe_disk_room(node.state_dir))
        if room is not None:
            yield from pools.judge_state_disk(room)

    def _look_at_datasets(self, node: NodeConfig, placed: list[Placed]) -> None:
        parent = node.replica_parent
        below = [p for p in placed if parent and (p.name + "/").startswith(parent + "/")]
        if parent and any(p.name == parent.split("/")[0] for p in placed):
            empty = frozenset(p.name for p in below if p.get(PLACEHOLDER_PROPERTY) == "on")
            served = find_served(node, self.policies, below, self._roles)
            kept = [p for p in below if p.name not in served]
            self.findings += of_datasets.judge_replicas(parent, kept, empty)
        if below and parent:
            version = releases.parse_version(system.observe_versions(None).kernel)
            allowed = self._try("the rights", lambda: datasets.observe_allowed(parent))
            if allowed is not None:
                append = version is None or version >= (2, 3, 0)
                self.findings += identity.judge_allowed(allowed, RECEIVE_USER, append=append)
        replicas = frozenset(p.name for p in below)
        mine = [p for p in placed if p.name not in replicas and self._selects(node, p.name)]
        missing = datasets.find_missing_key_files(mine)
        self.findings += of_datasets.judge_keys(mine, missing)
        concerned = replicas | {p.name for p in mine}
        foreign: dict[str, list[str]] = {}
        for pool in {p.name.split("/")[0] for p in placed}:
            seen = self._try(f"the snapshots of {pool}", lambda p=pool: datasets.observe_foreign(p))  # type: ignore[misc]
            foreign |= {d: names for d, names in (seen or {}).items() if d in concerned}
        self.findings += of_datasets.judge_foreign(foreign, replicas=replicas)
        self.findings += look_at_roles(node, self.policies, placed, self._roles)

    def _selects(self, node: NodeConfig, name: str) -> bool:
        return any(p.source == node.name and is_selected(p.selection, name) for p in self.policies)
