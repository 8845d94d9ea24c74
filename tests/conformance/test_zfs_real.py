"""The ZFS kit on real OpenZFS: both adapters, each on a node of its own."""

from collections.abc import Iterator

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab
_DEADLINE_SECONDS = 240.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="zfskit") as lab:
        yield lab


@pytest.mark.parametrize(
    ("node", "pool", "adapter"), [("alpha", "tank", "lzc"), ("beta", "back", "command")]
)
def test_adapter(lab: Lab, node: str, pool: str, adapter: str) -> None:
    kit = ["/opt/zr/bin/python", "-m", "zrepl_py.testing.kits.zfs", pool, adapter]
    machine = lab.alpha if node == "alpha" else lab.beta
    done = machine.run(kit, timeout_seconds=_DEADLINE_SECONDS, check=False)
    lines = done.text.splitlines()
    assert done.returncode == 0, "\n".join(line for line in lines if not line.startswith("ok "))
    assert lines[-1].endswith(" passed, 0 failed")
