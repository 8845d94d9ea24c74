"""Runs inside the nodes: `python3 FILE VERB …`. Standard library only, but for `daemon`.

daemon   `zr daemon`, which also notes each step of a role before and after it is made, and each
         write of the role to the journal, in STEPS; a unit's drop-in starts it instead of zr's
desk     writes files into the group wherever it is mounted and writable, fsyncs each, notes its
         name, and calls `zr sync`: what was noted before is noted again when there is a receipt
sample   ten times a second: is a file system of the group writable here, is the address here
watch    waits for a step, then kills a unit's process if told so, and says which step it was
names    which of the desk's files there are: below mounted directories, or in snapshots
"""

import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEPS = "/var/lib/zr/role-steps"
NOTES = Path("/var/lib/chaos")
SAMPLES = "/run/chaos-samples"
TOPS = ("/tank/audio", "/tank/audio/news")
PLACES = ("tank/audio", "back/zr/alpha/tank/audio")
ADDRESS = "10.77.0.50"
CLONE_NEWNS, MS_RDONLY, MS_REC, MS_PRIVATE = 0x20000, 1, 0x4000, 1 << 18


def daemon() -> None:
    """Wraps what the turns perform; nothing else is changed."""
    from zrepl_py.cli.main import main
    from zrepl_py.daemon import role_desk, role_shipping
    from zrepl_py.engine import role_turn
    from zrepl_py.engine.role_rescue import render_outcome

    def note(state: object, step: str, phase: str) -> None:
        line = json.dumps({"at": time.time(), "state": str(state), "step": step, "phase": phase})
        with open(STEPS, "a") as file:
            file.write(line + "\n")

    def wrap(place: Any, name: str, word: Any) -> None:
        inner = getattr(place, name)

        def noting(node: Any, *rest: Any) -> Any:
            step = word(node, *rest)
            if not step:
                return (yield from inner(node, *rest))
            note(node.state, step, "in")
            result = yield from inner(node, *rest)
            note(node.state, step, "after")
            return result

        setattr(place, name, noting)

    wrap(role_turn, "perform_gate", lambda node, trees, step: str(step))
    wrap(role_turn, "perform_switch", lambda node, look, step: str(step))
    wrap(role_turn, "perform_rescue", lambda node, steps: render_outcome(steps))
    wrap(
        role_turn,
        "keep",
        lambda node, memory, *rest: "journal" if memory != node.memory else "",
    )
    wrap(role_shipping, "ship_rescue", lambda node, due: f"ship-rescue {due.order.member}")
    desk_class: Any = role_desk.RoleDesk
    receive = desk_class.receive_rescue

    def receiving(self: Any, *rest: Any) -> None:
        note("", "receive-rescue", "in")
        receive(self, *rest)
        note("", "receive-rescue", "after")

    desk_class.receive_rescue = receiving
    sys.argv = ["zr", "daemon"]
    main()


def mounted_writable() -> list[str]:
    """File systems of the group that are mounted here for writing."""
    found = []
    with open("/proc/self/mounts") as file:
        for line in file:
            source, _, kind, options = line.split()[:4]
            ours = source.startswith(PLACES) and "@" not in source
            if kind == "zfs" and ours and "rw" in options.split(","):
                found.append(source)
    return found


def sample() -> None:
    """One line each: time, how many are writable, whether the address is here."""
    with open(SAMPLES, "w", buffering=1) as file:
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((ADDRESS, 0))
                    here = 1
                except OSError:
                    here = 0
            file.write(f"{time.time():.3f} {len(mounted_writable())} {here}\n")
            time.sleep(0.1)


def note_names(file_name: str, names: list[str]) -> None:
    """Durably, on a disk that is not the pool's."""
    with (NOTES / file_name).open("a") as file:
        file.write("".join(f"{name}\n" for name in names))
        file.flush()
        os.fsync(file.fileno())


def content(name: str) -> bytes:
    """What a file of that name holds."""
    return (name + "\n").encode() * 100


def write_one(top: str, name: str) -> None:
    """Written, and fsynced with its directory; OSError where it is not to be written to."""
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if os.fstat(folder).st_dev == os.stat("/").st_dev:
            raise OSError(f"{top} is not mounted")
        with contextlib.suppress(FileExistsError):
            os.mkdir("desk", dir_fd=folder)
        desk = os.open("desk", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            file = os.open(name, flags, 0o644, dir_fd=desk)
            try:
                os.write(file, content(name))
                os.fsync(file)
            finally:
                os.close(file)
            os.fsync(desk)
        finally:
            os.close(desk)
        os.fsync(folder)
    finally:
        os.close(folder)


def desk() -> None:
    """Two lines of work: files, and receipts for those that were there before the call."""
    NOTES.mkdir(exist_ok=True)
    written: list[str] = []
    me = f"{socket.gethostname()}-{os.urandom(3).hex()}"

    def take_receipts() -> None:
        while True:
            time.sleep(3.0)
            # What was set aside meanwhile is not there any more, and is in no receipt.
            known = [
                name for name in written if os.path.exists(f"{TOPS[int(name[-1])]}/desk/{name}")
            ]
            if not known or len(mounted_writable()) < len(TOPS):
                continue
            said = subprocess.run(
                ["zr", "sync", "--json", "--timeout", "20"], capture_output=True, check=False
            )
            if said.returncode == 0 and json.loads(said.stdout)["receipts"]:
                note_names("receipted", known)
                done = set(known)
                written[:] = [name for name in written if name not in done]

    threading.Thread(target=take_receipts, daemon=True).start()
    for number in itertools.count():
        time.sleep(0.3)
        if len(mounted_writable()) < len(TOPS):
            continue
        name, which = f"{me}-{number:05d}", number % len(TOPS)
        try:
            write_one(TOPS[which], f"{name}-{which}")
        except OSError:
            continue
        note_names("fsynced", [f"{name}-{which}"])
        written.append(f"{name}-{which}")


def main_pid(unit: str) -> int:
    """0: it has none now."""
    argv = ["systemctl", "show", "-p", "MainPID", "--value", unit]
    return int(subprocess.run(argv, capture_output=True, check=True, text=True).stdout or 0)


def follow(path: str, since: float, seconds: float) -> Iterator[dict[str, Any]]:
    """Lines that were noted since then, as they come."""
    deadline, rest = time.monotonic() + seconds, b""
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.02)
    with open(path, "rb") as file:
        while time.monotonic() < deadline:
            piece = file.read()
            if not piece:
                time.sleep(0.004)
                continue
            *lines, rest = (rest + piece).split(b"\n")
            for text in lines:
                with contextlib.suppress(ValueError):  # cut off by a crash
                    line = json.loads(text)
                    if line["at"] >= since:
                        yield line


def watch(order: dict[str, Any]) -> None:
    """`order`: since, seconds, step, count, phase, delay, unit. Prints the step, or null."""
    seen, hit = 0, None
    pid = main_pid(order["unit"]) if order["unit"] else 0
    for line in follow(STEPS, order["since"], order["seconds"]):
        if line["phase"] != order["phase"] or line["step"] == "wait":
            continue
        seen += order["step"] in ("", head(line["step"]))
        if seen >= order["count"]:
            hit = line
            break
    time.sleep(order["delay"])
    if order["unit"]:
        if not pid or not os.path.exists(f"/proc/{pid}"):
            pid = main_pid(order["unit"])
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)
    json.dump({"hit": hit, "killed": pid}, sys.stdout)


def head(step: str) -> str:
    """`align: MoveAside tank/audio` → `align`; `MoveAside tank/audio` → `MoveAside`."""
    return step.partition(" ")[0].rstrip(":")


def names(places: list[str], whole: list[str]) -> None:
    """Place → names of the desk's files in it, of a directory or (with @) a snapshot; those in
    `whole` are read, and only named where they hold what they should."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "a mount namespace of its own")
    os.makedirs("/run/chaos-look", exist_ok=True)
    found, wanted = {}, set(whole)
    for place in places:
        top = place
        if "@" in place:
            top = "/run/chaos-look"
            if libc.mount(place.encode(), top.encode(), b"zfs", MS_RDONLY, None):
                found[place] = [f"cannot be mounted: {os.strerror(ctypes.get_errno())}"]
                continue
        folder = Path(top) / "desk"
        there = sorted(os.listdir(folder)) if folder.is_dir() else []
        found[place] = [
            name
            for name in there
            if name not in wanted or (folder / name).read_bytes() == content(name)
        ]
        if "@" in place:
            libc.umount2(top.encode(), 0)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    match sys.argv[1]:
        case "daemon":
            daemon()
        case "desk":
            desk()
        case "sample":
            sample()
        case "watch":
            watch(json.load(sys.stdin))
        case "names":
            names(**json.load(sys.stdin))
