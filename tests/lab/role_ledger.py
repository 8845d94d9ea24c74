"""What was written to a group, what of it has a receipt, and where all of it is at the end.

The checker of every scenario: no file with a receipt is missing on the primary, and nothing that
was written is nowhere: it is on the primary, or in a rescue of one of the nodes.
"""

from __future__ import annotations

import hashlib
import json
import uuid

from .node import Node
from .roles_site import RolesSite
from .site import POOLS

FOLDER = "/tank/audio"
LIVE = "cd {folder} && find . -type f ! -path '*/.zr/*' ! -name log -exec sha256sum {{}} +"
RESCUED = """
mkdir -p /mnt/role-ledger
zfs list -Ho name -t filesystem -r {pool}/zr-rescue 2>/dev/null | while read name; do
    last=$(zfs list -Ho name -t snapshot -s createtxg -d1 "$name" | tail -n1)
    test -n "$last" || continue
    mount -t zfs -o ro "$last" /mnt/role-ledger
    (cd /mnt/role-ledger && find . -type f -exec sha256sum {{}} +)
    umount /mnt/role-ledger
done
"""


class Ledger:
    """Files of one group, by their content's digest."""

    def __init__(self, site: RolesSite) -> None:
        self.site = site
        self.written: dict[str, str] = {}
        """sha256 → path below FOLDER."""
        self.receipted: set[str] = set()
        self.receipts: list[str] = []

    def write(self, node: str, path: str) -> None:
        """One file as none was before, on the disk when this returns."""
        content = f"{path} of {node}, {uuid.uuid4()}\n".encode()
        there = self.site.lab.nodes[node]
        there.put(f"{FOLDER}/{path}", content)
        there.sh(f"sync -f {FOLDER}/{path}; zpool sync {POOLS[node]}")
        self.written[hashlib.sha256(content).hexdigest()] = path

    def sync(self, node: str) -> None:
        """A receipt for everything that was written so far."""
        said = self.site.zr(node, "sync", "--json", "--timeout", "180", timeout_seconds=210)
        for issued in json.loads(said.stdout)["receipts"]:
            self.receipts.append(issued["id"])
        self.receipted |= self.written.keys()

    def check(self, primary: str) -> None:
        """No receipted file missing, no byte destroyed (primary and rescues)."""
        lab = self.site.lab
        live = digests(lab.nodes[primary], LIVE.format(folder=FOLDER))
        rescued: set[str] = set()
        for node in lab.nodes.values():
            if node.is_running():
                rescued |= digests(node, RESCUED.format(pool=POOLS[node.name]))
        missing = sorted(self.written[digest] for digest in self.receipted - live)
        assert not missing, f"with a receipt, and not on {primary}: {missing}"
        nowhere = sorted(self.written[d] for d in self.written.keys() - live - rescued)
        assert not nowhere, f"neither on {primary} nor in a rescue: {nowhere}"
        for receipt in self.receipts:
            self.site.wait(
                lambda receipt=receipt: self.holds(primary, receipt),  # type: ignore[misc]
                f"{primary} knows that {receipt} holds",
            )

    def holds(self, node: str, receipt: str) -> bool:
        """What it says of a receipt; where its role has just changed, it looks anew first."""
        return "holds" in self.site.zr(node, "receipt", "verify", receipt, check=False).text


def digests(node: Node, script: str) -> set[str]:
    """Of every file that the script prints in sha256sum's form."""
    return {line.split()[0] for line in node.sh(script).text.splitlines() if line}
