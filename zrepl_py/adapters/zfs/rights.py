"""Who may receive where? What `zfs allow` gives the receiving user: how it is seen, given, taken.

The one place that knows the permissions: `zr init` gives them at the replicas' parent, a change of
roles gives and takes them dataset by dataset.

ZFS knows no way to forbid below what is allowed above. So a right that comes from above is moved
down first: every dataset beside the way gets it for itself, those on the way keep it for themselves
alone (a new dataset may still come below them, and is its receiver's), and nothing of it is left on
what is forbidden. Other groups, and policies without roles, go on as before.

What is not there yet is made by its first stream: for that the dataset above gets the right for
itself alone (not for what else is below it), until the new one is there and has its own. It is told
from that of a way by the create-time permissions, which only a way has.
Must never take from anybody but the receiving user, or give to a pool's own dataset.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.core.gate import unlike
from zrepl_py.errors import Standing, ZrError
from zrepl_py.model.names import check_dataset_name

RECEIVE_USER = "zr-recv"
DELEGATED = ("create,mount,receive:append", "create,mount,receive")
"""The best first: `receive:append` cannot force; OpenZFS before 2.3 knows `receive` only."""
_RECEIVE = frozenset(("receive", "receive:append"))
_HEADER = re.compile(r"---- Permissions on (.+?) -*\Z")
_SECTIONS = {
    "Local permissions:": (True, False),
    "Descendent permissions:": (False, True),
    "Local+Descendent permissions:": (True, True),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of `zfs allow`."""

    dataset: str
    local: bool
    """It counts for the dataset itself."""
    below: bool
    """It counts for what is below."""
    who: str
    """`user zr-recv`, `group zr-recv`, `everyone`."""
    permissions: frozenset[str]


def parse_grants(text: str) -> list[Grant]:
    """Output of `zfs allow DATASET`: of the dataset and all above it, create-time ones left out."""
    found: list[Grant] = []
    dataset, section = "", None
    for line in text.splitlines():
        if match := _HEADER.match(line):
            dataset, section = match[1], None
        elif not line.startswith("\t"):
            section = _SECTIONS.get(line.strip())
        elif section is not None and len(words := line.split()) >= 2:
            who, permissions = " ".join(words[:-1]), frozenset(words[-1].split(","))
            found.append(Grant(dataset, *section, who, permissions))
    return found


def is_way(text: str, dataset: str) -> bool:
    """Whether `zfs allow` says of it that who makes a dataset there gets something on that."""
    own = False
    for line in text.splitlines():
        if match := _HEADER.match(line):
            own = match[1] == dataset
        elif own and line.strip() == "Create time permissions:":
            return True
    return False


def find_receiving(grants: Iterable[Grant], user: str, dataset: str) -> list[Grant]:
    """Those by which `user` may receive into `dataset`, the highest place first."""
    whose = (f"user {user}", f"group {user}", "everyone")
    found = [
        grant
        for grant in grants
        if grant.who in whose
        and grant.permissions & _RECEIVE
        and (grant.local if grant.dataset == dataset else grant.below)
    ]
    return sorted(found, key=lambda grant: len(grant.dataset))


class ReceiveRight:
    """The right of one user."""

    def __init__(self, user: str = RECEIVE_USER, delegated: Sequence[str] = DELEGATED) -> None:
        """`delegated`: what it gets, the best first (`zfs allow`'s words)."""
        self._user, self._delegated = user, delegated

    def observe(self, dataset: str) -> list[Grant]:
        """See find_receiving; of a dataset that is not there, those by which a first stream can
        make it. Errors: dataset-missing, pool-missing, …"""
        place, text = self._look(dataset)
        return find_receiving(parse_grants(text), self._user, place)

    def allow(self, dataset: str) -> None:
        """For it and all below; where it is not there: to make it. Errors: dataset-missing where
        what is above is not there either, or is the pool's own."""
        try:
            self._give(dataset, "-u", self._user)
        except Standing as error:
            if error.reason != "dataset-missing":
                raise
            if not self.observe(dataset):
                self._give(dataset.rpartition("/")[0], "-l", "-u", self._user)
        place, text = self._look(dataset)
        if not find_receiving(parse_grants(text), self._user, place):
            raise unlike(dataset, f"{self._user} may not receive there")
        if place == dataset:
            self._close_above(dataset, text)

    def forbid(self, dataset: str) -> None:
        """For it and all below; for nothing else."""
        place, text = self._look(dataset)
        self._close_above(dataset, text)
        given = find_receiving(parse_grants(text), self._user, dataset)
        if place != dataset or not given:
            return
        own = {g.dataset for g in given if g.who == f"user {self._user}"}
        for top in sorted(own - {dataset}):
            self._move_down(top, dataset)
        # Below, too: what the user made itself may have it from the dataset that it was made in.
        self._zfs(["unallow", "-r", "-u", self._user], dataset)
        if left := self.observe(dataset):
            how = f"{left[0].who} of {left[0].dataset}"
            raise unlike(dataset, f"{self._user} may receive there still, as {how}")

    def _look(self, dataset: str) -> tuple[str, str]:
        """What `zfs allow` says of it, or of what is above it where it is not there; and which."""
        try:
            return dataset, self._zfs(["allow"], dataset)
        except Standing as error:
            above = dataset.rpartition("/")[0]
            if error.reason != "dataset-missing" or "/" not in above:
                raise
            return above, self._zfs(["allow"], above)

    def _close_above(self, dataset: str, text: str) -> None:
        """Nothing new is to be made beside it. `text`: what `zfs allow` says of it."""
        above = dataset.rpartition("/")[0]
        own = [g for g in parse_grants(text) if (g.dataset, g.who) == (above, f"user {self._user}")]
        if "/" in above and own and not any(g.below for g in own) and not is_way(text, above):
            self._zfs(["unallow", "-l", "-u", self._user], above)

    def _move_down(self, top: str, place: str) -> None:
        """Nothing is taken before everything beside the way has it."""
        way = find_way(top, place)
        for one in way:
            argv = ["list", "-H", "-d", "1", "-t", "filesystem,volume", "-o", "name"]
            for child in self._zfs(argv, one).splitlines():
                if child not in (*way, place):
                    self._give(child, "-u", self._user)
            self._give(one, "-l", "-u", self._user)
            self._give(one, "-c")  # whoever makes a dataset there gets it on that one
        self._zfs(["unallow", "-d", "-u", self._user], top)

    def _give(self, dataset: str, *options: str) -> None:
        check_dataset_name(dataset)
        failed: ZrError | None = None
        for words in self._delegated:
            ended = run(["zfs", "allow", *options, words, dataset])
            if ended.code == 0:
                return
            failed = failed or judge_command("create", ended, dataset)
        if failed is not None:
            raise failed

    def _zfs(self, argv: list[str], dataset: str) -> str:
        check_dataset_name(dataset)
        ended = run(["zfs", *argv, dataset])
        if ended.code != 0:
            raise judge_command("list" if argv[0] == "list" else "create", ended, dataset)
        return ended.out


def find_way(top: str, place: str) -> list[str]:
    """`tank`, `tank/a/b/c` → `tank`, `tank/a`, `tank/a/b`."""
    parts = place.split("/")
    return ["/".join(parts[:n]) for n in range(len(top.split("/")), len(parts))]
