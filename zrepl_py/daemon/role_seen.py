"""What a group's turns see on their way, noted for those who ask between them: some of the engine's
ports, each with one thing more.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zrepl_py.core.role_words import RoleWord
from zrepl_py.daemon.roles import SERVING, GroupRole
from zrepl_py.errors import Passing, Refused, Standing
from zrepl_py.model.host import AddressView, ServiceOutcome, ServiceState
from zrepl_py.model.tree import TreeDataset
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.rolepeer import RolePeerPort


class SeenDatasets:
    """DatasetPort that notes which members are not there any more on the node that serves: a person
    who destroys or renames one there has not broken the others, whose services go on. The next tick
    says the same, and until then they are left out. Not where none would be left."""

    def __init__(self, datasets: DatasetPort, role: GroupRole) -> None:
        self._datasets, self._role = datasets, role

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._datasets, verb)

    def observe_trees(self, roots: Sequence[str]) -> list[TreeDataset]:
        """See DatasetPort."""
        found = self._datasets.observe_trees(roots)
        if self._role.node.state in SERVING:
            self._role.leave_out({dataset.name for dataset in found}, roots)
        return found


class SeenHost:
    """HostPort that notes, of the group's services and address, what was seen last."""

    def __init__(self, host: HostPort, role: GroupRole) -> None:
        self._host, self._role = host, role

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._host, verb)

    def observe_service(self, group: str, service: str) -> ServiceState:
        """See HostPort."""
        state = self._host.observe_service(group, service)
        self._role.services[service] = str(state)
        return state

    def start_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        return self._note(self._host.start_service(group, service))

    def stop_service(self, group: str, service: str) -> ServiceOutcome:
        """See HostPort."""
        return self._note(self._host.stop_service(group, service))

    def observe_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._note_address(self._host.observe_address(group))

    def add_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._note_address(self._host.add_address(group))

    def remove_address(self, group: str) -> AddressView:
        """See HostPort."""
        return self._note_address(self._host.remove_address(group))

    def _note(self, outcome: ServiceOutcome) -> ServiceOutcome:
        self._role.services[outcome.service] = str(outcome.state)
        return outcome

    def _note_address(self, view: AddressView) -> AddressView:
        self._role.address = str(view.state)
        return view


class HeardPeer:
    """RolePeerPort for which a node that does not have the group, or cannot prove who it is, is one
    that says nothing of it."""

    def __init__(self, peer: RolePeerPort, role: GroupRole) -> None:
        self._peer, self._role = peer, role

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._peer, verb)

    def exchange(self, mine: RoleWord) -> RoleWord:
        """See RolePeerPort."""
        try:
            theirs = self._peer.exchange(add_hosting(mine, self._role))
        except (Refused, Standing) as error:
            self._role.apart = str(error)
            raise Passing("peer-silent", str(error)) from error
        except Passing:
            self._role.apart = ""
            raise
        self._role.apart = ""
        return theirs


def add_hosting(word: RoleWord, role: GroupRole) -> RoleWord:
    """The word of this node, with what was seen last of services and address, and with what its
    last turn failed: whoever hands over waits until the other one serves, and shows why not."""
    return replace(
        word,
        services=describe_services(role),
        address=describe_address(role),
        trouble=str(role.error) if role.error is not None else "",
    )


def describe_services(role: GroupRole) -> dict[str, str]:
    """The group's services → their state here."""
    unknown = str(ServiceState.UNKNOWN)
    return {name: role.services.get(name, unknown) for name in role.node.group.services}


def describe_address(role: GroupRole) -> str | None:
    """Where the group's address is, as seen here; None: it has none."""
    return role.address if role.plan.hosting.address is not None else None
