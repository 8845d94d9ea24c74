"""`zr verify`: are the copies on the other node what they should be? Compared where they are."""

import click

from zrepl_py.cli.naming import complete_datasets
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.proving import prove


@click.command()
@config_option
@json_option
@click.option(
    "--snapshot",
    metavar="NAME",
    help="Compare by this snapshot; default: the newest that both sides have.",
)
@click.option("--background", is_flag=True, help="Only ask for it; `zr status` shows the outcome.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1, shell_complete=complete_datasets)
def verify(
    config: str,
    as_json: bool,
    snapshot: str | None,
    background: bool,
    datasets: tuple[str, ...],
) -> None:
    """Read copies on the other node and compare them with this node's snapshots.

    Each side reads its own, whole, and only digests travel. Of all protected datasets, or of those
    that are named. What is not equal is named by file; exit 6. Encrypted ones are compared as they
    are stored, without their key, and named by object. Interrupted, it goes on where it was.

    Example: zr verify tank/audio
    """
    prove(config, "verify", datasets, snapshot, background=background, as_json=as_json)
