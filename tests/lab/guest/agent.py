"""The lab's hand inside a node: what is asked for over the management link, done as root.

One TCP connection carries one request: a 4-byte length, a JSON header, `size` bytes
of payload; the answer has the same form. It listens on the management address only,
so it works while the link between the nodes is cut. Standard library only, and it
must never wait without a deadline: a hung command costs its own thread, no other.
"""

import contextlib
import fcntl
import json
import os
import pty
import pwd
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

Answer = tuple[dict[str, Any], bytes]
PORT = 7777
LOGS = Path("/run/zr-lab/processes")
PATH = "/opt/zr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

background: dict[int, "subprocess.Popen[bytes]"] = {}


def environment(request: dict[str, Any]) -> dict[str, str]:
    home = "/root" if request["user"] in (None, "root") else "/tmp"
    fresh = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": home, "USER": request["user"] or "root"}
    fresh["PYTHONPYCACHEPREFIX"] = "/var/cache/zr-lab/pycache"
    return fresh | (request["env"] or {})


def popen(request: dict[str, Any], **streams: Any) -> "subprocess.Popen[bytes]":
    as_user: dict[str, Any] = {}
    if request["user"]:
        entry = pwd.getpwnam(request["user"])
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
    return subprocess.Popen(
        request["argv"],
        env=environment(request),
        cwd=request["cwd"] or "/",
        start_new_session=True,
        **as_user,
        **streams,
    )


def signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def ping(request: dict[str, Any], payload: bytes) -> Answer:
    """Whether the boot is done; the agent answers earlier, so that a boot can be watched."""
    return {"up": Path("/run/zr-lab/up").exists()}, b""


def run(request: dict[str, Any], payload: bytes) -> Answer:
    """Run to the end; past the deadline the whole process group is killed."""
    pipe = subprocess.PIPE
    child = popen(request, stdin=pipe, stdout=pipe, stderr=pipe)
    timed_out = False
    try:
        out, err = child.communicate(payload, timeout=request["limit_seconds"])
    except subprocess.TimeoutExpired:
        timed_out = True
        signal_group(child.pid, signal.SIGKILL)
        try:
            out, err = child.communicate(timeout=2)
        except subprocess.TimeoutExpired as late:  # in the kernel, not killable
            out, err = late.output or b"", late.stderr or b""
    header = {"returncode": child.poll(), "timed_out": timed_out, "stdout": len(out)}
    return header, out + err


def start(request: dict[str, Any], payload: bytes) -> Answer:
    LOGS.mkdir(parents=True, exist_ok=True)
    number = len(list(LOGS.iterdir()))
    while True:  # two requests may arrive at once
        try:
            (folder := LOGS / str(number)).mkdir()
            break
        except FileExistsError:
            number += 1
    (folder / "in").write_bytes(payload)
    with (
        (folder / "in").open("rb") as stdin,
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
    ):
        child = popen(request, stdin=stdin, stdout=out, stderr=err)
    background[number] = child
    return {"id": number, "pid": child.pid}, b""


def poll(request: dict[str, Any], payload: bytes) -> Answer:
    child = background[request["id"]]
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(request["wait_seconds"])
    return {"returncode": child.returncode}, b""


def send_signal(request: dict[str, Any], payload: bytes) -> Answer:
    child = background[request["id"]]
    if child.poll() is None:
        if request["group"]:
            signal_group(child.pid, request["number"])
        else:
            child.send_signal(request["number"])
    return {}, b""


def output(request: dict[str, Any], payload: bytes) -> Answer:
    with (LOGS / str(request["id"]) / request["stream"]).open("rb") as file:
        file.seek(request["offset"])
        return {}, file.read()


def put(request: dict[str, Any], payload: bytes) -> Answer:
    path = Path(request["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".lab-new")
    fresh.write_bytes(payload)
    fresh.chmod(request["mode"])
    fresh.replace(path)
    return {}, b""


def get(request: dict[str, Any], payload: bytes) -> Answer:
    return {}, Path(request["path"]).read_bytes()


def clock(request: dict[str, Any], payload: bytes) -> Answer:
    """Read the clock, after stepping it by `step_seconds`."""
    if request["step_seconds"]:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + request["step_seconds"])
    return {"now": time.time()}, b""


def halt(request: dict[str, Any], payload: bytes) -> Answer:
    bare = not Path("/run/systemd/system").is_dir()
    how = ["/zr/tests/lab/guest/halt"] if bare else ["systemctl", "poweroff", "--no-block"]
    subprocess.Popen(how, start_new_session=True)
    return {}, b""


def terminal(connection: socket.socket, request: dict[str, Any]) -> None:
    """A shell on a pseudo-terminal; from here on the connection carries raw bytes."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir("/root")
        os.execvpe(request["argv"][0], request["argv"], environment(request))
    size = struct.pack("HHHH", request["rows"], request["columns"], 0, 0)
    fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    remote = connection.fileno()
    with contextlib.suppress(OSError):
        while True:
            for ready in select.select([remote, master], [], [])[0]:
                if not (chunk := os.read(ready, 65536)):
                    raise OSError("closed")
                if ready == master:
                    connection.sendall(chunk)
                else:
                    os.write(master, chunk)
    os.close(master)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
    os.waitpid(pid, 0)


VERBS = {
    "ping": ping,
    "run": run,
    "start": start,
    "poll": poll,
    "signal": send_signal,
    "output": output,
    "put": put,
    "get": get,
    "clock": clock,
    "halt": halt,
}


def read_exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        if not (chunk := connection.recv(min(1 << 20, size - len(received)))):
            raise ConnectionError("the request ended early")
        received += chunk
    return bytes(received)


def serve(connection: socket.socket) -> None:
    with connection:
        connection.settimeout(60)  # for a request that stops half-way
        (length,) = struct.unpack("!I", read_exactly(connection, 4))
        request = json.loads(read_exactly(connection, length))
        payload = read_exactly(connection, request["size"])
        if request["verb"] == "terminal":
            connection.settimeout(None)
            return terminal(connection, request)
        try:
            header, answer = VERBS[request["verb"]](request, payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            header, answer = {"error": f"{type(error).__name__}: {error}"}, b""
        text = json.dumps(header | {"size": len(answer)}).encode()
        connection.sendall(struct.pack("!I", len(text)) + text + answer)
    return None


def main(address: str) -> None:
    listener = socket.create_server((address, PORT), backlog=128)
    print("zr-lab: the agent listens", file=sys.stderr, flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
