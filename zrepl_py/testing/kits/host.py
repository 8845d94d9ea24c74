"""Conformance kit of HostPort. Which question: does this machine show what is so, and end what it
is told to end, and nothing else?

Each `check_` function takes a HostCase: a machine whose two file systems are mounted and free,
whose services are stopped, and whose address nobody has. `HOST_CHECKS` lists them all.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from zrepl_py.errors import Standing
from zrepl_py.model.host import (
    AddressState,
    Ending,
    Holder,
    Holding,
    Process,
    ServiceState,
)
from zrepl_py.ports.host import HostPort

GROUP = "radio"
STEADY, STUBBORN, LIAR, BROKEN = "steady", "stubborn", "liar", "broken"
"""Services: one that does as told; one whose stopping never ends; one that says it stopped and runs
on; one that does not start. What does not come is waited for a few seconds at most."""
_DOWN = (ServiceState.STOPPED, ServiceState.FAILED)


class HostCase(Protocol):
    """A machine under test."""

    @property
    def host(self) -> HostPort:
        """The port."""

    @property
    def datasets(self) -> tuple[str, str]:
        """A file system, and a child of it, both mounted."""

    def hold(self, dataset: str, holding: Holding, *, heeds_term: bool = True) -> Process:
        """A program holds it so, in zr's own mount namespace."""

    def hold_privately(self, dataset: str) -> Process:
        """A program in a private mount namespace of its own has it mounted, and a file open."""

    def mount_privately(self, dataset: str) -> Process:
        """The same without an open file."""

    def unmount_lazily(self, dataset: str) -> None:
        """As `umount -l` does, in zr's own namespace."""

    def is_alive(self, process: Process) -> bool:
        """Does it run?"""

    def give_address_away(self) -> None:
        """Another machine on the link takes the group's address."""

    def announcements(self) -> int:
        """How often the link was told that this machine has the address."""


def check_mounts_are_seen(case: HostCase) -> None:
    """Both, in the own namespace, writable; others are left out."""
    seen = case.host.observe_mounts([*case.datasets, "tank/missing"])
    assert sorted(m.dataset for m in seen if m.own) == sorted(case.datasets)
    assert {(m.root, m.readonly) for m in seen} == {("/", False)}
    assert case.host.observe_mounts(["tank/missing"]) == []


def check_nobody_holds_what_is_free(case: HostCase) -> None:
    """No holder, and it can be unmounted, child and parent in one go."""
    assert case.host.observe_holders(case.datasets) == []
    assert set(case.datasets) <= case.host.observe_objsets(_pool(case))
    assert case.host.unmount_everywhere(case.datasets) == []
    assert case.host.observe_objsets(_pool(case)).isdisjoint(case.datasets)


def check_each_way_of_holding_is_found(case: HostCase) -> None:
    """Working directory, root, descriptor, mapped file: with the program and what it holds."""
    child = case.datasets[1]
    ways = (Holding.CWD, Holding.ROOT, Holding.FD, Holding.MAPS)
    made = {case.hold(child, holding): holding for holding in ways}
    found = {holder.process: holder for holder in case.host.observe_holders([child])}
    assert found.keys() == made.keys()
    for process, holding in made.items():
        assert found[process].holdings == (holding,), found[process]
        assert found[process].dataset == child
        assert found[process].command
        assert found[process].first
    assert case.host.observe_holders([case.datasets[0]]) == []


def check_what_is_held_stays_mounted(case: HostCase) -> None:
    """It is said, and nothing is forced; after its end all goes."""
    parent, child = case.datasets
    process = case.hold(child, Holding.CWD)
    assert {m.dataset for m in case.host.unmount_everywhere([parent, child])} == {parent, child}
    assert case.is_alive(process)
    assert _end(case, [child], [process]) == [Ending.ENDED]
    assert case.host.unmount_everywhere([parent, child]) == []


def check_a_program_that_heeds_nothing_is_killed(case: HostCase) -> None:
    """After the patience is over."""
    process = case.hold(case.datasets[1], Holding.FD, heeds_term=False)
    assert _end(case, case.datasets, [process], patience_seconds=1.0) == [Ending.KILLED]
    assert not case.is_alive(process)


def check_only_that_very_program_ends(case: HostCase) -> None:
    """Not one with another start time, not one that holds something else, not another holder."""
    parent, child = case.datasets
    meant, other = case.hold(child, Holding.FD), case.hold(child, Holding.FD)
    elsewhere = case.hold(parent, Holding.FD)
    earlier = Process(meant.pid, meant.start_ticks - 1)
    asked = [earlier, elsewhere, meant]
    assert _end(case, [child], asked) == [Ending.GONE, Ending.RELEASED, Ending.ENDED]
    assert _end(case, [child], [meant])[0] in (Ending.GONE, Ending.RELEASED)
    assert case.is_alive(other)
    assert case.is_alive(elsewhere)


def check_a_private_namespace_hides_nothing(case: HostCase) -> None:
    """Scenario 22: its mount and its holder are seen, and the objset says the truth throughout."""
    child = case.datasets[1]
    process = case.hold_privately(child)
    assert len({m.namespace for m in case.host.observe_mounts([child])}) == 2
    left = case.host.unmount_everywhere([child])
    assert [m.own for m in left] == [False]
    assert child in case.host.observe_objsets(_pool(case))
    assert [h.process for h in case.host.observe_holders([child])] == [process]
    assert _end(case, [child], [process]) == [Ending.ENDED]
    assert case.host.unmount_everywhere([child]) == []
    assert child not in case.host.observe_objsets(_pool(case))


def check_a_private_mount_that_is_free_goes_too(case: HostCase) -> None:
    """And the program that lives there is left alone."""
    child = case.datasets[1]
    process = case.mount_privately(child)
    assert case.host.observe_holders([child]) == []
    assert case.host.unmount_everywhere([child]) == []
    assert case.is_alive(process)
    assert child not in case.host.observe_objsets(_pool(case))


def check_a_lazy_unmount_hides_nothing(case: HostCase) -> None:
    """Scenario 23: mounted nowhere, and still in use: by whom is found all the same."""
    child = case.datasets[1]
    process = case.hold(child, Holding.FD)
    case.unmount_lazily(child)
    assert case.host.observe_mounts([child]) == []
    assert child in case.host.observe_objsets(_pool(case))
    found: list[Holder] = case.host.observe_holders([child])
    assert [h.process for h in found] == [process]
    if found[0].dataset:  # else nobody can tell for sure whose it is, and it is not ended
        assert _end(case, [child], [process]) == [Ending.ENDED]
        assert child not in case.host.observe_objsets(_pool(case))


def check_the_marker_is_written(case: HostCase) -> None:
    """Where it is mounted; written anew the second time."""
    parent, child = case.datasets
    assert case.host.read_markers([child]) == {}
    for text in ("2/abc\n", "3/def\n"):
        assert case.host.write_markers([child], text) == [child]
        assert case.host.read_markers([parent, child]) == {child: text}
    assert case.host.unmount_everywhere([child]) == []
    assert case.host.read_markers([child]) == {}
    assert case.host.write_markers([child, parent], "4/ghi\n") == [parent]
    assert case.host.read_markers([child, parent]) == {parent: "4/ghi\n"}


def check_a_service_starts_and_stops(case: HostCase) -> None:
    """And starting one that runs, or stopping one that is stopped, changes nothing."""
    host = case.host
    assert host.observe_service(GROUP, STEADY) is ServiceState.STOPPED
    for _ in range(2):
        assert host.start_service(GROUP, STEADY).state is ServiceState.RUNNING
    assert host.observe_service(GROUP, STEADY) is ServiceState.RUNNING
    for _ in range(2):
        assert host.stop_service(GROUP, STEADY).state is ServiceState.STOPPED
    assert host.observe_service(GROUP, STEADY) is ServiceState.STOPPED


def check_a_stop_that_never_ends_is_ended(case: HostCase) -> None:
    """At its limit; and the service is said to run, because it does."""
    assert case.host.start_service(GROUP, STUBBORN).state is ServiceState.RUNNING
    outcome = case.host.stop_service(GROUP, STUBBORN)
    assert outcome.code is None
    assert 0.9 < outcome.seconds < 30
    assert outcome.state is ServiceState.RUNNING


def check_a_service_that_lies_is_not_believed(case: HostCase) -> None:
    """Its command ends well, and it runs on."""
    assert case.host.start_service(GROUP, LIAR).state is ServiceState.RUNNING
    outcome = case.host.stop_service(GROUP, LIAR)
    assert outcome.code == 0
    assert outcome.state is ServiceState.RUNNING


def check_a_service_that_fails_says_so(case: HostCase) -> None:
    """With the exit code of its command."""
    outcome = case.host.start_service(GROUP, BROKEN)
    assert outcome.code == 1
    assert outcome.state in _DOWN


def check_an_unknown_service_is_refused(case: HostCase) -> None:
    """Also one of an unknown group: nothing but what is configured is ever run."""
    for group, service in ((GROUP, "nothing"), ("nobody", STEADY)):
        assert _refusal(case, group, service) == "service-missing"


def check_the_address_comes_and_goes(case: HostCase) -> None:
    """Added once however often; announced only where it is; its removal is seen."""
    host = case.host
    assert host.observe_address(GROUP).state is AddressState.ABSENT
    assert not host.announce_address(GROUP)
    assert case.announcements() == 0
    for _ in range(2):
        assert host.add_address(GROUP).state is AddressState.HERE
    assert host.announce_address(GROUP)
    assert case.announcements() > 0
    for _ in range(2):
        assert host.remove_address(GROUP).state is AddressState.ABSENT
    assert host.observe_address(GROUP).state is AddressState.ABSENT


def check_an_address_that_another_has_is_not_added(case: HostCase) -> None:
    """Scenario 32: who has it is told."""
    case.give_address_away()
    seen = case.host.add_address(GROUP)
    assert seen.state is AddressState.ABSENT
    assert seen.other
    assert case.host.observe_address(GROUP).state is AddressState.ABSENT


def check_a_group_without_an_address_has_none(case: HostCase) -> None:
    """Nothing is added, nothing fails."""
    assert case.host.add_address("nobody").state is AddressState.ABSENT
    assert not case.host.announce_address("nobody")
    assert case.host.remove_address("nobody").state is AddressState.ABSENT


def _pool(case: HostCase) -> str:
    return case.datasets[0].split("/")[0]


def _end(
    case: HostCase,
    datasets: Sequence[str],
    processes: Sequence[Process],
    *,
    patience_seconds: float = 20.0,
) -> list[Ending]:
    """What heeds SIGTERM ends at once; how soon it gets to run, a busy machine decides."""
    ends = case.host.end_holders(datasets, processes, patience_seconds)
    assert [end.process for end in ends] == list(processes)
    return [end.ending for end in ends]


def _refusal(case: HostCase, group: str, service: str) -> str:
    try:
        case.host.start_service(group, service)
    except Standing as error:
        return error.reason
    return ""


MOUNT_CHECKS: tuple[Callable[[HostCase], None], ...] = (
    check_mounts_are_seen,
    check_nobody_holds_what_is_free,
    check_each_way_of_holding_is_found,
    check_what_is_held_stays_mounted,
    check_a_program_that_heeds_nothing_is_killed,
    check_only_that_very_program_ends,
    check_a_private_namespace_hides_nothing,
    check_a_private_mount_that_is_free_goes_too,
    check_a_lazy_unmount_hides_nothing,
    check_the_marker_is_written,
)
"""These need file systems; on real ZFS they run in the lab."""
HOST_CHECKS: tuple[Callable[[HostCase], None], ...] = (
    *MOUNT_CHECKS,
    check_a_service_starts_and_stops,
    check_a_stop_that_never_ends_is_ended,
    check_a_service_that_lies_is_not_believed,
    check_a_service_that_fails_says_so,
    check_an_unknown_service_is_refused,
    check_the_address_comes_and_goes,
    check_an_address_that_another_has_is_not_added,
    check_a_group_without_an_address_has_none,
)
