"""Conformance kit of RolePeerPort: what is told arrives, of now, bounded, over the connection that
is open and no other; a rescue's place is the receiver's choice."""

from collections.abc import Callable
from typing import Protocol

from zrepl_py.core.promotion import MOST_PENDING, LastWord, Pending
from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder
from zrepl_py.errors import Passing, Refused
from zrepl_py.ports.rolepeer import RolePeerPort
from zrepl_py.testing.kits.zfs_site import refused


class RolePeerCase(Protocol):
    """Two nodes of one group, which can speak; the other one has looked at itself."""

    @property
    def peer(self) -> RolePeerPort:
        """This node's port to the other."""

    def word(self) -> RoleWord:
        """What this node says."""

    def others_word(self) -> RoleWord:
        """What the other one says now."""

    def others_last(self) -> LastWord | None:
        """The last heartbeat that it has."""

    def restart_other(self) -> None:
        """Its daemon starts anew, and looks."""

    def cut(self) -> None:
        """Nothing arrives any more."""

    def rescued(self) -> tuple[str, str | None, ShipOrder]:
        """A rescue's snapshot of this node, its base, and the order to ship it."""

    def others_datasets(self) -> frozenset[str]:
        """Names."""


def check_the_word_is_of_now(case: RolePeerCase) -> None:
    """It comes as it was said; after a restart of the other one with another nonce."""
    first = case.peer.exchange(case.word())
    assert first == case.others_word()
    case.restart_other()
    second = case.peer.exchange(case.word())
    assert second == case.others_word()
    assert second.boot != first.boot


def check_a_cut_is_silence(case: RolePeerCase) -> None:
    """Nothing that was told before counts."""
    case.peer.exchange(case.word())
    case.cut()
    for told in (
        lambda: case.peer.exchange(case.word()),
        lambda: case.peer.tell_heartbeat(Heartbeat("b", 1)),
        lambda: case.peer.observe_shipped(case.rescued()[2].label),
    ):
        with refused(Passing, "peer-silent"):
            told()


def check_a_heartbeat_is_bounded(case: RolePeerCase) -> None:
    """Names beyond the limit are only counted."""
    pending = tuple(Pending(f"/tank/a/{n}", n) for n in range(MOST_PENDING + 5))
    case.peer.tell_heartbeat(Heartbeat("b", 1234, pending))
    last = case.others_last()
    assert last is not None
    assert last.at == 1234
    assert last.pending == pending[:MOST_PENDING]
    assert last.pending_count == len(pending)


def check_a_rescue_is_shipped_once(case: RolePeerCase) -> None:
    """It is there afterwards, below a name of the receiver's; again: nothing new."""
    snapshot, base, order = case.rescued()
    before = case.others_datasets()
    for _ in range(2):
        case.peer.ship_rescue(snapshot, base, order)
        assert order.to_guid in case.peer.observe_shipped(order.label)
    made = case.others_datasets() - before
    assert made
    assert not any(part in ("", ".", "..") for name in made for part in name.split("/"))


def check_no_place_is_chosen_by_the_sender(case: RolePeerCase) -> None:
    """A label or member that the receiver does not know: refused, and nothing is made."""
    snapshot, base, order = case.rescued()
    before = case.others_datasets()
    for label, member in (("../x", order.member), (order.label, "tank/../other"), ("", "")):
        bad = ShipOrder(label, member, order.name, order.to_guid, order.base_guid, order.raw)
        with refused(Refused, "bad-name"):
            case.peer.ship_rescue(snapshot, base, bad)
    assert case.others_datasets() == before


ROLE_PEER_CHECKS: tuple[Callable[[RolePeerCase], None], ...] = (
    check_the_word_is_of_now,
    check_a_cut_is_silence,
    check_a_heartbeat_is_bounded,
    check_a_rescue_is_shipped_once,
    check_no_place_is_chosen_by_the_sender,
)
