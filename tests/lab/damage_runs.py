"""`python -m tests.lab.damage_runs --runs 50`: is every damage found, and named?

One copy, several datasets; each run ruins one block of one file or volume on beta beyond
redundancy, makes sure that a plain read fails, lets alpha verify, and wants that very path and
piece named, and nothing else. At the end, with all bytes back in their places, all is equal.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from typing import Any

from zrepl_py.model.proof import PIECE_BYTES

from . import Lab
from .damage import Block, blocks_of, forget, reads, repair, ruin
from .node import Node
from .site import Site

FILES = 12
BUILD = """
zfs create tank/a; zfs create -o recordsize=16K tank/b; echo 12345678 >/root/pass
zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/pass tank/c
zfs create -V 24M tank/vm
udevadm settle; dd if=/dev/urandom of=/dev/zvol/tank/vm bs=1M count=20 conv=fsync status=none
for d in a b c; do mkdir "/tank/$d/some folder"; for n in $(seq {files}); do
head -c $((n * 190001)) /dev/urandom >"/tank/$d/some folder/f$n"; done; done
"""
REPLICAS = "back/zr/alpha"


def newest(node: Node, dataset: str) -> str:
    """Its newest snapshot, whole name."""
    argv = ["zfs", "list", "-Ht", "snapshot", "-o", "name", "-s", "createtxg", "-d1", dataset]
    return node.run(argv).text.splitlines()[-1]


def verify(alpha: Node) -> tuple[int, dict[str, dict[str, Any]]]:
    """(exit code, dataset → what came of its copy)."""
    argv = ["zr", "verify", "--json"]
    done = alpha.run(argv, check=False, timeout_seconds=300)
    return done.returncode, {c["dataset"]: c for c in json.loads(done.text)["copies"]}


def choose(beta: Node, alpha: Node, chance: random.Random) -> tuple[str, str, str, Block]:
    """(dataset, path, its replica's newest snapshot, one block of it)."""
    dataset = chance.choice(["tank/a", "tank/b", "tank/c", "tank/vm"])
    path, number = ".", 1
    if dataset != "tank/vm":
        path = f"some folder/f{chance.randint(1, FILES)}"
        number = int(alpha.run(["stat", "-c", "%i", f"/{dataset}/{path}"]).text)
        path = f"object-{number:015d}" if dataset == "tank/c" else path
    snapshot = newest(beta, f"{REPLICAS}/{dataset}")
    return dataset, path, snapshot, chance.choice(blocks_of(beta, snapshot, number))


def run_once(site: Site, chance: random.Random) -> tuple[str, list[str]]:
    """Whose block it was; what was wrong with the finding, nothing where all was right."""
    alpha, beta = site.lab.alpha, site.lab.beta
    dataset, path, snapshot, block = choose(beta, alpha, chance)
    spots = ruin(beta, block)
    if dataset not in ("tank/vm", "tank/c") and reads(beta, snapshot, path):
        return dataset, [f"{snapshot} {path} can still be read: the damage is none"]
    forget(beta)
    code, copies = verify(alpha)
    wrong = [] if code == 6 else [f"exit {code}"]
    for name, copy in copies.items():
        proof = copy["proof"] or {"verdict": copy["error"], "differences": []}
        found = [(d["path"], d["side"], d["offset"]) for d in proof["differences"]]
        at = block.offset // PIECE_BYTES * PIECE_BYTES
        wanted = [(path.replace(" ", "%20"), "target", at)] if name == dataset else []
        if found != wanted or proof["verdict"] != ("damaged" if wanted else "equal"):
            wrong.append(f"{name}: {proof['verdict']} {found}, wanted {wanted} ({block})")
    repair(beta, spots)
    return dataset, wrong


def main() -> int:
    """0 where every damage was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default="damage")
    options = parser.parse_args()
    chance, found = random.Random(options.seed), Counter[str]()
    with Lab.up(name=options.name) as lab:
        lab.alpha.sh(BUILD.format(files=FILES))
        site = Site(lab)
        site.init()
        site.protect(["tank/a", "tank/b", "tank/c", "tank/vm"], every="1h")
        site.start()
        site.settle()
        for number in range(1, options.runs + 1):
            dataset, wrong = run_once(site, chance)
            found[dataset] += not wrong
            for line in wrong:
                print(f"run {number}: {line}", flush=True)
            if number % 10 == 0:
                print(f"{number} runs, {found.total()} found", flush=True)
        code, copies = verify(lab.alpha)
        whole = code == 0 and all(c["proof"]["verdict"] == "equal" for c in copies.values())
    where = ", ".join(f"{dataset} {count}" for dataset, count in sorted(found.items()))
    print(
        f"damage: {options.runs} runs, {found.total()} found and named ({where}), "
        f"{'all equal' if whole else 'NOT equal'} at the end (seed {options.seed})"
    )
    return 0 if found.total() == options.runs and whole else 1


if __name__ == "__main__":
    sys.exit(main())
