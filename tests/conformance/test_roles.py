"""The ports of the roles: the authority `manual`, and the model of the other node. (The wire's own
implementation of RolePeerPort does not exist yet.)"""

from collections.abc import Callable

import pytest

from tests.unit.role_engine_support import Machine, founded
from zrepl_py.adapters.authority import ManualAuthority
from zrepl_py.core.promotion import LastWord
from zrepl_py.core.role_words import RoleWord, ShipOrder
from zrepl_py.engine.role_node import say
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


@pytest.mark.parametrize("authority", [ManualAuthority(), ModelAuthority()], ids=["real", "model"])
@pytest.mark.parametrize("check", MANUAL_CHECKS, ids=lambda check: check.__name__)
def test_the_authority_by_hand(
    check: Callable[[AuthorityPort], None], authority: AuthorityPort
) -> None:
    check(authority)
