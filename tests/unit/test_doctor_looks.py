"""What the doctor reads from commands: recorded outputs of OpenZFS 2.3.9 and systemd 257."""

from pathlib import Path

import pytest

from zrepl_py.adapters.doctor.datasets import parse_allowed, parse_pending_bytes, parse_placed
from zrepl_py.adapters.doctor.files import observe_certificate, observe_configuration
from zrepl_py.adapters.doctor.system import observe_clock, parse_units
from zrepl_py.adapters.doctor.zpool import parse_pool_status
from zrepl_py.adapters.peer.certificates import Identity, ensure_identity
from zrepl_py.core.audit.seen import Leaf, Unit
from zrepl_py.core.audit.system import judge_units
from zrepl_py.model.names import render_cursor
from zrepl_py.model.site import Node

DEGRADED = """\
  pool: tank
 state: DEGRADED
status: One or more devices are faulted in response to persistent errors.
\tSufficient replicas exist for the pool to continue functioning in a
\tdegraded state.
action: Replace the faulted device, or use 'zpool clear' to mark the device
\trepaired.
  scan: scrub repaired 0B in 00:00:00 with 0 errors on Sat Nov 21 11:46:08 2026
config:

\tNAME                   STATE     READ WRITE CKSUM
\ttank                   DEGRADED     0     0     0
\t  raidz1-0             DEGRADED     0     0     0
\t    /dev/mapper/disk1  FAULTED      0     0     0  external device fault
\t    /dev/mapper/disk2  ONLINE       0     3    12
\t    /dev/mapper/disk3  ONLINE       0     0     0
\tlogs
\t  mirror-1             ONLINE       0     0     0
\t    /dev/sdx1          ONLINE       0     0     0
\tspares
\t  /dev/sdy             AVAIL

errors: No known data errors
"""
SCRUBBING = """\
  pool: back
 state: ONLINE
  scan: scrub in progress since Sat Nov 21 11:46:08 2026
\t1.20G / 1.20G scanned, 312M / 1.20G issued at 312M/s
\t0B repaired, 25.39% done, 00:00:02 to go
config:

\tNAME         STATE     READ WRITE CKSUM
\tback         ONLINE       0     0     0
\t  /dev/sda   ONLINE       0     0     0

errors: 2 data errors, use '-v' for a list
"""


def test_leaves_are_found_below_every_vdev() -> None:
    pool = parse_pool_status("tank", DEGRADED)
    assert (pool.state, pool.errors) == ("DEGRADED", "No known data errors")
    assert pool.scrubbed_at == 1_795_261_568
    assert pool.leaves == (
        Leaf("/dev/mapper/disk1", "FAULTED", 0, 0, 0, "external device fault"),
        Leaf("/dev/mapper/disk2", "ONLINE", 0, 3, 12),
        Leaf("/dev/mapper/disk3", "ONLINE", 0, 0, 0),
        Leaf("/dev/sdx1", "ONLINE", 0, 0, 0),
        Leaf("/dev/sdy", "AVAIL", 0, 0, 0),
    )


def test_damage_and_a_running_scrub_are_seen() -> None:
    pool = parse_pool_status("back", SCRUBBING)
    assert pool.errors.startswith("2 data errors")
    assert (pool.scanning, pool.scrubbed_at) == (True, None)


@pytest.mark.parametrize("text", ["", "  pool: tank\n", DEGRADED[:200]])
def test_text_that_makes_no_sense_is_no_health(text: str) -> None:
    pool = parse_pool_status("tank", text)
    assert not pool.leaves
    assert not pool.errors.startswith("No known")


def test_rights() -> None:
    text = (
        "---- Permissions on back/zr ------------------------------------------\n"
        "Local+Descendent permissions:\n"
        "\tuser zr-recv create,mount,receive:append\n"
        "---- Permissions on back ---------------------------------------------\n"
        "Descendent permissions:\n"
        "\tuser zr-recv destroy\n"
        "\tgroup staff snapshot\n"
    )
    assert parse_allowed("back/zr", text).users == {
        "zr-recv": frozenset(("create", "mount", "receive:append", "destroy"))
    }


def test_user_properties_count_only_where_they_are_local() -> None:
    text = (
        "back/zr\ttype\t-\tfilesystem\n"
        "back/zr\tzr:placeholder\tlocal\ton\n"
        "back/zr/a\ttype\t-\tfilesystem\n"
        "back/zr/a\treadonly\tinherited from back/zr\ton\n"
        "back/zr/a\tzr:placeholder\tinherited from back/zr\ton\n"
    )
    parent, child = parse_placed(text)
    assert (parent.get("zr:placeholder"), child.get("zr:placeholder")) == ("on", "-")
    assert (child.name, child.kind, child.get("readonly")) == ("back/zr/a", "filesystem", "on")


def test_units() -> None:
    text = (
        "NRestarts=7\nId=zr.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
        "\nId=zr-zfs@tank.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"
    )
    daemon, worker = parse_units(text)
    assert (daemon.name, daemon.loaded, daemon.restarts) == ("zr.service", True, 7)
    assert (worker.loaded, worker.active, worker.restarts) == (False, "inactive", 0)


def test_the_proof_worker_starts_with_the_zfs_worker_enabled_or_not() -> None:
    name = "zr-proof@tank.service"
    assert judge_units([Unit(name, True, "active", "disabled", 0)], answers=True) == []
    (found,) = judge_units([Unit(name, True, "inactive", "disabled", 0)], answers=True)
    assert found.id == "unit-down"


def test_the_clock_is_asked_without_rights() -> None:
    clock = observe_clock(5.0, None)
    assert clock.now == 5.0
    assert clock.synchronised in (True, False, None)


def test_certificates_say_who_they_are_of(tmp_path: Path) -> None:
    node = Node("ab253478-2a5f-4b32-bc8c-00dab5bcbec7", "alpha")
    path = tmp_path / "node.pem"
    ensure_identity(Identity(path, tmp_path / "node.key"), node)
    seen = observe_certificate(str(path))
    assert (seen.problem, seen.name, seen.uuid) == ("", "alpha", node.uuid)
    assert seen.valid_from == 0
    path.write_text("no certificate")
    assert observe_certificate(str(path)).problem
    assert observe_certificate(str(tmp_path / "none")).problem == "it does not exist."


def test_configuration_files_are_found_with_their_modes(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("")
    (tmp_path / "a.toml").chmod(0o666)
    seen = observe_configuration(str(tmp_path / "zr.toml"), str(tmp_path))
    assert [(Path(file.path).name, file.mode & 0o002) for file in seen][-1] == ("a.toml", 2)


SIZES = "tank@a\t1\t100\t100\ntank@b\t2\t20\t120\ntank@c\t3\t30\t150\n"


@pytest.mark.parametrize(
    ("bookmarks", "base", "size"),
    [
        ("", None, 150),  # nothing was ever sent: whole
        ("", "a", 50),
        ("", "c", 0),
        ("", "gone", None),
        (f"tank#{render_cursor('0badcafe', 2)}\t2\t-\t-\n", None, 30),
        (f"tank#{render_cursor('0badcafe', 9)}\t9\t-\t-\n", None, None),
        ("tank#by-hand\t9\t-\t-\n", None, 150),
    ],
)
def test_what_is_pending_is_estimated(bookmarks: str, base: str | None, size: int | None) -> None:
    assert parse_pending_bytes(SIZES + bookmarks, base, "c") == size
