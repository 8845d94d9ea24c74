"""Error outputs of OpenZFS 2.3.9, as recorded in the lab → the tree of errors."""

import pytest

from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import Ended

NEW, INCREMENT = "cannot receive new filesystem stream: ", "cannot receive incremental stream: "
SAVED = "Partially received snapshot is saved.\nA resuming stream can be generated on the sen"
RECORDED = [
    ("receive", NEW + "checksum mismatch or incomplete stream.\n" + SAVED, "stream-damaged"),
    ("receive", NEW + "destination 'back/t' exists\nmust specify -F to overwrite", "target-exists"),
    (
        "receive",
        "cannot open 'back/none': dataset does not exist\n" + NEW + "unable to restore to desti",
        "dataset-missing",
    ),
    ("receive", INCREMENT + "destination 'back/none' does not exist\n", "dataset-missing"),
    (
        "receive",
        INCREMENT + "most recent snapshot of back/m does not\nmatch incremental source\n",
        "base-mismatch",
    ),
    (
        "receive",
        INCREMENT + "destination back/ok has been modified\nsince most recent snapshot\n",
        "target-modified",
    ),
    ("receive", NEW + "inherited key must be loaded\n", "key-missing"),
    ("receive", NEW + "permission denied\n", "no-rights"),
    ("receive", NEW + "parent 'tank/v' is not a filesystem\n", "bad-name"),
    ("create", "cannot create 'back/v/x': parent is not a filesystem\n", "bad-name"),
    ("receive", NEW + "destination back/m/r2 space quota exceeded.\n", "quota"),
    (
        "receive",
        INCREMENT + "cannot perform raw receive on top of existing unencrypted dataset\n",
        "base-mismatch",
    ),
    ("send", "cannot open 'back/t@nope': dataset does not exist\n", "snapshot-missing"),
    (
        "send",
        "warning: cannot send 'back/t@a': not an earlier snapshot from the same fs\n",
        "base-mismatch",
    ),
    (
        "send",
        "warning: cannot send 'back/t@a': incremental source (back/t#nope) does not exist\n",
        "snapshot-missing",
    ),
    ("send", "warning: cannot send 'back/e@a': dataset key must be loaded\n", "key-missing"),
    ("hold", "cannot hold snapshot 'back/t@nope': dataset does not exist\n", "snapshot-missing"),
    ("hold", "cannot open 'back/nope': dataset does not exist\n", "snapshot-missing"),
    (
        "hold",
        "cannot release hold from snapshot 'back/t@b': no such tag on this dataset\n",
        "snapshot-missing",
    ),
    ("bookmark", "cannot create bookmark 'back/t#a': bookmark exists\n", "snapshot-exists"),
    ("bookmark", "cannot open 'back/x#q': no such pool or dataset\n", "snapshot-missing"),
    ("list", "cannot open 'back/nope': dataset does not exist\n", "dataset-missing"),
    ("create", "cannot create 'back/nope/b': parent does not exist\n", "dataset-missing"),
    (
        "create",
        "cannot create 'back/e/x': encryption root's key is not loaded or provided\n",
        "key-missing",
    ),
    ("program", "cannot open 'nope': no such pool\ncannot open pool 'nope'\n", "pool-missing"),
    (
        "program",
        "Channel program execution failed:\nPermission denied. Channel programs must be run as",
        "no-rights",
    ),
    ("program", "Channel program execution failed:\n[string ...", "zfs-failed"),
    ("list", "The ZFS modules are not loaded.\nTry running 'modprobe zfs' as", "module-missing"),
]


@pytest.mark.parametrize(("operation", "words", "reason"), RECORDED)
def test_words(operation: str, words: str, reason: str) -> None:
    error = judge_command(operation, Ended(1, "", words), "tank/a")
    assert error.reason == reason
    assert error.message
    if reason == "zfs-failed":
        assert "Channel program execution failed" in error.message
