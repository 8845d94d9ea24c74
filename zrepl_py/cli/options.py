"""Options that many commands share."""

from collections.abc import Callable
from typing import Any

import click

CONFIG = "/etc/zr/zr.toml"
MOST_SECONDS = 366 * 86_400
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

config_option = click.option(
    "--config",
    default=CONFIG,
    show_default=True,
    envvar="ZR_CONFIG",
    help="This node's configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)


def timeout_option(default_seconds: int) -> Decorator:
    """`--timeout`: after so long the command gives up; what it asked for goes on."""
    return click.option(
        "--timeout",
        "timeout_seconds",
        type=click.IntRange(1, MOST_SECONDS),
        default=default_seconds,
        show_default=True,
        metavar="SECONDS",
        help="Give up waiting after so long; exit 4.",
    )
