"""Which commands does `zr` have? Each is a module of its own, loaded when it is called: what the
daemon needs would cost every `zr status` a quarter of a second, and every press of TAB."""

from importlib import import_module

import click

from zrepl_py import __version__

COMMANDS = {
    "init": "init",
    "pair": "pair",
    "unpair": "trust",
    "trust": "trust",
    "reseed": "reseed",
    "daemon": "daemon",
    "reload": "daemon",
    "status": "status",
    "snapshot": "snapshot",
    "replicate": "replicate",
    "sync": "sync",
    "receipt": "receipt",
    "promote": "promote",
    "switchover": "switchover",
    "rejoin": "rejoin",
    "resolve": "resolve",
    "rescue": "rescue",
    "restore": "restore",
    "versions": "versions",
    "where": "where",
    "diff": "diff",
    "verify": "verify",
    "drill": "drill",
    "policy": "policy",
    "retention": "retention",
    "events": "events",
    "doctor": "doctor",
    "completion": "completion",
}
"""Command → its module below zrepl_py.cli; the function has the command's name. In the order of
`zr --help`."""


def load_command(name: str) -> click.Command:
    """Import the command's module. Errors: ImportError where zr is not installed whole."""
    command = getattr(import_module(f"zrepl_py.cli.{COMMANDS[name]}"), name)
    if not isinstance(command, click.Command):
        raise ImportError(f"zrepl_py.cli.{COMMANDS[name]} has no command {name}")
    return command


class Loading(click.Group):
    """A group whose commands are those of COMMANDS."""

    @property
    def commands(self) -> dict[str, click.Command]:
        """All of them, loaded."""
        return {name: load_command(name) for name in COMMANDS}

    @commands.setter
    def commands(self, _: object) -> None:
        """click sets what it was given, which is nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, without loading any."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them, loaded, or None where there is no such command."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None


@click.group(
    cls=Loading,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="zr")
def zr() -> None:
    """Continuous ZFS replication and backup for two nodes."""
