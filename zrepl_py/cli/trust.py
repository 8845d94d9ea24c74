"""`zr trust` and `zr unpair`: believe a certificate that was carried by hand; believe one no more.

`zr pair` is the usual way. `zr trust` is for two nodes that cannot reach each other yet.
"""

import os
from pathlib import Path

import click

from zrepl_py.adapters.peer.certificates import parse_pin
from zrepl_py.cli.options import config_option, dry_run_option
from zrepl_py.cli.pair_keep import (
    forget_peer,
    judge_pin,
    pin_path,
    reload_daemon,
    store_pin,
)
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import Refused, Standing


@click.command()
@config_option
@click.option("--replace", is_flag=True, help="That node was replaced: forget its old one.")
@click.argument("certificate", type=click.Path(exists=True, dir_okay=False))
def trust(config: str, replace: bool, certificate: str) -> None:
    """Pin the other node's certificate: from then on this node believes exactly that one.

    Example: zr trust /tmp/beta.pem
    """
    node = load_node_config(config)
    pin = parse_pin(Path(certificate).read_text(errors="replace"))
    if pin.node.name not in node.peers:
        known = ", ".join(node.peers) or "none"
        raise Refused(
            "unknown-peer",
            f"The certificate is of {pin.node.name!r}; {config} names these peers: {known}.",
            f"Add [peers.{pin.node.name}] with its address there, or use `zr pair`.",
        )
    judge_pin(config, node, pin, replace=replace)
    if not store_pin(config, node, pin):
        click.echo(f"{pin.node.name} is trusted already ({pin.fingerprint}).")
        return
    click.echo(f"{pin.node.name} ({pin.node.uuid}) is trusted by its certificate:")
    click.echo(f"  {pin.fingerprint}")
    click.echo(reload_daemon(node))


@click.command()
@config_option
@dry_run_option
@click.argument("name")
def unpair(config: str, dry_run: bool, name: str) -> None:
    """Forget the node NAME: its certificate and its address. Its replicas and data stay.

    Example: zr unpair beta
    """
    if os.geteuid() != 0:
        raise Standing("no-rights", "`zr unpair` must be run as root.", "Use sudo.")
    node = load_node_config(config)
    if name not in node.peers and not pin_path(config, node, name).exists():
        known = ", ".join(node.peers) or "none"
        raise Refused("unknown-peer", f"There is no peer {name!r}.", f"Known: {known}.")
    if dry_run:
        click.echo(f"would remove {pin_path(config, node, name)}, and [peers.{name}] in {config}")
        return
    for done in forget_peer(config, node, name):
        click.echo(done)
    for policy in load_policies(node.policy_dir):
        if name in (policy.source, *policy.targets):
            click.echo(f"The policy {policy.name} still names {name}.")
    click.echo(reload_daemon(load_node_config(config)))
