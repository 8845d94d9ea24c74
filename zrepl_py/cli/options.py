"""Options that many commands share."""

import click

CONFIG = "/etc/zr/zr.toml"

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
