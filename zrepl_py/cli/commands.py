"""Which commands does `zr` have? Each is a module of its own."""

import click

from zrepl_py import __version__
from zrepl_py.cli.daemon import daemon
from zrepl_py.cli.init import init, trust
from zrepl_py.cli.policy import policy
from zrepl_py.cli.restore import restore
from zrepl_py.cli.status import replicate, snapshot, status


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="zr")
def zr() -> None:
    """Continuous ZFS replication and backup for two nodes."""


for command in (init, trust, daemon, status, snapshot, replicate, restore, policy):
    zr.add_command(command)
