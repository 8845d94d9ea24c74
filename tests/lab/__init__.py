"""The lab: two real OpenZFS nodes, alpha and beta, as User-Mode Linux processes.

Each node is a Linux kernel that runs as an ordinary process, with real `zfs.ko`, a real
pool of three disks (`tank` on alpha, `back` on beta; raidz1) and Debian 13's user
space. `kill -9` of that process is a power failure. On two cores both are up in 0.6 s,
with systemd in 3 s; a saved state is back in as much.

For people (as root; `--name X` before or after the verb picks one of several instances):

    python -m tests.lab build                 # once, 6 minutes: kernel, modules, image
    python -m tests.lab up [--init systemd]   # boots both, leaves them running
    python -m tests.lab list; python -m tests.lab status
    python -m tests.lab run alpha -- zfs list
    python -m tests.lab shell beta
    python -m tests.lab crash beta; python -m tests.lab boot beta
    python -m tests.lab freeze|thaw|shutdown|reboot|console|refresh NODE
    python -m tests.lab cut [NODE]; … degrade --delay 50 --loss 1 --rate 10mbit; … heal
    python -m tests.lab pull|stall alpha 2; … plug alpha 2    # a disk fails or hangs, and is back
    python -m tests.lab clock beta 3600                   # step its clock, only its own
    python -m tests.lab save NAME; … load NAME            # all disks; load crashes and boots
    python -m tests.lab down

For tests:

    from tests.lab import Lab
    with Lab.up(name="t1", init="bare") as lab:     # or Lab.attach("main")
        out = lab.alpha.run(["zfs", "list"])        # .stdout .stderr .returncode .text
        lab.alpha.sh("echo hi >/tank/f; zpool sync")
        daemon = lab.alpha.start(["zr", "daemon"])  # .poll() .wait() .kill() .output() …
        lab.beta.crash(); lab.beta.boot(); lab.cut(); lab.heal()
        lab.alpha.put("/etc/zr/x", b"…"); lab.alpha.get("/etc/zr/x")
        lab.save("s"); lab.load("s")
        lab.alpha.pull_disk(2); lab.alpha.plug_disk(2); lab.alpha.step_clock(3600)

`up` builds what is missing; let a test run begin with `build`, because a cold one takes
longer than pytest's time limit. An instance that a test made dies with the test's
process, also when that is killed; one from the command line stays until `down`.

In a node: the working tree is at /zr (read-only); a copy of the product is made at boot
(`refresh` makes it again) and `zr`, /opt/zr/bin/zr and /opt/zr/bin/python run from it,
with the PyPI dependencies that pyproject.toml names and the system's libzfs_core.
The users `zr` and `zr-recv` exist; `zinject` is there. With `init="systemd"` the units in
the tree's `systemd/` are installed where a package would put them. alpha is 10.77.0.1, beta
10.77.0.2, and the host is 10.77.0.254 (`hub`) through `lab.hub`.

Commands go over a link of their own, so they work while the data link is cut.
"""

from .command import Process, Result
from .errors import (
    BootFailed,
    BuildFailed,
    CommandFailed,
    CommandTimedOut,
    LabError,
    NodeUnreachable,
)
from .lab import Lab
from .node import Node

__all__ = [
    "BootFailed",
    "BuildFailed",
    "CommandFailed",
    "CommandTimedOut",
    "Lab",
    "LabError",
    "Node",
    "NodeUnreachable",
    "Process",
    "Result",
]
