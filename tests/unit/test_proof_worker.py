"""What the proof worker refuses by itself, before ZFS is asked."""

import os

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.proof.worker import LocalProof, check_scratch_name, scratch_parent
from zrepl_py.core.selection import select_datasets
from zrepl_py.errors import Refused
from zrepl_py.model.policy import Selection
from zrepl_py.model.proof import ScratchOrder

PARENT = scratch_parent("tank")


@pytest.mark.parametrize(
    "dataset",
    [
        "tank/a",
        "tank/zr-restore-1",
        PARENT,
        f"{PARENT}/mine",
        f"{PARENT}/zr-restore-1/zr-restore-2",
        "other/zr-restore-drills/zr-restore-1",
        "tank/x/zr-restore-drills/zr-restore-1",
    ],
)
def test_nothing_but_a_drills_scratch_dataset_is_made_or_destroyed(dataset: str) -> None:
    proof = LocalProof(MachineClock())
    with pytest.raises(Refused) as caught:
        check_scratch_name("tank", dataset)
    assert caught.value.reason == "not-scratch"
    if dataset.startswith("tank/"):
        with pytest.raises(Refused):
            proof.destroy_scratch(dataset, "m")
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(Refused):
        proof.receive_scratch("tank", ScratchOrder(dataset, "m", "s", 7, False, False), reader)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


def test_no_policy_selects_them() -> None:
    names = ["tank", PARENT, f"{PARENT}/zr-restore-1", "tank/a"]
    assert select_datasets(Selection(("tank/**",)), names).names == ("tank", "tank/a")
