"""Names that a shell may complete: policies, groups, datasets, as far as they are found cheaply.

Whatever goes wrong here, nothing is completed, and nothing is said: a person is typing.
"""

import click

from zrepl_py.adapters.doctor.datasets import observe_names
from zrepl_py.cli.options import CONFIG
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import ZrError

COMPLETION_SECONDS = 2.0


def complete_policies(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Names of this node's policies that begin so."""
    config = str(context.params.get("config") or CONFIG)
    try:
        policies = load_policies(load_node_config(config).policy_dir)
    except ZrError:
        return []
    return sorted(p.name for p in policies if p.name.startswith(begun))


def complete_groups(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Names of this node's groups with roles that begin so."""
    config = str(context.params.get("config") or CONFIG)
    try:
        groups = load_node_config(config).roles
    except ZrError:
        return []
    return sorted(name for name in groups if name.startswith(begun))


def complete_datasets(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Names of file systems and volumes that begin so."""
    try:
        names = observe_names(COMPLETION_SECONDS)
    except ZrError:
        return []
    return sorted(name for name in names if name.startswith(begun))


policy_argument = click.argument("policy", required=False, shell_complete=complete_policies)
dataset_argument = click.argument("dataset", shell_complete=complete_datasets)
group_argument = click.argument("group", required=False, shell_complete=complete_groups)
group_option = click.option(
    "--group",
    metavar="GROUP",
    help="Which group, where this node has several with roles.",
    shell_complete=complete_groups,
)
