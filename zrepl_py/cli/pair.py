"""`zr pair`: join two nodes with a one-time code, shown on one and typed on the other."""

import ipaddress
import json
import os
import sys
from typing import Any

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.pairing.code import make_code, parse_code, render_code
from zrepl_py.adapters.pairing.meeting import Met
from zrepl_py.adapters.pairing.rendezvous import TRIES, open_rendezvous, visit, wait_for_guest
from zrepl_py.adapters.peer.certificates import Pin, parse_pin
from zrepl_py.cli.options import config_option, dry_run_option, json_option
from zrepl_py.cli.pair_desk import PORT, Desk, paired_with
from zrepl_py.config.node import load_node_config
from zrepl_py.config.values import parse_endpoint
from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.model.config import NodeConfig

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
        known = paired_with(desk.node)
        again = f"This node is paired with {', '.join(known)} already. " if known else ""
        suffix = "" if port == PORT + 1 else f" --port {port}"
        say.line(
            f"This is {name}. On the other node, type:\n\n    zr pair {shown}{suffix}\n\n"
            f"and there this code:\n\n    {render_code(code)}\n\n"
            f"It is good for ten minutes and {TRIES} tries. {again}Waiting …",
            code=render_code(code),
            node=name,
            port=port,
        )
        return wait_for_guest(
            listener, code, desk.manners, MachineClock(), lambda text: click.echo(text, err=True)
        )


def _type(desk: Desk, where: tuple[str, int]) -> Met:
    while True:
        code = _ask_code(where[0])
        try:
            return visit(*where, code, desk.manners, MachineClock())
        except Refused as error:
            if error.reason != "wrong-code" or not sys.stdin.isatty():
                raise
            click.echo(f"zr: {error}", err=True)
        except Passing as error:
            raise explain_silence(desk, where[0], error) from None


def explain_silence(desk: Desk, host: str, error: Passing) -> Passing:
    """Where the two are paired already, that is what matters."""
    for name in paired_with(desk.node):
        if host in (name, desk.node.peers[name].endpoint.host):
            return Passing(
                error.reason,
                f"This node is paired with {name} already, and no `zr pair` waits there now.",
                f"There is nothing to do: zr status. To pair anew, start `zr pair` on {name} "
                "first, and type the code that it shows then.",
            )
    return error


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
    if desk.trouble is not None:
        desk.said = f"The daemon could not read it yet: {desk.trouble.message}"
    say.line(
        "\n".join(
            [
                f"Paired with {met.card.name} ({pin.node.uuid}), known by its certificate:",
                f"  {pin.fingerprint}",
                *desk.done,
                desk.said,
            ]
        ),
        paired=met.card.name,
        uuid=pin.node.uuid,
        fingerprint=pin.fingerprint,
        done=desk.done,
        daemon=desk.said,
    )
    if desk.trouble is not None:
        raise desk.trouble
