"""The ways on which `zr restore` looks for what is wanted: what is here, then what a peer keeps.

Each way finds and restores, or raises; a reason that only says "not here" lets the next one try.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zrepl_py.cli.restore_dataset import Meant, choose_target, find_dataset, restore_dataset
from zrepl_py.cli.restore_find import Found, Looking
from zrepl_py.cli.restore_peer import find_in_peer, restore_dataset_from_peer, say_dry_run
from zrepl_py.cli.restore_peer_find import PeerLooking
from zrepl_py.cli.restore_search import find_named
from zrepl_py.cli.restore_things import Wish, restore_found, write_output
from zrepl_py.errors import Refused, ZrError

_TRY_NEXT = frozenset(
    ("not-on-zfs", "no-such-file", "no-snapshot", "no-such-copy", "snapshot-unreachable")
)
"""Why the next kind of copy may have what this one has not."""


def try_each(ways: Sequence[Callable[[], None]], hint: Callable[[], str]) -> None:
    """The first way that has what is wanted. Where none has, the first one's error counts, with
    `hint` at its end."""
    first: ZrError | None = None
    for way in ways:
        try:
            way()
            return
        except ZrError as error:
            if error.reason not in _TRY_NEXT:
                raise
            first = first or error
    if first is not None:
        remedy = f"{first.remedy} {hint()}".strip()
        raise type(first)(first.reason, first.message, remedy) from first


@dataclass
class Here:
    """What this machine has."""

    words: str
    look: Looking
    wish: Wish
    reserved: str | None

    def restore(self) -> None:
        """Errors: those of searching, and of the adapters."""
        wish = self.wish
        meant = find_named(self.words, self.look, find_dataset)
        if isinstance(meant, Meant):
            _check_dataset(wish)
            restore_dataset(
                meant,
                self.look,
                wish.to,
                reserved=self.reserved,
                privileged=wish.privileged,
                dry_run=wish.dry_run,
                as_json=wish.as_json,
            )
        else:
            _restore(meant, self.look, wish)


def _restore(found: Found, look: Looking, wish: Wish) -> None:
    if wish.to == "-":
        write_output(found, wish, sys.stdout.fileno())
    else:
        restore_found(found, look, wish)


def restore_from_peer(words: str, peers: PeerLooking, wish: Wish) -> None:
    """From what a peer keeps of this node. Errors: Refused(no-such-copy), those of fetching."""
    found = peers.find(words)
    if found is None:
        raise Refused(
            "no-such-copy",
            f"No peer keeps a copy that had {words}.",
            "Give the whole path that it had, or DATASET/PATH, such as tank/audio/interview.wav.",
        )
    if found.copy.dataset == words.rstrip("/"):
        _check_dataset(wish)
        target = choose_target(found.copy.dataset, wish.to)
        restore_dataset_from_peer(
            found,
            peers,
            target,
            privileged=wish.privileged,
            dry_run=wish.dry_run,
            as_json=wish.as_json,
        )
    elif wish.dry_run:
        say_dry_run(found, peers, as_json=wish.as_json)
    else:
        _restore(find_in_peer(found, peers), peers.look, wish)


def _check_dataset(wish: Wish) -> None:
    if wish.in_place or wish.to == "-":
        raise Refused(
            "no-target",
            "A dataset is never restored in place or to standard output.",
            "Name a new dataset with --to, and rename the two by hand once you have looked at it.",
        )
