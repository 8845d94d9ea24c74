"""States that an earlier version of zr left: what its upgrade begins with.

`python -m tests.lab.recorded VERSION` makes one with the code of this checkout: both nodes do real
work, are crashed, and their data disks (whole pools), /etc/zr and /var/lib/zr go to
tests/lab/recorded/VERSION/, and the code itself, for those who talk with that version. It is
recorded once per version and never again.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import zstandard

from . import images
from .lab import Lab
from .layout import REPOSITORY
from .node import Node
from .site import Site

RECORDED = Path(__file__).parent / "recorded"
KEPT = "/etc/zr /var/lib/zr"
DISK_BYTES = 64 << 20  # the smallest that ZFS takes
DISKS = 3


def record(version: str) -> None:
    """A receipt, a child, a volume, and a stream that was cut in its middle; then no power."""
    folder = RECORDED / version
    folder.mkdir(parents=True)
    with Lab.up(name="recorded", disk_bytes=DISK_BYTES, disks=DISKS) as lab:
        site = Site(lab)
        site.init()
        lab.alpha.sh(
            "zfs create tank/audio; zfs create tank/audio/child; zfs create -V 1M tank/audio/v\n"
            "for each in 1 2 3; do echo $each >>/tank/audio/interview.wav; done"
        )
        site.protect(["tank/audio/**"], every="1h")
        site.start()
        site.settle()
        lab.alpha.sh("echo 4 >>/tank/audio/interview.wav; echo child >/tank/audio/child/f")
        issued = lab.alpha.run(["zr", "sync", "--json"]).text
        lab.degrade(rate="1mbit")
        lab.alpha.sh("dd if=/dev/urandom of=/tank/audio/large bs=64K count=12 status=none")
        lab.alpha.run(["zr", "snapshot"])
        replica = "back/zr/alpha/tank/audio"
        token = f"zfs get -Ho value receive_resume_token {replica}"
        time.sleep(4)  # of some seven that it takes
        lab.cut()
        site.wait(lambda: lab.beta.sh(token).text.strip() != "-", "a resume token")
        (folder / "receipt.json").write_text(json.dumps(json.loads(issued), indent=1) + "\n")
        for node in lab.nodes.values():
            node.sh("sync; zpool sync")
            (folder / f"{node.name}.files.tar").write_bytes(_packed(node))
        lab.crash()
        argv = ["git", "archive", "HEAD", "zrepl_py"]
        code = subprocess.run(argv, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout
        (folder / "code.tar.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(code))
        for name in lab.nodes:
            _pack_disks(lab, name, folder / f"{name}.disks.zst")


def _packed(node: Node) -> bytes:
    node.sh(f"tar --numeric-owner -cf /tmp/kept.tar {KEPT}")
    return bytes(node.get("/tmp/kept.tar"))


def _pack_disks(lab: Lab, node: str, path: Path) -> None:
    """All disks one after the other; three disks repeat much, so the window spans them."""
    numbers = range(1, DISKS + 1)
    whole = b"".join(images.data_disk(lab.instance, node, n).read_bytes() for n in numbers)
    wide = zstandard.ZstdCompressionParameters.from_level(19, window_log=27, enable_ldm=True)
    path.write_bytes(zstandard.ZstdCompressor(compression_params=wide).compress(whole))


def up(name: str, version: str) -> Lab:
    """Both nodes with the pools and files of that version; today's code."""
    folder = RECORDED / version
    lab = Lab.up(name=name, disk_bytes=DISK_BYTES, disks=DISKS, boot=False)
    try:
        for node in lab.nodes:
            opener = zstandard.ZstdDecompressor(max_window_size=1 << 27)
            whole = io.BytesIO(opener.decompress((folder / f"{node}.disks.zst").read_bytes()))
            for number in range(1, DISKS + 1):
                images.data_disk(lab.instance, node, number).write_bytes(whole.read(DISK_BYTES))
        lab.boot()
        for each in lab.nodes.values():
            each.put("/tmp/kept.tar", (folder / f"{each.name}.files.tar").read_bytes())
            each.sh("rm -rf /etc/zr /var/lib/zr; tar --numeric-owner -xpf /tmp/kept.tar -C /")
    except BaseException:
        lab.down()
        raise
    return lab


def recorded_files(version: str, node: str) -> dict[str, bytes]:
    """{path: content} of /etc/zr and /var/lib/zr of one node."""
    found = {}
    with tarfile.open(RECORDED / version / f"{node}.files.tar") as tar:
        for member in tar:
            if member.isfile() and (content := tar.extractfile(member)) is not None:
                found[f"/{member.name}"] = content.read()
    return found


if __name__ == "__main__":
    record(sys.argv[1])
