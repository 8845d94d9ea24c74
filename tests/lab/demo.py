"""`make demo`: the story on two real nodes. Every line is printed when it has truly happened."""

from __future__ import annotations

import hashlib
import os
import sys
import time

from . import Lab
from .contents import guids
from .site import Site

AUDIO = "tank/audio"
COPY = "back/zr/alpha/tank/audio"
FILE = "/tank/audio/interview.wav"
PIECE_BYTES = 2_000_000
STARTED = time.monotonic()


def say(text: str) -> None:
    """One line, with the seconds since the start."""
    print(f"{time.monotonic() - STARTED:7.1f} s  {text}", flush=True)


def main() -> None:
    """Tell the story."""
    say("Booting alpha and beta: two Linux kernels with real OpenZFS, three disks each …")
    with Lab.up(name="demo", init="bare") as lab:
        site = Site(lab)
        version = lab.alpha.run(["zfs", "version"]).text.splitlines()[-1]
        say(f"alpha (pool tank) and beta (pool back) are up: {version}")
        lab.alpha.sh(f"zfs create {AUDIO}")
        site.init()
        site.protect([f"{AUDIO}/**"], every="2s")
        site.start()
        say("zr runs on both: a snapshot every 2 s, streamed to beta over TLS")
        digests = record(site)
        restore(site, digests)
        crash(site)
    say("That was all real. Next: README.md, “Protect two machines of your own”.")


def record(site: Site) -> list[tuple[str, str]]:
    """Record in pieces; returns (time, digest of the file so far) of each piece."""
    pieces: list[tuple[str, str]] = []
    content = b""
    for number in range(1, 5):
        content += os.urandom(PIECE_BYTES)
        site.lab.alpha.put(FILE, content)
        digest = hashlib.sha256(content).hexdigest()
        site.settle()
        at = site.lab.alpha.sh("date -u +%Y-%m-%dT%H:%M:%SZ").text.strip()
        newest = list(guids(site.lab.beta, COPY))[-1]
        say(f"interview.wav, piece {number} recorded ({len(content) >> 10} KiB); beta has {newest}")
        pieces.append((at, digest))
        time.sleep(2.5)
    print()
    print(site.lab.alpha.run(["zr", "status"]).text)
    return pieces


def restore(site: Site, pieces: list[tuple[str, str]]) -> None:
    """Delete the file, get it back as it was, prove it."""
    alpha = site.lab.alpha
    alpha.sh(f"rm {FILE}; test ! -e {FILE}")
    say("interview.wav is deleted on alpha. A snapshot follows, so the deletion is on beta too:")
    site.settle()
    at, digest = pieces[1]
    say(f"$ zr restore interview.wav@{at}")
    said = alpha.run(["zr", "restore", f"interview.wav@{at}"], cwd="/tank/audio").text
    print("\n".join("            " + line for line in said.splitlines()))
    found = hashlib.sha256(alpha.get(FILE)).hexdigest()
    if found != digest:
        sys.exit(f"the restored file differs: {found} instead of {digest}")
    say(f"It is what was recorded then, byte for byte (sha256 {found[:16]}…)")
    at, digest = pieces[-1]
    alpha.sh(f"rm {FILE}")
    alpha.run(["zr", "restore", f"interview.wav@{at}"], cwd="/tank/audio")
    found = hashlib.sha256(alpha.get(FILE)).hexdigest()
    if found != digest:
        sys.exit(f"the restored file differs: {found} instead of {digest}")
    say(f"… and whole again, as of {at} (sha256 {found[:16]}…)")
    site.settle()


def crash(site: Site) -> None:
    """Alpha dies in the middle of a write; the interview is read on beta."""
    alpha, beta = site.lab.alpha, site.lab.beta
    digest = hashlib.sha256(alpha.get(FILE)).hexdigest()
    alpha.start(["sh", "-c", "while :; do head -c 5M /dev/urandom >>/tank/audio/next.wav; done"])
    time.sleep(3)
    alpha.crash()
    say("alpha is dead: kill -9 in the middle of a write")
    newest = list(guids(beta, COPY))[-1]
    beta.sh(f"mkdir -p /mnt/look && mount -t zfs -o ro {COPY}@{newest} /mnt/look")
    listing = beta.sh("ls -l --time-style=full-iso /mnt/look").text
    found = beta.sh("sha256sum </mnt/look/interview.wav").text.split()[0]
    say(f"On beta, in {newest}:")
    print("\n".join("            " + line for line in listing.splitlines()[1:]))
    if found != digest:
        sys.exit(f"beta's interview differs: {found} instead of {digest}")
    say(f"The interview is there, byte for byte (sha256 {found[:16]}…)")


if __name__ == "__main__":
    main()
