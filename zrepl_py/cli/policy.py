"""`zr policy check`: are the policies right? Says all that is wrong, with file, key and remedy."""

import click

from zrepl_py.cli.options import config_option
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import caution_policy, load_policies


@click.group()
def policy() -> None:
    """Look at the policies."""


@policy.command()
@config_option
@click.argument("directory", required=False)
def check(config: str, directory: str | None) -> None:
    """Check every policy file, of this node or of DIRECTORY.

    Example: zr policy check /etc/zr/policies
    """
    policies = load_policies(directory or load_node_config(config).policy_dir)
    for one in policies:
        targets = ", ".join(one.targets) or "no target"
        click.echo(
            f"{one.origin}: {one.name}: {', '.join(one.selection.include)} of {one.source}, "
            f"every {one.every_seconds} s, to {targets}"
        )
        for caution in caution_policy(one):
            click.echo(f"  note: {caution}")
    click.echo(f"{len(policies)} policies are right.")
