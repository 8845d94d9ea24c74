"""The host kit: on the model, through a worker, and on this machine, in namespaces of its own.

On real ZFS the part with file systems runs in the lab: tests/lab/test_fence.py.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.worker_support import RunningWorker
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker.hosts import WorkerHost
from zrepl_py.adapters.worker.verbs import Scope, WorkerKind
from zrepl_py.model.host import Address, Holding, Hosting, Process, Service, ServiceKind
from zrepl_py.ports.host import HostPort
from zrepl_py.testing.kits.host import (
    BROKEN,
    GROUP,
    HOST_CHECKS,
    LIAR,
    STEADY,
    STUBBORN,
    HostCase,
    check_an_address_that_another_has_is_not_added,
    check_the_address_comes_and_goes,
)
from zrepl_py.testing.model_clock import ModelClock
from zrepl_py.testing.model_host import ModelHost, ModelService

IP = "10.9.8.7"
SECONDS = 240
PRIVATE = ("unshare", "-m", "-n", "--propagation", "private")


class OnTheModel:
    """HostCase over the model."""

    def __init__(self) -> None:
        services = tuple(
            Service(name, ServiceKind.UNIT, f"{name}.service", start_seconds=1, stop_seconds=1)
            for name in (STEADY, STUBBORN, LIAR, BROKEN)
        )
        settings = {GROUP: Hosting(GROUP, services, Address(IP, 32, "eth0"))}
        self._model = ModelHost(ModelClock(), settings)
        self._model.services |= {
            (GROUP, STUBBORN): ModelService(stop_hangs=True),
            (GROUP, LIAR): ModelService(stops=False),
            (GROUP, BROKEN): ModelService(starts=False),
        }
        self.host: HostPort = self._model
        self.datasets = ("tank/zr-kit", "tank/zr-kit/below")
        for dataset in self.datasets:
            self._model.add_mounted(dataset, f"/{dataset}")

    def hold(self, dataset: str, holding: Holding, *, heeds_term: bool = True) -> Process:
        held = {dataset: {holding: f"/{dataset}/held"}}
        return self._model.add_program("holder", held, heeds_term=heeds_term)

    def hold_privately(self, dataset: str) -> Process:
        self._model.add_mount(dataset, 2, f"/{dataset}")
        held = {dataset: {Holding.FD: f"/{dataset}/held"}}
        return self._model.add_program("holder", held, namespace=2)

    def mount_privately(self, dataset: str) -> Process:
        self._model.add_mount(dataset, 2, f"/{dataset}")
        return self._model.add_program("idle", {}, namespace=2)

    def unmount_lazily(self, dataset: str) -> None:
        self._model.unmount_lazily(dataset)

    def is_alive(self, process: Process) -> bool:
        return process.pid in self._model.programs

    def give_address_away(self) -> None:
        self._model.link.owners[IP] = {"beta"}

    def announcements(self) -> int:
        return len(self._model.link.announced)


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_on_the_model(check: Callable[[HostCase], None]) -> None:
    check(OnTheModel())


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_through_a_worker(tmp_path: Path, check: Callable[[HostCase], None]) -> None:
    """The same over the worker's socket: names, values and errors come through."""
    case, path = OnTheModel(), str(tmp_path / "host.sock")
    worker = RunningWorker(path, Scope(WorkerKind.HOST, "tank"), case.host, 4)
    case.host = proxy = WorkerHost({"tank": path}, MachineClock(), lambda _event, _fields: None)
    try:
        check(case)
    finally:
        proxy.close()
        worker.stop()


def run_here(ip: str, checks: tuple[Callable[[HostCase], None], ...]) -> list[str]:
    """The lines that the kit printed. Needs root; ZFS and the lab's kernels are not needed."""
    names = [check.__name__ for check in checks]
    pool = f"tank{os.getpid()}"  # another run on this machine may do the same: each sees all mounts
    module = "zrepl_py.testing.kits.host_real_case"
    done = subprocess.run(
        [*PRIVATE, sys.executable, "-m", module, "ramfs", pool, ip, *names],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.lab
def test_on_this_machine() -> None:
    assert len(run_here(IP, HOST_CHECKS)) == len(HOST_CHECKS)


@pytest.mark.lab
def test_on_this_machine_with_ipv6() -> None:
    run_here(
        "fd00::50",
        (check_the_address_comes_and_goes, check_an_address_that_another_has_is_not_added),
    )
