"""The ZFS kit on the model: what is simulated is what the contract says."""

import pytest

from zrepl_py.testing.kits.zfs import CHECKS
from zrepl_py.testing.kits.zfs_model_site import ModelSite


@pytest.mark.parametrize("name", CHECKS)
def test_model(name: str) -> None:
    CHECKS[name](ModelSite())
