"""The right to receive: read from `zfs allow`, and forbidden for one dataset alone.

`FakeZfs` knows what zfs-allow(8) says: local, descendent and create-time permissions;
tests/lab/test_host_datasets.py asks the real one.
"""

from collections.abc import Sequence

import pytest

from zrepl_py.adapters.zfs import rights
from zrepl_py.adapters.zfs.forks import Ended
from zrepl_py.adapters.zfs.rights import ReceiveRight, find_receiving, find_way, parse_grants
from zrepl_py.errors import Standing

DASHES = "-" * 30
TEXT = f"""\
---- Permissions on back/zr/alpha {DASHES}
Create time permissions:
\tcreate,mount,receive:append
Local permissions:
\tuser zr-recv create,mount,receive:append
---- Permissions on back/zr {DASHES}
Permission sets:
\t@all receive
Descendent permissions:
\tgroup zr-recv receive
Local+Descendent permissions:
\tuser other receive
\teveryone snapshot
"""


class FakeZfs:
    """Permissions of a tree: (dataset, scope) → user's words; scope is `l`, `d` or `c`."""

    def __init__(self, *datasets: str, append: bool = True) -> None:
        self.datasets = set(datasets)
        self.append = append
        self.given: dict[tuple[str, str], frozenset[str]] = {}
        self.ran: list[str] = []

    def run(self, argv: Sequence[str], **_: object) -> Ended:
        self.ran.append(" ".join(argv))
        match list(argv[1:]):
            case ["list", *_, dataset]:
                return Ended(0, "".join(f"{d}\n" for d in self._children(dataset)), "")
            case ["allow", dataset]:
                if dataset not in self.datasets:
                    return Ended(1, "", f"cannot open '{dataset}': dataset does not exist\n")
                return Ended(0, self._show(dataset), "")
            case ["allow", "-c", words, dataset]:
                return self._give(dataset, "c", words)
            case ["allow", *_, dataset] if dataset not in self.datasets:
                return Ended(1, "", f"cannot open '{dataset}': dataset does not exist\n")
            case ["allow", "-u", _, words, dataset]:
                return self._give(dataset, "ld", words)
            case ["allow", "-l", "-u", _, words, dataset]:
                return self._give(dataset, "l", words)
            case ["unallow", "-r", "-u", _, dataset]:
                for name in self.datasets:
                    if f"{name}/".startswith(f"{dataset}/"):
                        self._take(name, "ld")
                return Ended(0, "", "")
            case ["unallow", "-d", "-u", _, dataset]:
                return self._take(dataset, "d")
            case ["unallow", "-l", "-u", _, dataset]:
                return self._take(dataset, "l")
        raise AssertionError(argv)

    def create(self, dataset: str) -> None:
        """By the receiving user."""
        assert self.may(dataset.rpartition("/")[0])
        self.datasets.add(dataset)
        if any((above, "c") in self.given for above in find_way(dataset.split("/")[0], dataset)):
            self.given[dataset, "l"] = frozenset({"receive:append"})

    def may(self, dataset: str) -> bool:
        """What the kernel would say."""
        above = find_way(dataset.split("/")[0], dataset)
        return (dataset, "l") in self.given or any((a, "d") in self.given for a in above)

    def _children(self, dataset: str) -> list[str]:
        deep = dataset.count("/") + 1
        below = [d for d in self.datasets if d.startswith(f"{dataset}/") and d.count("/") == deep]
        return [dataset, *sorted(below)]

    def _give(self, dataset: str, scopes: str, words: str) -> Ended:
        if "append" in words and not self.append:
            return Ended(2, "", "invalid permission 'receive:append'\n")
        for scope in scopes:
            self.given[dataset, scope] = frozenset(words.split(","))
        return Ended(0, "", "")

    def _take(self, dataset: str, scopes: str) -> Ended:
        for scope in scopes:
            self.given.pop((dataset, scope), None)
        return Ended(0, "", "")

    def _show(self, dataset: str) -> str:
        text = ""
        for name in reversed([*find_way(dataset.split("/")[0], dataset), dataset]):
            text += f"---- Permissions on {name} ---\n"
            if words := self.given.get((name, "c")):
                text += f"Create time permissions:\n\t{','.join(sorted(words))}\n"
            for scope, head in (("l", "Local"), ("d", "Descendent")):
                if words := self.given.get((name, scope)):
                    text += f"{head} permissions:\n\tuser zr-recv {','.join(sorted(words))}\n"
        return text


@pytest.fixture
def zfs(monkeypatch: pytest.MonkeyPatch) -> FakeZfs:
    fake = FakeZfs(
        "back", "back/zr", "back/zr/alpha", "back/zr/alpha/tank", "back/zr/alpha/tank/radio",
        "back/zr/alpha/tank/radio/a", "back/zr/alpha/tank/mail", "back/zr/gamma",
    )  # fmt: skip
    monkeypatch.setattr(rights, "run", fake.run)
    return fake


RADIO = "back/zr/alpha/tank/radio"


def test_what_zfs_allow_says_is_read_with_its_scope() -> None:
    grants = parse_grants(TEXT)
    assert [(g.dataset, g.local, g.below, g.who) for g in grants] == [
        ("back/zr/alpha", True, False, "user zr-recv"),
        ("back/zr", False, True, "group zr-recv"),
        ("back/zr", True, True, "user other"),
        ("back/zr", True, True, "everyone"),
    ]
    found = find_receiving(grants, "zr-recv", "back/zr/alpha")
    assert [g.who for g in found] == ["group zr-recv", "user zr-recv"]
    assert [g.who for g in find_receiving(grants, "zr-recv", "back/zr/alpha/x")] == [
        "group zr-recv"
    ]
    assert not find_receiving(grants, "nobody", "back/zr/alpha")


def test_a_dataset_whose_name_ends_with_a_dash() -> None:
    text = "---- Permissions on tank/a- ---\nLocal permissions:\n\tuser zr-recv receive\n"
    assert [g.dataset for g in parse_grants(text)] == ["tank/a-"]


@pytest.mark.parametrize("append", [True, False])
def test_a_root_member_of_the_founder(zfs: FakeZfs, append: bool) -> None:
    """Nothing is above; OpenZFS before 2.3 has no receive:append."""
    zfs.append = append
    right = ReceiveRight()
    for _ in range(2):
        right.allow(RADIO)
        assert right.observe(RADIO)
        assert right.observe(f"{RADIO}/a")
    for _ in range(2):
        right.forbid(RADIO)
        assert not right.observe(RADIO)
    assert not zfs.given


def test_what_comes_from_above_is_moved_beside_the_way(zfs: FakeZfs) -> None:
    """`zr init` gave it at the replicas' parent: one group is closed, all others go on."""
    right = ReceiveRight()
    right.allow("back/zr")
    right.forbid(RADIO)
    assert not right.observe(RADIO)
    assert not zfs.may(RADIO)
    assert not zfs.may(f"{RADIO}/a")
    for name in ("back/zr/gamma", "back/zr/alpha/tank/mail", "back/zr/alpha/tank", "back/zr"):
        assert right.observe(name), name
        assert zfs.may(name)
    zfs.create("back/zr/alpha/tank/new")
    assert zfs.may("back/zr/alpha/tank/new")
    right.allow(RADIO)
    zfs.create(f"{RADIO}/b")
    right.forbid(RADIO)
    assert not zfs.may(f"{RADIO}/b")
    assert zfs.may("back/zr/alpha/tank/new")


NEW = "back/zr/alpha/tank/new"


def test_what_is_not_there_yet_may_be_made_and_nothing_else_beside_it(zfs: FakeZfs) -> None:
    """A new root member on the founder: what is above has the right for itself, till it is here."""
    right, above = ReceiveRight(), "back/zr/alpha/tank"
    for _ in range(2):
        right.allow(NEW)
        assert right.observe(NEW)
        assert zfs.may(above)
        assert not zfs.may(RADIO)
    zfs.create(NEW)
    assert not right.observe(NEW), "what made it has no right on it by that"
    right.allow(NEW)
    assert zfs.may(NEW)
    assert not zfs.may(above)
    right.forbid(NEW)
    assert not zfs.given


def test_what_was_never_received_is_forbidden_again(zfs: FakeZfs) -> None:
    right = ReceiveRight()
    right.allow(NEW)
    for _ in range(2):
        right.forbid(NEW)
        assert not right.observe(NEW)
    assert not zfs.given


def test_the_way_to_what_is_closed_keeps_its_right(zfs: FakeZfs) -> None:
    right = ReceiveRight()
    right.allow("back/zr")
    right.forbid(RADIO)
    right.allow(NEW)
    zfs.create(NEW)
    right.allow(RADIO)
    right.forbid(RADIO)
    zfs.create("back/zr/alpha/tank/more")
    assert zfs.may("back/zr/alpha/tank/more")


def test_a_pools_own_dataset_never_gets_it(zfs: FakeZfs) -> None:
    for name in ("back/none", "none/x", "back/none/x"):
        with pytest.raises(Standing) as caught:
            ReceiveRight().allow(name)
        assert caught.value.reason == "dataset-missing"
    assert not zfs.given


def test_nobody_elses_right_is_taken(zfs: FakeZfs, monkeypatch: pytest.MonkeyPatch) -> None:
    show = zfs._show
    said = "---- Permissions on back ---\nLocal+Descendent permissions:\n\teveryone receive\n"
    monkeypatch.setattr(zfs, "_show", lambda dataset: show(dataset) + said)
    with pytest.raises(Standing, match="everyone of back"):
        ReceiveRight().forbid(RADIO)


def test_where_there_is_no_dataset(zfs: FakeZfs) -> None:
    with pytest.raises(Standing) as caught:
        ReceiveRight().observe("back/none")
    assert caught.value.reason == "dataset-missing"


def test_stopped_anywhere_it_takes_nothing_from_others_and_goes_on(
    zfs: FakeZfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each command of a forbid: everything beside the way may still receive."""
    right, others = ReceiveRight(), ("back/zr/gamma", "back/zr/alpha/tank/mail")
    whole, n = zfs.run, 0

    class Stopped(Exception):
        pass

    while True:
        n += 1
        left = n

        def run(argv: Sequence[str], **_: object) -> Ended:
            nonlocal left
            left -= 1
            if left < 0:
                raise Stopped
            return whole(argv)

        zfs.given.clear()
        right.allow("back/zr")
        monkeypatch.setattr(rights, "run", run)
        try:
            right.forbid(RADIO)
            break
        except Stopped:
            monkeypatch.setattr(rights, "run", whole)
            assert all(zfs.may(name) for name in others)
            right.forbid(RADIO)
            assert not zfs.may(RADIO)
            assert all(zfs.may(name) for name in others)
    assert n > 10
