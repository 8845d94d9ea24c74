"""`zr pair`: join two nodes with a one-time code, shown on one and typed on the other."""

import ipaddress
import json
import os
import sys
from typing import Any

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.pairing.card import Card
from zrepl_py.adapters.pairing.code import make_code, parse_code, render_code
from zrepl_py.adapters.pairing.meeting import Manners, Met
from zrepl_py.adapters.pairing.rendezvous import TRIES, open_rendezvous, visit, wait_for_guest
from zrepl_py.adapters.peer.certificates import Pin, parse_pin
from zrepl_py.cli.options import config_option, dry_run_option, json_option
from zrepl_py.cli.pair_keep import (
    ensure_peer,
    judge_pin,
    pin_path,
    policies_for,
    reload_daemon,
    store_pin,
    take_policies,
)
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.config.values import parse_endpoint
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.config import Endpoint, NodeConfig

PORT = 7676
FORMAT = 1


@click.command()
@config_option
@click.argument("address", required=False)
@click.option("--port", type=click.IntRange(1, 65535), help="Where the two meet; default 7677.")
@click.option("--replace", is_flag=True, help="The other node was replaced: forget its old one.")
@dry_run_option
@json_option
def pair(
    config: str,
    address: str | None,
    port: int | None,
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Join this node and another one.

    Without ADDRESS it shows a code and waits, ten minutes at most. Then, on the other node,
    `zr pair ADDRESS`, and type the code there.

    Example: zr pair 10.0.0.2
    """
    if os.geteuid() != 0:
        raise Standing("no-rights", "`zr pair` must be run as root.", "Use sudo.")
    node = load_node_config(config)
    mine = read_own_pin(node)
    meeting = port or (node.listen.port if node.listen else PORT) + 1
    say = Speaker(as_json)
    if dry_run:
        what = f"dial {address}" if address else f"show a code, and listen at port {meeting}"
        say.line(f"would {what}; then trust the other node's certificate, and name it in {config}")
        return
    where = parse_meeting(address, meeting) if address else None
    desk = Desk(config, node, mine, replace=replace, dialled=where[0] if where else None)
    met = _type(desk, where) if where else _show(desk, meeting, say)
    _finish(desk, met, say)


class Speaker:
    """Lines for people, or one JSON object a line for scripts."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def line(self, text: str, **fields: Any) -> None:
        """Say something at once: somebody waits for the code."""
        if not self._as_json:
            click.echo(text)
        elif fields:
            click.echo(json.dumps({"format": FORMAT, **fields}, ensure_ascii=False))
        sys.stdout.flush()


class Desk:
    """What this node decides and writes while it is paired."""

    def __init__(
        self, config: str, node: NodeConfig, mine: Pin, *, replace: bool, dialled: str | None
    ) -> None:
        self.config, self.node, self.mine = config, node, mine
        self._replace, self._dialled = replace, dialled
        self.done: list[str] = []
        """Sentences: what was written."""

    @property
    def manners(self) -> Manners:
        """How this node takes part."""
        port = self.node.listen.port if self.node.listen else None
        return Manners(Card(self.mine, port), self.judge, self.store)

    def judge(self, card: Card) -> dict[str, str]:
        """Refused(same-node, peer-certificate); returns the policies that the other one needs."""
        if card.pin.node.uuid == self.mine.node.uuid or card.name == self.mine.node.name:
            raise Refused(
                "same-node",
                f"Both nodes are called {card.name!r}, or are the same one.",
                "Change `name` in zr.toml of the new one, run `zr init` there, and pair again.",
            )
        judge_pin(self.config, self.node, card.pin, replace=self._replace)
        return policies_for(self.node, card.name)

    def store(self, met: Met) -> None:
        """Write what must be kept. Twice is no error."""
        name, say = met.card.name, self.done.append
        if store_pin(self.config, self.node, met.card.pin):
            say(f"wrote {pin_path(self.config, self.node, name)}")
        where = str(Endpoint(self._dialled or met.host, met.card.port or PORT))
        if ensure_peer(self.config, name, where):
            say(f"added [peers.{name}] at {where} to {self.config}")
        elif (known := str(self.node.peers[name].endpoint)) != where:
            say(f"{self.config} says that {name} is at {known}, not {where}: correct what is wrong")
        self.done += take_policies(self.node, name, met.policies)
        own = [p for p in load_policies(self.node.policy_dir) if p.source == self.node.name]
        if own and not any(name in policy.targets for policy in own):
            say(f"no policy of {self.node.name} has {name} as a target: nothing is sent there yet")


def read_own_pin(node: NodeConfig) -> Pin:
    """This node's own certificate. Standing(not-initialised)."""
    try:
        with open(node.certificate, encoding="ascii") as file:
            return parse_pin(file.read())
    except FileNotFoundError:
        raise Standing(
            "not-initialised", "This node was never prepared.", "Run `zr init` here first."
        ) from None


def parse_meeting(address: str, port: int) -> tuple[str, int]:
    """`beta`, `10.0.0.2`, `10.0.0.2:7677`, `fd00::2`, `[fd00::2]:7677` → host and port."""
    try:
        return str(ipaddress.ip_address(address.strip("[]"))), port
    except ValueError:
        pass
    try:
        endpoint = parse_endpoint(address if ":" in address else f"{address}:{port}")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return endpoint.host, endpoint.port


def _show(desk: Desk, port: int, say: Speaker) -> Met:
    listen = desk.node.listen
    host = listen.host if listen else "0.0.0.0"
    code, name = make_code(), desk.node.name
    with open_rendezvous(host, port) as listener:
        shown = name if host in ("0.0.0.0", "::") else host
        suffix = "" if port == PORT + 1 else f" --port {port}"
        say.line(
            f"This is {name}. On the other node, type:\n\n    zr pair {shown}{suffix}\n\n"
            f"and there this code:\n\n    {render_code(code)}\n\n"
            f"It is good for ten minutes and {TRIES} tries. Waiting …",
            code=render_code(code),
            node=name,
            port=port,
        )
        return wait_for_guest(
            listener, code, desk.manners, MachineClock(), lambda text: click.echo(text, err=True)
        )


def _type(desk: Desk, where: tuple[str, int]) -> Met:
    left = TRIES
    while True:
        code, left = _ask_code(where[0]), left - 1
        try:
            return visit(*where, code, desk.manners, MachineClock())
        except Refused as error:
            if error.reason != "wrong-code" or not left or not sys.stdin.isatty():
                raise
            click.echo(f"zr: {error}", err=True)


def _ask_code(host: str) -> str:
    if not sys.stdin.isatty():
        return parse_code(sys.stdin.readline())
    while True:
        try:
            return parse_code(click.prompt(f"The code that is shown on {host}", type=str))
        except Refused as error:
            click.echo(f"zr: {error}", err=True)


def _finish(desk: Desk, met: Met, say: Speaker) -> None:
    pin = met.card.pin
    said = reload_daemon(desk.node)
    say.line(
        "\n".join(
            [
                f"Paired with {met.card.name} ({pin.node.uuid}), known by its certificate:",
                f"  {pin.fingerprint}",
                *desk.done,
                said,
            ]
        ),
        paired=met.card.name,
        uuid=pin.node.uuid,
        fingerprint=pin.fingerprint,
        done=desk.done,
        daemon=said,
    )
