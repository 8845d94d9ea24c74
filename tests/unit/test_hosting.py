"""The parts of the host's adapter that need neither root nor ZFS."""

import ipaddress
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.hosting import services
from zrepl_py.adapters.hosting.ending import end_processes
from zrepl_py.adapters.hosting.marker import write_marker
from zrepl_py.adapters.hosting.packets import parse_claim, render_announcements, render_probe
from zrepl_py.adapters.hosting.processes import observe_process, own_line
from zrepl_py.adapters.hosting.running import Ran, run_limited
from zrepl_py.errors import Standing
from zrepl_py.model.host import Ending, Process, ServiceState

CLOCK = MachineClock()
MINE, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
V4, V6 = ipaddress.ip_address("10.0.0.50"), ipaddress.ip_address("fd00::50")


# --- commands -------------------------------------------------------------------------------


def test_a_command_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! >{tmp_path}/child; echo told; wait"
    ran = run_limited(("/bin/sh", "-c", script), 0.5, CLOCK, {})
    assert ran.code is None
    assert 0.4 < ran.seconds < 5
    assert ran.said == "told"
    child = int((tmp_path / "child").read_text())
    for _ in range(50):  # whoever adopted it collects it soon
        if (state := Path(f"/proc/{child}/stat")).exists() and " Z " not in state.read_text():
            time.sleep(0.1)
    assert not state.exists() or " Z " in state.read_text()


def test_what_a_command_leaves_behind_keeps_nobody_waiting() -> None:
    ran = run_limited(("/bin/sh", "-c", "sleep 5 & exit 7"), 4, CLOCK, {})
    assert ran.code == 7
    assert ran.seconds < 3


def test_a_command_sees_a_short_environment() -> None:
    os.environ["ZR_SECRET"] = "secret"
    try:
        ran = run_limited(("/usr/bin/env",), 5, CLOCK, {"ZR_ACTION": "stop"})
    finally:
        del os.environ["ZR_SECRET"]
    keys = {line.partition("=")[0] for line in ran.out.splitlines()}
    assert keys <= {"LC_ALL", "PATH", "TZ", "ZR_ACTION", "PWD", "_", "SHLVL"}
    assert "ZR_ACTION" in keys


def test_much_output_is_kept_at_its_end() -> None:
    ran = run_limited(("/bin/sh", "-c", "seq 1 300000; echo problem >&2; exit 3"), 20, CLOCK, {})
    assert ran.code == 3
    assert ran.said.endswith("300000\nproblem")
    assert len(ran.said) < 5000


def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(Standing, match="cannot be started") as caught:
        run_limited(("/nowhere/player",), 1, CLOCK, {})
    assert caught.value.reason == "command-missing"


# --- what services say ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("LoadState=loaded\nActiveState=active\n", ServiceState.RUNNING),
        ("ActiveState=reloading\nLoadState=loaded\n", ServiceState.RUNNING),
        ("LoadState=loaded\nActiveState=deactivating\n", ServiceState.CHANGING),
        ("LoadState=loaded\nActiveState=inactive\n", ServiceState.STOPPED),
        ("LoadState=loaded\nActiveState=failed\n", ServiceState.FAILED),
        ("LoadState=loaded\nActiveState=new-word\n", ServiceState.UNKNOWN),
        ("", ServiceState.UNKNOWN),
    ],
)
def test_units(said: str, state: ServiceState) -> None:
    assert services.parse_unit(Ran(0, 0.0, said, said)) is state
    assert services.parse_unit(Ran(1, 0.0, said, said)) is ServiceState.UNKNOWN
    assert services.parse_unit(Ran(None, 0.0, said, said)) is ServiceState.UNKNOWN


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("", ServiceState.STOPPED),
        ("[]", ServiceState.STOPPED),
        ('{"State":"running"}\n{"State":"exited","ExitCode":0}\n', ServiceState.RUNNING),
        ('[{"State":"exited","ExitCode":0},{"State":"created"}]', ServiceState.STOPPED),
        ('{"State":"exited","ExitCode":137}', ServiceState.FAILED),
        ('{"State":"paused"}', ServiceState.RUNNING),
        ('{"State":"running"}\n{"State":"restarting"}', ServiceState.CHANGING),
        ('{"State":"new-word"}', ServiceState.UNKNOWN),
        ('{"Status":"Up"}', ServiceState.UNKNOWN),
        ("[1]", ServiceState.UNKNOWN),
        ("Cannot connect to the Docker daemon", ServiceState.UNKNOWN),
    ],
)
def test_containers(said: str, state: ServiceState) -> None:
    assert services.parse_containers(Ran(0, 0.0, said, said)) is state
    assert services.parse_containers(Ran(1, 0.0, said, said)) is ServiceState.UNKNOWN


# --- processes ------------------------------------------------------------------------------


def test_our_own_line_is_never_ended() -> None:
    own = observe_process(os.getpid())
    assert own is not None
    assert {1, os.getpid(), os.getppid()} <= own_line()
    assert end_processes([own], {own}, 0.1, CLOCK)[0].ending is Ending.PROTECTED


def test_a_process_may_have_any_name(tmp_path: Path) -> None:
    odd = tmp_path / "a) 1 (b"
    odd.symlink_to(sys.executable)
    child = subprocess.Popen([str(odd), "-c", "import time; time.sleep(60)"])
    try:
        seen = observe_process(child.pid)
        assert seen is not None
        assert end_processes([seen], {seen}, 5.0, CLOCK)[0].ending is Ending.ENDED
        later = Process(seen.pid, seen.start_ticks + 1)
        assert end_processes([later], {later}, 5.0, CLOCK)[0].ending is Ending.GONE
    finally:
        child.kill()
        child.wait()


# --- the marker -----------------------------------------------------------------------------


def test_the_marker_follows_no_link(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / ".zr").symlink_to(outside)
    assert not write_marker(str(inside), "2/a")
    assert list(outside.iterdir()) == []
    (inside / ".zr").unlink()
    assert write_marker(str(inside), "2/a")
    victim = outside / "victim"
    victim.write_text("old")
    (inside / ".zr" / "epoch.new").symlink_to(victim)
    (inside / ".zr" / "epoch").unlink()
    (inside / ".zr" / "epoch").symlink_to(victim)
    assert write_marker(str(inside), "3/b")
    assert (inside / ".zr" / "epoch").read_text() == "3/b"
    assert victim.read_text() == "old"


# --- frames ---------------------------------------------------------------------------------


def test_frames_are_those_of_the_standards() -> None:
    """Composed by hand from RFC 826, 5227, 4861, 4862."""
    assert render_probe(V4, MINE).hex() == (
        "ffffffffffff0200000000010806" + "0001080006040001"
        "020000000001" + "00000000" + "000000000000" + "0a000032"
    )
    request, reply = render_announcements(V4, MINE)
    assert (
        request.hex()[28:] == "0001080006040001" + "0200000000010a000032" + "0000000000000a000032"
    )
    assert reply.hex()[28:] == "0001080006040002" + "0200000000010a000032" + "ffffffffffff0a000032"
    probe = render_probe(V6, MINE)
    assert probe[:14].hex() == "3333ff00005002000000000186dd"
    assert probe[14:22].hex() == "60000000" + "0018" + "3aff"
    assert probe[22:38] == bytes(16)
    assert probe[38:54] == ipaddress.ip_address("ff02::1:ff00:50").packed
    assert (probe[54], probe[62:78]) == (135, V6.packed)
    (advertisement,) = render_announcements(V6, MINE)
    assert (advertisement[54], advertisement[58]) == (136, 0x20)
    assert advertisement[78:] == b"\x02\x01" + MINE


@pytest.mark.parametrize("ip", [V4, V6])
def test_checksums_are_right(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    for frame in [render_probe(ip, MINE), *render_announcements(ip, MINE)]:
        if frame[12:14] == b"\x86\xdd":
            pseudo = frame[22:54] + (len(frame) - 54).to_bytes(4, "big") + b"\0\0\0\x3a"
            words = pseudo + frame[54:]
            total = sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
            assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@pytest.mark.parametrize("ip", [V4, V6])
def test_who_claims_the_address(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    another = ip + 1
    for frame in [render_probe(ip, OTHER), *render_announcements(ip, OTHER)]:
        claim = parse_claim(frame, ip, MINE)
        assert claim is not None
        assert claim.mac == OTHER
    for frame in [render_probe(ip, MINE), *render_announcements(ip, MINE)]:
        assert parse_claim(frame, ip, MINE) is None  # our own, come back
    for frame in [render_probe(another, OTHER), *render_announcements(another, OTHER)]:
        assert parse_claim(frame, ip, MINE) is None
        for length in range(0, 40, 3):
            assert parse_claim(frame[:length], another, MINE) is None
