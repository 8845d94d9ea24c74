"""What does a restore need to know of this node? Its settings, its replicas, who may have a copy.

Nothing here may stand between a person and a file: without settings, or with broken ones, what is
mounted on this machine comes back all the same.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import click

from zrepl_py.adapters.host.mounts import locate
from zrepl_py.adapters.zfs.command import CommandZfs
from zrepl_py.cli.restore_find import Looking
from zrepl_py.config.node import load_node_config
from zrepl_py.core.copies import Copy, plan_copies
from zrepl_py.core.restoring import From
from zrepl_py.core.selection import is_selected
from zrepl_py.errors import Standing, ZrError
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.policy import Policy

_MODULE = "/proc/spl/kstat/zfs"
NO_POOL = frozenset(("dataset-missing", "pool-missing", "module-missing"))
"""Why a pool that should keep replicas cannot say which."""


@dataclass
class KeptReplicas:
    """The replicas that this node keeps; looked at when they are asked for, once."""

    parent: str | None
    excused: Collection[str] = NO_POOL
    """Reasons for which there are none to look at."""
    seen: tuple[Copy, ...] | None = None

    def observe(self) -> tuple[Copy, ...]:
        """All of them; none where the pool is not there. Errors: those of ZFS."""
        if self.seen is None:
            self.seen = self._observe() if self.parent else ()
        return self.seen

    def _observe(self) -> tuple[Copy, ...]:
        assert self.parent is not None
        try:
            return plan_copies(self.parent, CommandZfs().observe_datasets(self.parent))
        except Standing as error:
            if error.reason not in self.excused:
                raise
            return ()


def observe_config(config: str) -> NodeConfig | None:
    """This node's settings; without them, or with broken ones, what is mounted here comes back all
    the same."""
    if not os.access(config, os.R_OK):
        return None
    try:
        return load_node_config(config)
    except ZrError as error:
        click.echo(f"zr: {error.message} Replicas on this machine are not looked at.", err=True)
        return None


def find_scratch_pool(node: NodeConfig | None) -> str | None:
    """The first pool of this node that is imported."""
    pools = node.pools if node else ()
    return next((pool for pool in pools if os.path.isdir(f"{_MODULE}/{pool}")), None)


def hint_at_peers(
    words: str, node: NodeConfig | None, wanted: Sequence[From], look: Looking
) -> str:
    """Where else what was not found may be: with the peers that get copies of what `words` names;
    empty where none can have it."""
    if node is None or From.PEER in wanted:
        return ""
    own = [p for p in look.policies or () if p.source == node.name]
    if look.policies is None:
        peers = list(node.peers)  # the policies could not be read: any of them may
    else:
        places = list(_places(words, look))
        sent = {t for p in own if _may_send(p, places) for t in p.targets}
        peers = [name for name in node.peers if name in sent]
    if not peers:
        return ""
    return f"{' or '.join(peers)} may have a copy: ask it, as root, with --from peer."


def _may_send(policy: Policy, places: Iterable[str | None]) -> bool:
    return any(place is None or is_selected(policy.selection, place) for place in places)


def _places(words: str, look: Looking) -> Iterator[str | None]:
    """Datasets in which `words` may have been; None: any, for where they were mounted is not known.

    Below the one that is mounted there now, others may have been that are gone.
    """
    parts = [part for part in words.split("/") if part not in ("", ".")]
    yield from ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    try:
        place = locate(words, look.mounts)
    except ZrError:
        if words.startswith("/") and _is_left_bare(os.path.dirname(words)):
            yield None
        return
    for count in range(len(place.inside) + 1):
        yield "/".join((place.dataset, *place.inside[:count]))


def _is_left_bare(folder: str) -> bool:
    """A dataset that is gone leaves an empty directory where it was mounted, or none."""
    try:
        return not os.listdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
