"""A snapshot that cannot be mounted: which key has to be loaded is asked of ZFS (here a script)."""

import errno
import os
from pathlib import Path

import pytest

from zrepl_py.adapters.host import privatemount
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.zfs import forks
from zrepl_py.errors import Standing

RESCUE = "tank/zr-rescue/1-9f3a21cc-0b51e2aa/secret"


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: str) -> Standing:
    """What is said where the kernel does not mount it, and `zfs get` does `answer`."""
    script = folder / "zfs"
    script.write_text(f"#!/bin/sh\n{answer}\n")
    script.chmod(0o755)

    def denied() -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(forks, "SEARCH_PATH", f"{folder}:{forks.SEARCH_PATH}")
    monkeypatch.setattr(privatemount, "ensure_own_namespace", denied)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(Standing) as refused:
        MountedSnapshot(RESCUE, "zr-rescue_1-9f3a21cc-0b51e2aa").open()
    return refused.value


def test_the_encryption_root_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`zfs load-key -r` of what has its key from another dataset loads none, and says nothing."""
    error = refuse(monkeypatch, tmp_path, "printf 'tank/secret\\nunavailable\\n'")
    assert error.reason == "key-missing"
    assert "the key of tank/secret is not loaded" in error.message
    assert error.remedy.startswith("Run `zfs load-key tank/secret`")


def test_zfs_that_says_nothing_is_no_other_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = refuse(monkeypatch, tmp_path, "exit 1")
    assert error.reason == "key-missing"
    assert f"zfs load-key {RESCUE}" in error.remedy


@pytest.mark.parametrize("answer", ["tank/secret\\navailable", "-\\n-"])
def test_where_no_key_is_missing_none_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str
) -> None:
    error = refuse(monkeypatch, tmp_path, f"printf -- '{answer}\\n'")
    assert error.reason == "snapshot-unreachable"
