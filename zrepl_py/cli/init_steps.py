"""What is missing on this node, in the order in which it must be done; nothing is changed here.

The plan is made from zr.toml as it is, or as it would be written. Existing files and datasets never
appear in a step: what is there stays.
"""

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from zrepl_py.adapters.files import ensure_directory, write_atomically
from zrepl_py.adapters.host.localzone import observe_local_zone
from zrepl_py.adapters.host.prepare import (
    plan_ownership,
    plan_replica_parent,
    plan_run_directory,
    plan_units,
    plan_users,
)
from zrepl_py.adapters.host.steps import Step, run_command
from zrepl_py.adapters.peer.certificates import Identity, ensure_identity, parse_pin
from zrepl_py.adapters.state import NodeState, load_state, store_state
from zrepl_py.cli.pair_keep import ensure_public_directory, write_checked
from zrepl_py.config.policies import load_policies
from zrepl_py.config.starting import POLICY_NAME, render_policy
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.names import Epoch
from zrepl_py.model.site import Node

FIRST_EPOCH = Epoch(1, "00000000")
"""Before any promotion, both nodes agree that nothing was ever forked."""
STATE_FILE = "state.json"


@dataclass
class Setup:
    """Everything that `zr init` found missing."""

    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know, or do by hand."""
    policy: str | None = None
    """The file of the starting policy, where a step writes it."""
    new_parent: bool = False
    """A step makes the replica parent."""

    def add(self, steps: list[Step], notes: list[str]) -> None:
        """Take in what one plan found."""
        self.steps += steps
        self.notes += notes


def plan_setup(
    config: str, node: NodeConfig, new_text: str | None, target: str | None, *, start: bool
) -> Setup:
    """`new_text`: zr.toml, where there is none. `target`: who gets copies, by a starting policy.

    Errors: those of the commands that look (zfs, systemctl); Standing(config) of a policy.
    """
    setup = Setup(plan_users())
    folders = [str(Path(config).parent), node.policy_dir, str(Path(config).parent / "peers")]
    setup.steps += [_folder_step(f) for f in folders if not Path(f).is_dir()]
    if new_text is not None:
        text = new_text
        setup.steps.append(Step(f"write {config}", lambda: write_checked(config, text), text))
    identity, notes = _plan_identity(node)
    setup.add(identity, notes)
    setup.steps += plan_ownership([node.state_dir, node.key], written=bool(identity))
    setup.steps += plan_run_directory(node.run_dir)
    if node.replica_parent:
        steps = plan_replica_parent(node.replica_parent)
        setup.new_parent = any(step.what.startswith("run: zfs create ") for step in steps)
        setup.steps += steps
    if target is not None:
        steps, notes = _plan_policy(node, target)
        setup.policy = policy_path(node) if steps else None
        setup.add(steps, notes)
    if start:
        setup.add(*plan_units(node))
    return setup


def _folder_step(path: str) -> Step:
    return Step(f"make {path}", lambda: ensure_public_directory(path))


def _plan_identity(node: NodeConfig) -> tuple[list[Step], list[str]]:
    state = Path(node.state_dir) / STATE_FILE
    missing = [str(p) for p in (state, Path(node.key), Path(node.certificate)) if not p.exists()]
    if missing:
        what = f"make this node's identity: {', '.join(missing)}"
        return [Step(what, lambda: ensure_node(node))], []
    said = parse_pin(Path(node.certificate).read_text()).node.name
    if said == node.name:
        return [], []
    if any(Path(peer.certificate).exists() for peer in node.peers.values()):
        note = f"the certificate says {said}, by which the other node knows this one"
        return [], [f"{node.origin} says that this node is {node.name}, but {note}"]
    return [Step(f"call this node {node.name} instead of {said}", lambda: rename_node(node))], []


def ensure_node(node: NodeConfig) -> None:
    """State, key and certificate, made where missing."""
    ensure_directory(node.state_dir)
    path = str(Path(node.state_dir) / STATE_FILE)
    state = load_state(path)
    if state is None:
        state = NodeState(Node(str(uuid.uuid4()), node.name), str(FIRST_EPOCH))
        store_state(path, state)
    ensure_identity(Identity(Path(node.certificate), Path(node.key)), state.node)


def rename_node(node: NodeConfig) -> None:
    """A certificate with another name; key and uuid stay. Only where nobody knows the old one."""
    path = str(Path(node.state_dir) / STATE_FILE)
    state = load_state(path)
    if state is not None:
        store_state(path, replace(state, node=Node(state.node.uuid, node.name)))
    Path(node.certificate).unlink()
    ensure_node(node)


def read_node(node: NodeConfig) -> Node | None:
    """Who this node is, where it knows already."""
    state = load_state(str(Path(node.state_dir) / STATE_FILE))
    return state.node if state else None


def _plan_policy(node: NodeConfig, target: str) -> tuple[list[Step], list[str]]:
    there = load_policies(node.policy_dir) if os.path.isdir(node.policy_dir) else ()
    own = [policy for policy in there if policy.source == node.name]
    if any(target in policy.targets for policy in own):
        return [], []
    if own:
        names = ", ".join(policy.name for policy in own)
        return [], [f"policies of {node.name} are there ({names}), but none has {target} as target"]
    path = policy_path(node)
    zone = observe_local_zone().key
    text = render_policy(node.name, target, node.pools, observe_found(node), zone)
    write = _writer(path, text)
    return [Step(f"write {path}: every dataset of {', '.join(node.pools)}", write, text)], []


def policy_path(node: NodeConfig) -> str:
    """Of the starting policy."""
    return str(Path(node.policy_dir) / f"{POLICY_NAME}.toml")


def _writer(path: str, text: str) -> Callable[[], None]:
    return lambda: write_atomically(path, text.encode(), mode=0o644)


def observe_found(node: NodeConfig) -> dict[str, str]:
    """File systems and volumes of the node's pools → their size; replicas of others left out."""
    argv = ["zfs", "list", "-H", "-o", "name,used", "-t", "filesystem,volume", "-r", *node.pools]
    rows = [line.split("\t") for line in run_command(argv).stdout.splitlines()]
    kept = node.replica_parent
    return {
        name: used
        for name, used in rows
        if kept is None or not (name == kept or name.startswith(kept + "/"))
    }
