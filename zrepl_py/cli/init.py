"""`zr init` and `zr trust`: prepare a node, and pin the other one's certificate.

Both can be run twice. Nothing of existing datasets is changed.
"""

import os
import pwd
import uuid
from pathlib import Path

import click

from zrepl_py.adapters.files import ensure_directory, sync_directory, write_atomically
from zrepl_py.adapters.host.prepare import (
    ensure_replica_parent,
    ensure_run_directory,
    plan_replica_parent,
)
from zrepl_py.adapters.peer.certificates import Identity, ensure_identity, parse_pin
from zrepl_py.adapters.state import NodeState, load_state, store_state
from zrepl_py.cli.options import config_option, dry_run_option
from zrepl_py.config.node import load_node_config
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.names import Epoch
from zrepl_py.model.site import Node

FIRST_EPOCH = Epoch(1, "00000000")
"""Before any promotion, both nodes agree that nothing was ever forked."""
USER = "zr"
PUBLIC = 0o755
STATE_FILE = "state.json"


@click.command()
@config_option
@dry_run_option
@click.option("--name", required=True, help="This node's name, for example alpha.")
@click.option("--pool", "pools", multiple=True, required=True, help="A pool that zr works on.")
@click.option("--listen", help="ADDRESS:PORT where the other node reaches this one.")
@click.option("--replicas", help="The dataset below which the other node's replicas live.")
@click.option("--peer", "peers", multiple=True, metavar="NAME=ADDRESS:PORT", help="The other node.")
def init(
    config: str,
    dry_run: bool,
    name: str,
    pools: tuple[str, ...],
    listen: str | None,
    replicas: str | None,
    peers: tuple[str, ...],
) -> None:
    """Prepare this node: configuration, key, certificate, and a parent for replicas.

    Example: zr init --name beta --pool back --listen 10.0.0.2:7676 --replicas back/zr
    --peer alpha=10.0.0.1:7676
    """
    text = render_config(name, pools, listen, replicas, peers)
    if dry_run:
        click.echo(f"would write {config} (unless it exists):\n\n{text}")
        for command in plan_replica_parent(replicas) if replicas else ():
            click.echo(f"would run: {' '.join(command)}")
        return
    if os.geteuid() != 0:
        raise Standing("no-rights", "`zr init` must be run as root.", "Use sudo.")
    path = Path(config)
    ensure_directory(str(path.parent), PUBLIC)
    if path.exists():
        click.echo(f"{path} is there already and stays as it is.")
    else:
        write_checked(config, text)
        click.echo(f"wrote {path}")
    node = load_node_config(config)
    for folder in (node.policy_dir, str(path.parent / "peers")):
        ensure_directory(folder, PUBLIC)
    ensure_directory(node.state_dir)
    me = ensure_node(node)
    give_to_service(node)
    for command in ensure_replica_parent(node.replica_parent) if node.replica_parent else ():
        click.echo(f"ran: {' '.join(command)}")
    click.echo(
        f"Node {me.name} is {me.uuid}. Its certificate is {node.certificate}: copy it to the other "
        "node and run there: zr trust FILE"
    )


def write_checked(config: str, text: str) -> None:
    """The file appears only if the daemon would accept it. Errors: Standing(config)."""
    draft = f"{config}.new"
    write_atomically(draft, text.encode(), mode=0o644)
    try:
        load_node_config(draft)
    except ZrError:
        os.unlink(draft)
        raise
    os.rename(draft, config)
    sync_directory(str(Path(config).parent))


def ensure_node(node: NodeConfig) -> Node:
    """State, key and certificate, made where missing."""
    state_path = str(Path(node.state_dir) / STATE_FILE)
    state = load_state(state_path)
    if state is None:
        state = NodeState(Node(str(uuid.uuid4()), node.name), str(FIRST_EPOCH))
        store_state(state_path, state)
    ensure_identity(Identity(Path(node.certificate), Path(node.key)), state.node)
    return state.node


def give_to_service(node: NodeConfig) -> None:
    """What the daemon reads and writes belongs to its user, where that exists."""
    try:
        owner = pwd.getpwnam(USER)
    except KeyError:
        return
    ensure_run_directory(node.run_dir, owner.pw_gid)
    for path in map(Path, (node.state_dir, node.key)):
        for entry in (path, *path.rglob("*")):
            os.chown(entry, owner.pw_uid, owner.pw_gid)


@click.command()
@config_option
@click.argument("certificate", type=click.Path(exists=True, dir_okay=False))
def trust(config: str, certificate: str) -> None:
    """Pin the other node's certificate: from then on this node believes exactly that one.

    Example: zr trust /tmp/beta.pem
    """
    node = load_node_config(config)
    pin = parse_pin(Path(certificate).read_text())
    peer = node.peers.get(pin.node.name)
    if peer is None:
        known = ", ".join(node.peers) or "none"
        raise Refused(
            "unknown-peer",
            f"The certificate is of {pin.node.name!r}; {config} names these peers: {known}.",
            f"Add [peers.{pin.node.name}] with its address there.",
        )
    target = Path(peer.certificate)
    if target.exists():
        if parse_pin(target.read_text()).fingerprint == pin.fingerprint:
            click.echo(f"{pin.node.name} is trusted already ({pin.fingerprint}).")
            return
        raise Refused(
            "peer-certificate",
            f"{target} already holds another certificate of {pin.node.name}.",
            f"If {pin.node.name} was really replaced, remove that file first.",
        )
    ensure_directory(str(target.parent), PUBLIC)
    write_atomically(str(target), pin.pem.encode(), mode=0o644)
    click.echo(f"{pin.node.name} ({pin.node.uuid}) is trusted by its certificate:")
    click.echo(f"  {pin.fingerprint}")


def render_config(
    name: str,
    pools: tuple[str, ...],
    listen: str | None,
    replicas: str | None,
    peers: tuple[str, ...],
) -> str:
    """The text of zr.toml."""
    lines = ["format = 1", "", "[node]", f'name = "{name}"']
    lines.append("pools = [" + ", ".join(f'"{pool}"' for pool in pools) + "]")
    if listen:
        lines.append(f'listen = "{listen}"')
    if replicas:
        lines.append(f'replicas = "{replicas}"')
    for peer in peers:
        peer_name, equals, address = peer.partition("=")
        if not equals:
            raise click.UsageError(f"--peer {peer!r}: write NAME=ADDRESS:PORT")
        lines += ["", f"[peers.{peer_name}]", f'address = "{address}"']
    return "\n".join(lines) + "\n"
