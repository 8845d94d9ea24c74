"""The ports of the roles: the authority `manual`; the other node as a model, and over real TLS."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.peer_support import QUICK, Vault, hello_of, identity_in
from tests.unit.role_engine_support import ALPHA, BETA, Machine, founded
from zrepl_py.adapters.authority import ManualAuthority
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.peer import PeerClient, PeerServer, Target
from zrepl_py.adapters.peer.greeting import ROLES
from zrepl_py.adapters.peer.roles import RoleLink
from zrepl_py.core.promotion import LastWord
from zrepl_py.core.role_words import Heartbeat, RoleWord, ShipOrder
from zrepl_py.engine.role_node import say
from zrepl_py.errors import Refused
from zrepl_py.model.names import join_snapshot
from zrepl_py.model.rescue import shipped_place
from zrepl_py.model.wire import FEATURES, Hello
from zrepl_py.ports.authority import AuthorityPort
from zrepl_py.ports.rolepeer import RolePeerPort
from zrepl_py.testing.kits.authority import MANUAL_CHECKS
from zrepl_py.testing.kits.rolepeer import ROLE_PEER_CHECKS, RolePeerCase
from zrepl_py.testing.model_roles import ModelAuthority

LABEL = "1-00000001-00000002"


class ModelCase:
    """alpha speaks to beta."""

    def __init__(self) -> None:
        self.site = founded()
        self.other: Machine = self.site.beta
        alpha = self.site.alpha
        self.peer: RolePeerPort = alpha.ports["RolePeerPort"]
        self._base = alpha.pools.dataset("tank/db").snapshots[-1]
        alpha.pools.write("tank/db", "w99", b"only here")
        self._made = alpha.datasets.snapshot_tree("tank/db", f"zr-rescue_{LABEL}")["tank/db"]

    def word(self) -> RoleWord:
        assert self.site.alpha.node is not None
        return say(self.site.alpha.node)

    def others_word(self) -> RoleWord:
        assert self.other.node is not None
        return say(self.other.node)

    def others_last(self) -> LastWord | None:
        assert self.other.node is not None
        return self.other.node.hear_last(self.site.clock.monotonic())

    def restart_other(self) -> None:
        self.other.stop()
        self.other.start(reboot=False)
        self.other.turn()

    def cut(self) -> None:
        self.site.wire.up = False

    def rescued(self) -> tuple[str, str | None, ShipOrder]:
        name = f"zr-rescue_{LABEL}"
        order = ShipOrder(LABEL, "tank/db", name, self._made, self._base.guid, False)
        return f"tank/db@{name}", f"tank/db@{self._base.name}", order

    def others_datasets(self) -> frozenset[str]:
        return frozenset(self.other.pools.pools["tank"].datasets)


@pytest.mark.parametrize("check", ROLE_PEER_CHECKS, ids=lambda check: check.__name__)
def test_the_models_role_peer(check: Callable[[RolePeerCase], None]) -> None:
    check(ModelCase())


class WireDesk:
    """beta's answers; a rescue is really received."""

    def __init__(self, other: Machine) -> None:
        self._other = other

    def exchange(self, source: str, mine: RoleWord) -> RoleWord:
        assert self._other.node is not None
        return say(self._other.node)

    def note_heartbeat(self, source: str, group: str, beat: Heartbeat) -> None:
        assert self._other.node is not None
        self._other.node.note_heartbeat(beat, self._other.site.clock.monotonic())

    def observe_shipped(self, source: str, group: str, label: str) -> frozenset[int]:
        found = set()
        for member in self._other.members:
            for dataset in self._other.datasets.observe_trees([self._place(label, member)]):
                history = self._other.zfs.observe_history(dataset.name)
                found |= {s.guid for s in history.snapshots}
        return frozenset(found)

    def receive_rescue(self, source: str, group: str, order: ShipOrder, fd: int) -> None:
        place, zfs = self._place(order.label, order.member), self._other.zfs
        name = self._other.members[order.member]
        base = zfs.observe_history(name).snapshot(order.base_guid)
        assert base is not None
        zfs.create_placeholder(place.rpartition("/")[0])
        zfs.receive(
            join_snapshot(place, order.name),
            fd=fd,
            to_guid=order.to_guid,
            from_guid=order.base_guid,
            raw=order.raw,
            origin=join_snapshot(name, base.name),
        )

    def _place(self, label: str, member: str) -> str:
        place = shipped_place("tank", ALPHA.short, label, member)
        if place is None or member not in self._other.members:
            raise Refused("bad-name", f"There is no rescue of {member!r}.")
        return place


class WireCase(ModelCase):
    """The same over TLS on 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._mine, self._my_pin = identity_in(folder, ALPHA)
        self._its, self._its_pin = identity_in(folder, BETA)
        self._limits = replace(QUICK, redial_seconds=0.0)
        self._serve(0)
        target = Target(("127.0.0.1", self._server.port), self._its_pin, self._mine)
        self._client = PeerClient(
            self.site.alpha.zfs,
            target,
            lambda: self._hello(self.site.alpha),
            MachineClock(),
            self._limits,
        )
        self.peer = RoleLink(self._client, self.word().group.group)

    def restart_other(self) -> None:
        port = self._server.port
        self.cut()
        super().restart_other()
        self._serve(port)

    def cut(self) -> None:
        self._up = False
        assert self._server.stop()

    def close(self) -> None:
        self._client.close()
        if self._up:
            self.cut()

    def _serve(self, port: int) -> None:
        self._server = PeerServer(
            Vault(), self._its, [self._my_pin], ("127.0.0.1", port),
            lambda: self._hello(self.other), MachineClock(), self._limits,
            desk=WireDesk(self.other),
        )  # fmt: skip
        self._server.start()
        self._up = True

    def _hello(self, machine: Machine) -> Hello:
        boot = machine.node.boot if machine.node else ""
        return hello_of(machine.here, features=(*FEATURES, ROLES), boot=boot)


@pytest.mark.parametrize("check", ROLE_PEER_CHECKS, ids=lambda check: check.__name__)
def test_the_role_peer_over_the_wire(check: Callable[[RolePeerCase], None], tmp_path: Path) -> None:
    case = WireCase(tmp_path)
    check(case)
    case.close()


@pytest.mark.parametrize("authority", [ManualAuthority(), ModelAuthority()], ids=["real", "model"])
@pytest.mark.parametrize("check", MANUAL_CHECKS, ids=lambda check: check.__name__)
def test_the_authority_by_hand(
    check: Callable[[AuthorityPort], None], authority: AuthorityPort
) -> None:
    check(authority)
