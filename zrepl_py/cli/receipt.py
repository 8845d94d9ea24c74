"""`zr receipt`: show what was promised, and check it against this node's copy."""

import json
from pathlib import Path
from typing import Any

import click

from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.sync import render_receipt
from zrepl_py.cli.words import count, render_json, render_table
from zrepl_py.errors import Corrupt, Refused, Standing

FORMAT = 1
WORDS = {
    "present": "here",
    "dropped": "was here; dropped by retention since",
    "missing": "MISSING",
}


@click.group()
def receipt() -> None:
    """What `zr sync` printed: show it again, and check it."""


@receipt.command()
@config_option
@json_option
@click.argument("known_as", metavar="[ID]", default="")
def show(config: str, as_json: bool, known_as: str) -> None:
    """The receipts in this node's journal, or those whose id begins with ID.

    Example: zr receipt show 3f2a
    """
    found = ask_daemon(config, "receipt_show", known_as=known_as)
    if as_json:
        click.echo(render_json({"format": FORMAT, "receipts": found}))
        return
    for issued in found:
        click.echo(render_receipt(issued["id"], issued["receipt"]))


@receipt.command()
@config_option
@json_option
@click.argument("which", metavar="ID|FILE")
def verify(config: str, as_json: bool, which: str) -> None:
    """Check a receipt against this node's pool and journal; on either node.

    It is named by the beginning of its id, or by a FILE with what `zr sync --json` printed (- for
    standard input). Exit 6 where it does not hold.

    Example: zr receipt verify 3f2a
    """
    verdicts = [ask_daemon(config, "receipt_verify", receipt=r) for r in _receipts(config, which)]
    if as_json:
        click.echo(render_json({"format": FORMAT, "verdicts": verdicts}))
    else:
        for verdict in verdicts:
            click.echo(_render(verdict))
    if not all(verdict["holds"] for verdict in verdicts):
        raise Corrupt(
            "receipt-broken",
            "This node cannot confirm the receipt.",
            "Check it on the other node too, and look at `zr events` for what was destroyed.",
        )


def _receipts(config: str, which: str) -> list[dict[str, Any]]:
    if which != "-" and not Path(which).exists():
        found: list[dict[str, Any]] = ask_daemon(config, "receipt_show", known_as=which)
        return [issued["receipt"] for issued in found]
    try:
        with click.open_file(which, encoding="utf-8") as file:
            written = json.load(file)
        return [issued["receipt"] for issued in written["receipts"]]
    except OSError as error:
        raise Standing(
            "file-failed", f"{which} cannot be read: {error.strerror}.", "Name another file."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise Refused(
            "not-a-receipt",
            f"{which} does not hold what `zr sync --json` prints.",
            "Name a receipt's id, or a file with its JSON.",
        ) from None


def _render(verdict: dict[str, Any]) -> str:
    evidence = verdict["evidence"]
    rows = [(e["dataset"], e["snapshot"], WORDS[e["found"]]) for e in evidence]
    if verdict["holds"]:
        head = f"Receipt {verdict['id']} holds: {count(len(rows), 'dataset')}."
    elif not verdict["journalled"]:
        head = f"Receipt {verdict['id']} is not in this node's journal: it was changed, or is new."
    else:
        head = f"Receipt {verdict['id']} does not hold here."
    return "\n".join([head, *render_table(("DATASET", "SNAPSHOT", "FOUND"), rows)])
