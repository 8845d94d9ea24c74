"""`zr init`: prepare a node. It shows first what it would do, and never changes what is there."""

import json
import os
import re
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from zrepl_py.adapters.control import CONTROL_SOCKET
from zrepl_py.adapters.host.prepare import check_zfs
from zrepl_py.cli.init_checks import check_asked, check_direction, check_pools, render_undo
from zrepl_py.cli.init_steps import Setup, plan_setup, read_node
from zrepl_py.cli.options import config_option, dry_run_option, json_option
from zrepl_py.cli.pair_keep import reload_daemon
from zrepl_py.config.node import load_node_config
from zrepl_py.config.starting import render_config
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.config import NodeConfig

FORMAT = 1
LISTEN = "0.0.0.0:7676"


@click.command()
@config_option
@click.option("--name", help="This node's name, for example alpha; default: the host's name.")
@click.option("--pool", "pools", multiple=True, help="A pool that zr works on; default: the one.")
@click.option("--target", help="The node that keeps copies: a starting policy sends all there.")
@click.option("--replicas", help="The dataset below which the other node's replicas live.")
@click.option("--listen", help=f"ADDRESS:PORT for the other node; default {LISTEN}.")
@click.option("--peer", "peers", multiple=True, metavar="NAME=ADDRESS:PORT", help="See zr trust.")
@click.option("--no-start", is_flag=True, help="Neither enable nor start the service.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@json_option
def init(
    config: str,
    name: str | None,
    pools: tuple[str, ...],
    target: str | None,
    replicas: str | None,
    listen: str | None,
    peers: tuple[str, ...],
    no_start: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Prepare this node: users, configuration, key, replica parent, first policy, service.

    It shows what is missing, asks, and does it; without a terminal only with --yes. Existing
    datasets and files stay as they are; run again, it does what is still missing.

    Example: zr init --target beta
    """
    if os.geteuid() != 0:
        raise Standing("no-rights", "`zr init` must be run as root.", "Use sudo.")
    imported = check_zfs()
    given = Given(name, pools, replicas, listen, parse_peers(peers))
    node, text = settle_config(config, given, imported)
    check_pools(node, imported)
    if target is not None:
        check_direction(node, target, both=replicas is not None)
    setup = plan_setup(config, node, text, target, start=not no_start)
    if not as_json:
        show(setup, details=dry_run)
    asks = bool(setup.steps) and not (yes or dry_run)
    check_asked(asks=asks, terminal=sys.stdin.isatty() and not as_json)
    if asks and not click.confirm("\nDo this?", default=True):
        click.echo("Nothing was done.")
        return
    if not dry_run:
        running = Path(node.run_dir, CONTROL_SOCKET).exists()
        for step in setup.steps:
            step.perform()
        if running and setup.steps:
            setup.notes.append(reload_daemon(node))
    tell_result(config, node, setup, done=not dry_run, as_json=as_json)


class Given:
    """What the command line says of zr.toml; None and empty: nothing."""

    def __init__(
        self,
        name: str | None,
        pools: tuple[str, ...],
        replicas: str | None,
        listen: str | None,
        peers: dict[str, str],
    ) -> None:
        self.name, self.pools, self.replicas = name, pools, replicas
        self.listen, self.peers = listen, peers

    def render(self, imported: tuple[str, ...]) -> str:
        """zr.toml for a new node. Errors: click.UsageError, Standing(pool-missing)."""
        name = self.name or socket.gethostname().split(".")[0]
        pools = self.pools or choose_pool(imported)
        return render_config(name, pools, self.listen or LISTEN, self.replicas, self.peers)

    def check_fits(self, node: NodeConfig) -> None:
        """Refused(config-differs) where zr.toml, which is there already, says something else."""
        said = {
            "name": (self.name, node.name),
            "pools": (self.pools or None, node.pools),
            "replicas": (self.replicas, node.replica_parent),
            "listen": (self.listen, str(node.listen) if node.listen else None),
        }
        for peer, address in self.peers.items():
            known = node.peers.get(peer)
            said[f"peers.{peer}"] = (address, str(known.endpoint) if known else None)
        wrong = [
            f"{key} is {_shown(has)}"
            for key, (wants, has) in said.items()
            if wants not in (None, has)
        ]
        if wrong:
            raise Refused(
                "config-differs",
                f"{node.origin} says something else than this command: {', '.join(wrong)}.",
                "zr never changes it: edit that file, then run `zr init` without these options.",
            )


def settle_config(
    config: str, given: Given, imported: tuple[str, ...]
) -> tuple[NodeConfig, str | None]:
    """The node's settings, and the text of zr.toml where it must be written. Standing(config)."""
    if Path(config).exists():
        node = load_node_config(config)
        given.check_fits(node)
        return node, None
    text = given.render(imported)
    with TemporaryDirectory() as folder:
        draft = Path(folder) / "zr.toml"
        draft.write_text(text)
        try:
            return load_node_config(str(draft)), text
        except Standing as error:
            said = error.message.replace(str(draft), "The options given")
            raise Standing(error.reason, said, "Correct the options.") from None


def choose_pool(imported: tuple[str, ...]) -> tuple[str, ...]:
    """The only pool there is. click.UsageError, Standing(pool-missing)."""
    if not imported:
        raise Standing("pool-missing", "No pool is imported here.", "Run: zpool import")
    if len(imported) > 1:
        raise click.UsageError(f"say --pool: there are {', '.join(imported)}")
    return imported


def parse_peers(words: tuple[str, ...]) -> dict[str, str]:
    """`NAME=ADDRESS:PORT` → name → address. click.UsageError."""
    peers = {}
    for word in words:
        name, equals, address = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_.:-]+", name):
            raise click.UsageError(f"--peer {word!r}: write NAME=ADDRESS:PORT")
        peers[name] = address
    return peers


def show(setup: Setup, *, details: bool) -> None:
    """The plan, for people."""
    if not setup.steps:
        click.echo("Nothing to do: everything is there.")
    for number, step in enumerate(setup.steps, 1):
        click.echo(f"{number:2}. {step.what}")
        for line in step.detail.splitlines() if details else ():
            click.echo(f"      {line}".rstrip())


def tell_result(config: str, node: NodeConfig, setup: Setup, *, done: bool, as_json: bool) -> None:
    """What is true now, and what comes next."""
    me = read_node(node)
    if as_json:
        facts = {
            "format": FORMAT,
            "node": node.name,
            "uuid": me.uuid if me else None,
            "done": done,
            "steps": [step.what for step in setup.steps],
            "notes": setup.notes,
        }
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for note in setup.notes:
        click.echo(note)
    if done and me is not None:
        paired = [name for name, peer in node.peers.items() if Path(peer.certificate).exists()]
        rest = f"paired with {', '.join(paired)}." if paired else "not paired yet: zr pair"
        click.echo(f"Node {me.name} is {me.uuid}; {rest}")
        if setup.steps:
            click.echo(render_undo(node, config, setup.policy, new_parent=setup.new_parent))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return "not set" if value is None else str(value)
