"""`zr drill`: can a copy be restored, how long does it take, and is it all there?"""

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
    help="Restore this snapshot; default: the newest that both sides have.",
)
@click.option("--background", is_flag=True, help="Only ask for it; `zr status` shows the outcome.")
@click.argument("datasets", metavar="[DATASET]...", nargs=-1, shell_complete=complete_datasets)
def drill(
    config: str, as_json: bool, snapshot: str | None, background: bool, datasets: tuple[str, ...]
) -> None:
    """Restore copies from the other node into a scratch dataset, and compare every byte.

    The scratch dataset POOL/zr-restore-drills/… is mounted for nobody and goes again, also after a
    crash. What it took is recorded as the time that a restore takes. Of all protected datasets,
    one after the other, or of those that are named. Needs free space for each.

    Example: zr drill tank/audio
    """
    prove(config, "drill", datasets, snapshot, background=background, as_json=as_json)
