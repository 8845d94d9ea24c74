"""The lab: two real OpenZFS nodes, alpha and beta, as User-Mode Linux processes.

Each node is a Linux kernel that runs as an ordinary process, with real `zfs.ko`, a real
pool of three disks (`tank` on alpha, `back` on beta; raidz1) and Debian 13's user
space. `kill -9` of that process is a power failure. Both are up in under a second.

For people (as root; `--name X` before or after the verb picks one of several instances):

    python -m tests.lab build                 # once; kernel, modules, image from packages
    python -m tests.lab up [--init systemd]   # boots both, leaves them running
    python -m tests.lab status
    python -m tests.lab run alpha -- zfs list
    python -m tests.lab shell beta
    python -m tests.lab crash beta; python -m tests.lab boot beta
    python -m tests.lab freeze|thaw|shutdown|reboot|console|refresh NODE
    python -m tests.lab cut [NODE]; … degrade --delay 50 --loss 1 --rate 10mbit; … heal
    python -m tests.lab pull alpha 2; … plug alpha 2      # a disk vanishes, and is back
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

In a node: the working tree is at /zr (read-only); a copy of the product is made at boot
(`refresh` makes it again) and `zr`, /opt/zr/bin/zr and /opt/zr/bin/python run from it,
with the PyPI dependencies that pyproject.toml names and the system's libzfs_core.
The users `zr` and `zr-recv` exist; `zinject` is there. alpha is 10.77.0.1, beta
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
