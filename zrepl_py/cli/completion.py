"""`zr completion SHELL`: the script that lets a shell complete zr's commands, options and names."""

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_ZR_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for SHELL: bash, zsh or fish.

    For bash: zr completion bash >/etc/bash_completion.d/zr

    Example: zr completion bash
    """
    click.echo(render_script(shell), nl=False)


def render_script(shell: str) -> str:
    """The script. It asks `zr` itself, so it need not be made again after an update."""
    kind: type[ShellComplete] | None = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    asked = kind(click.Command("zr"), {}, "zr", VARIABLE)
    # Not asked.source(): for bash that would start bash, which need not be the one in use.
    return asked.source_template % asked.source_vars() + "\n"
