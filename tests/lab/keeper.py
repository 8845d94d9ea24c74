"""The first process of a node's pid namespace: starts the kernel, reaps, keeps records.

User-Mode Linux is one main process and many helpers. As PID 1 of their namespace the
keeper is the one process to kill: the host kernel then ends them all at once, which
is what a power failure does. Run as a script by node.py, with no imports of the lab.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path


def watch_leash() -> None:
    """Standard input is held open by the owner: when the owner dies, so does the node."""
    while os.read(0, 4096):
        pass
    os._exit(3)


def main(folder: Path, leashed: bool, argv: list[str]) -> None:
    # /proc is the host's, so this is the pid the host sees.
    pid = int(os.readlink("/proc/self"))
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = {"pid": pid, "started": int(started), "boot": boot}
    (folder / "keeper.new").write_text(json.dumps(record))
    (folder / "keeper.new").rename(folder / "keeper.json")
    with (folder / "console.log").open("wb") as console:
        kernel = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd=folder
        )
    if leashed:
        threading.Thread(target=watch_leash, daemon=True).start()
    while True:
        ended, status = os.wait()
        if ended == kernel.pid:
            (folder / "exit").write_text(str(os.waitstatus_to_exitcode(status)))
            os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "leashed", sys.argv[3:])
