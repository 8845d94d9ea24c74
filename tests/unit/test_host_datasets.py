"""DatasetPort over the host worker's socket, and how many processes one look of a group starts."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.unit.worker_support import RunningWorker
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker.hosts import WorkerHost
from zrepl_py.adapters.worker.verbs import Scope, WorkerKind
from zrepl_py.adapters.zfs import listing
from zrepl_py.adapters.zfs.forks import Ended
from zrepl_py.adapters.zfs.tree import CommandDatasets
from zrepl_py.errors import Refused
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.testing.kits import zfs_datasets
from zrepl_py.testing.kits.zfs_model_site import ModelSite

KIT = [name for name in vars(zfs_datasets) if name.startswith("check_")]
NAMES = [f"tank/d{n:02}" for n in range(30)]


class OverTheSocket(ModelSite):
    """A site of the model, whose datasets are asked through a worker."""

    datasets: DatasetPort  # type: ignore[assignment]

    def __init__(self, path: str) -> None:
        super().__init__()
        self.model = self.datasets
        self.worker = RunningWorker(path, Scope(WorkerKind.HOST, self.pool), self.model, 4)
        self.proxy = WorkerHost({self.pool: path}, MachineClock(), lambda _event, _fields: None)
        self.datasets = self.proxy

    def unload_key(self, name: str) -> None:
        self.datasets = self.model
        super().unload_key(name)
        self.datasets = self.proxy

    def close(self) -> None:
        self.proxy.close()
        self.worker.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OverTheSocket]:
    made = OverTheSocket(str(tmp_path / "host.sock"))
    yield made
    made.close()


@pytest.mark.parametrize("name", KIT)
def test_the_kit_through_a_worker(site: OverTheSocket, name: str) -> None:
    """Names, values and errors come through."""
    vars(zfs_datasets)[name](site)


def test_of_another_pool_nothing_is_done(site: OverTheSocket, tmp_path: Path) -> None:
    path = str(tmp_path / "host.sock")
    proxy = WorkerHost({"other": path}, MachineClock(), lambda _event, _fields: None)
    with pytest.raises(Refused) as caught:
        proxy.rename("other/a", 7, "other/b")
    with pytest.raises(Refused):
        site.proxy.rename("tank/a", 7, "other/b")
    proxy.close()
    assert caught.value.reason == "worker-forbidden"


def test_a_look_at_thirty_datasets_forks_five_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the trees, one for the histories, three for what was written."""
    started: Counter[str] = Counter()

    def run(argv: Sequence[str], **_: object) -> Ended:
        started[" ".join(argv[:2])] += 1
        names = argv[list(argv).index("--") + 1 :] if "--" in argv else ()
        return Ended(0, "".join(_lines(" ".join(argv), name) for name in names), "")

    monkeypatch.setattr(listing, "run", run)
    datasets = CommandDatasets()
    assert [d.name for d in datasets.observe_trees(NAMES)] == NAMES
    histories = datasets.observe_histories(NAMES)
    assert {name: [s.guid for s in h.snapshots] for name, h in histories.items()} == {
        name: [9] for name in NAMES
    }
    assert datasets.observe_written(dict.fromkeys(NAMES, 9)) == dict.fromkeys(NAMES, 512)
    assert started == {"zfs list": 2, "zfs get": 2, "zpool sync": 1}


def _lines(argv: str, name: str) -> str:
    if argv.startswith("zfs get") and " all -- " in argv:
        said = {"guid": "7", "type": "filesystem", "readonly": "on"}
        return "".join(f"{name}\t{word}\t{value}\tlocal\n" for word, value in said.items())
    if "written@" in argv:
        (asked,) = re.findall(r"written@[^\s,]+", argv)
        return f"{name}\t{asked}\t512\n"
    if "name,guid,createtxg" in argv:
        return f"{name}@s\t9\t5\t100\n"
    return f"{name}@s\t9\n"
