"""Error numbers → the tree; names, arguments, and a machine without OpenZFS."""

import errno
import os
import sys

import pytest

from zrepl_py.adapters.zfs import forks
from zrepl_py.adapters.zfs.lzc import LzcZfs
from zrepl_py.adapters.zfs.names import by_pool, check_own, dataset_of, one_pool, pool_of
from zrepl_py.adapters.zfs.programs import (
    MAX_DATASETS,
    judge_program_error,
    parse_snapshot_answer,
    program_text,
    render_property_arguments,
    render_snapshot_arguments,
)
from zrepl_py.adapters.zfs.translate import COMMON, TABLES, judge_errno
from zrepl_py.errors import Bug, Refused, Standing, ZrError


@pytest.mark.parametrize("operation", TABLES)
def test_every_meaning_is_a_whole_sentence(operation: str) -> None:
    for number in {**COMMON, **TABLES[operation]}:
        error = judge_errno(operation, number, "tank/a@zr_1")
        assert error.message.endswith(".")
        assert "{" not in error.message
    unknown = judge_errno(operation, 4711, "tank/a", "in ZFS's words")
    assert unknown.reason == "zfs-failed"
    assert "in ZFS's words" in unknown.message


def test_the_same_number_means_different_things() -> None:
    assert judge_errno("send", errno.ENOENT, "x").reason == "snapshot-missing"
    assert judge_errno("receive", errno.ENOENT, "x").reason == "dataset-missing"
    assert judge_errno("send", errno.EACCES, "x").reason == "key-missing"
    assert judge_errno("property", errno.EACCES, "x").reason == "no-rights"


def test_program_errors() -> None:
    assert judge_program_error(44, "tank", "I/O error while accessing").reason == "io-error"
    assert judge_program_error(18, "tank", "").reason == "pool-missing"
    assert judge_program_error(1, "tank", "").reason == "no-rights"
    assert judge_program_error(11, "tank", "").reason == "pool-suspended"
    assert judge_program_error(44, "tank", "attempt to index nil").reason == "zfs-failed"


def test_names() -> None:
    assert (dataset_of("t/a b@s"), dataset_of("t/a#b"), pool_of("t/a@b")) == ("t/a b", "t/a", "t")
    assert by_pool(["t/a@1", "u/b@1", "t/c@1"]) == {"t": ["t/a@1", "t/c@1"], "u": ["u/b@1"]}
    with pytest.raises(Bug):
        one_pool(["t/a", "u/a"])
    check_own({"t/a@zr_1": 1}, "@")
    for name in ("t/a", "t/a@", "@zr_1", "t/a@weekly", "t/a#zr_1", "t/zr_1"):
        with pytest.raises(Bug):
            check_own({name: 1}, "@")


def test_arguments_are_flat_and_bounded() -> None:
    argv = render_snapshot_arguments({"t/a": None, "t/b": "zr_1"}, "zr_2")
    assert argv == ["zr_2", "t/a", "", "t/b", "zr_1"]
    with pytest.raises(Refused):
        render_snapshot_arguments({f"t/{n}": None for n in range(MAX_DATASETS + 1)}, "zr_2")
    with pytest.raises(Refused):
        render_snapshot_arguments({"t/" + "a" * 250: None}, "zr_2")
    argv = render_property_arguments(["t/a", "t/b"], {"zr:x": "-v", "zr:y": ""})
    assert argv == ["2", "t/a", "t/b", "zr:x", "=-v", "zr:y", "-"]
    for name, value in (("quota", "1"), ("x:y", "1"), ("zr:x", "a\nb"), ("zr:x", "a" * 9000)):
        with pytest.raises(ZrError):
            render_property_arguments(["t/a"], {name: value})


def test_snapshot_answers() -> None:
    assert parse_snapshot_answer({"t/a": "unchanged", "t/b": "error 11"}, "zr_1") is None
    with pytest.raises(Standing, match="t/b"):
        parse_snapshot_answer({"t/a": "error 11", "t/b": "error 2"}, "zr_1")


def test_every_program_is_there_and_is_never_formatted() -> None:
    names = ["snapshot_changed", "destroy_snapshots", "abort_receive", "observe_snapshot"]
    assert all("args = ..." in program_text(name) for name in names)


@pytest.mark.skipif(os.path.exists("/dev/zfs"), reason="this machine has OpenZFS")
def test_a_machine_without_openzfs_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "libzfs_core", None)
    with pytest.raises(Standing) as caught:
        LzcZfs().hold(["tank/a@zr_1"], "zr_base_0")
    assert (caught.value.reason, "python3-pyzfs" in caught.value.remedy) == ("module-missing", True)
    with pytest.raises(Standing) as caught:
        LzcZfs().observe_pool("tank")
    assert (caught.value.reason, "modprobe zfs" in caught.value.remedy) == ("module-missing", True)


def test_forks_are_counted_and_have_a_deadline() -> None:
    before = forks.FORKS.total
    assert forks.run(["sh", "-c", 'printf %s "$LC_ALL"']).out == "C"
    assert forks.FORKS.total == before + 1
    with pytest.raises(ZrError) as caught:
        forks.run(["sleep", "5"], deadline_seconds=0.05)
    assert caught.value.reason == "too-slow"
    with pytest.raises(Standing):
        forks.run(["no-such-command-here"])
