"""What restores leave that are killed: it is found, and what still runs is left alone."""

import os
import subprocess
from pathlib import Path

from zrepl_py.adapters.host.leftovers import find_leftovers
from zrepl_py.adapters.host.newfile import NewFile
from zrepl_py.adapters.host.scratchowner import (
    OWNER_PROPERTY,
    is_alive,
    parse_scratch,
    render_owner,
)
from zrepl_py.adapters.host.staging import Staging
from zrepl_py.adapters.zfs.scratch import SCRATCH_PROPERTY
from zrepl_py.core.audit.leftovers import judge_scratch
from zrepl_py.core.restoring import render_staging_name


def test_a_hidden_file_is_found_once_nobody_writes_it(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with NewFile(folder, nameless=False) as new:
        assert find_leftovers(str(tmp_path)) == []
        (hidden,) = tmp_path.iterdir()
        os.link(hidden, tmp_path / "kept")
    os.rename(tmp_path / "kept", hidden)  # as after a kill -9
    assert new.fd == -1
    (left,) = find_leftovers(str(tmp_path))
    assert (left.path, left.is_tree) == (str(hidden), False)
    os.close(folder)


def test_a_tree_is_found_once_nobody_works_on_it(tmp_path: Path) -> None:
    folder, name = os.open(tmp_path, os.O_RDONLY), render_staging_name(["x"])
    with Staging(str(tmp_path), folder, name):
        assert find_leftovers(str(tmp_path)) == []
    (left,) = find_leftovers(str(tmp_path))
    assert (left.path, left.is_tree) == (str(tmp_path / name), True)
    assert find_leftovers(str(tmp_path), name) == []
    os.close(folder)


def test_other_names_are_nobody_s_business(tmp_path: Path) -> None:
    for name in (
        ".zr-restore-",
        ".zr-restore-0123456789abcdef.log",
        "x.zr-restore-0123456789abcdef",
    ):
        (tmp_path / name).write_text("")
    (tmp_path / ".zr-restore-0123456789abcdef").symlink_to("/etc/passwd")
    assert find_leftovers(str(tmp_path)) == []
    assert find_leftovers(str(tmp_path / "nothing")) == []


def test_a_process_is_known_by_boot_number_and_start() -> None:
    mine = render_owner()
    assert is_alive(mine)
    boot, pid, start = mine.split("/")
    assert not is_alive(f"{boot}/{pid}/{int(start) - 1}")
    assert not is_alive(f"another-boot/{pid}/{start}")
    for nonsense in ("", "-", "//", "a/../b", f"{boot}/{pid}"):
        assert not is_alive(nonsense)
    with subprocess.Popen(["sleep", "60"]) as child:
        theirs = render_owner(child.pid)
        assert is_alive(theirs)
        child.kill()
    assert not is_alive(theirs)


def test_scratch_datasets_of_the_dead_are_a_finding() -> None:
    mine = render_owner()
    rows = [
        ("tank/zr-restore-a", SCRATCH_PROPERTY, "m1"),
        ("tank/zr-restore-a", OWNER_PROPERTY, mine),
        ("tank/zr-restore-b", SCRATCH_PROPERTY, "m2"),
        ("tank/zr-restore-b", OWNER_PROPERTY, "boot/1/2"),
        ("tank/zr-restore-c", SCRATCH_PROPERTY, "m3"),  # of an older zr
        ("tank/zr-restore-d", OWNER_PROPERTY, "boot/1/2"),  # no mark: somebody's own
        ("tank/audio", SCRATCH_PROPERTY, "m4"),
    ]
    seen = parse_scratch("\n".join("\t".join(row) for row in rows) + "\n")
    left = [one.name for one in seen if not one.alive]
    assert left == ["tank/zr-restore-b", "tank/zr-restore-c"]
    (finding,) = judge_scratch(left)
    assert finding.id == "scratch-left"
    assert "zfs destroy -r tank/zr-restore-b" in finding.remedy
    assert judge_scratch([]) == []
