"""Is every common snapshot the same on both sides, by content? Each is read once, and at the end.

File systems are mounted read-only and read whole (contents.py); the encrypted replica's key is
loaded for that and unloaded again; volumes are decoded from full streams (soak_stream.py).
"""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .contents import Content, look
from .errors import CommandFailed, LabError
from .node import Node
from .soak_world import KEY_FILE, Pair, World

DECODER = Path(__file__).with_name("soak_stream.py").read_text()
Seen = dict[str, dict[str, int]]
"""Dataset → (snapshot's name → guid), oldest first."""


@dataclass
class Comparer:
    """Remembers what was compared, how much, and what differed."""

    world: World
    compared: set[tuple[str, int]] = field(default_factory=set)
    """(dataset, guid)"""
    size_bytes: int = 0
    differences: list[str] = field(default_factory=list)

    def check_decoder(self) -> None:
        """Before anything runs: the stream's decoder sees what alpha's device shows."""
        alpha = self.world.lab.alpha
        for pair in (pair for pair in self.world.pairs if pair.volume):
            device = self.world.device(pair.dataset)
            alpha.sh(
                f"dd if=/dev/urandom of={device} bs=3000 count=50 seek=7 status=none conv=fsync;"
                f"zfs snapshot '{pair.dataset}@look'"
            )
            snapshot = f"{pair.dataset}@look"
            found = decode_volumes(alpha, [snapshot, device])
            alpha.run(["zfs", "destroy", snapshot])
            if found[snapshot][2] != found[device][2] or found[snapshot][1] < 100_000:
                raise LabError(f"the stream's decoder does not see what {device} holds: {found}")

    def compare_new(self, *, again: bool = False) -> int:
        """Compare what was not compared yet, or everything; returns how many snapshots."""
        deadline = time.monotonic() + 240
        while True:
            mine, theirs = observe_both(self.world)
            todo = {pair: self._todo(pair, mine, theirs, again=again) for pair in self.world.pairs}
            try:
                return self._compare(todo, mine)
            except CommandFailed as error:
                # Retention may have taken one away meanwhile; anything else will fail again.
                gone = self._vanished(todo, observe(self.world.lab.alpha)) or self._vanished(
                    todo, observe(self.world.lab.beta), replica=True
                )
                if not gone or time.monotonic() > deadline:
                    self.differences.append(f"a snapshot cannot be read whole: {error}")
                    return 0

    def _todo(self, pair: Pair, mine: Seen, theirs: Seen, *, again: bool) -> list[str]:
        there = theirs.get(pair.replica, {})
        common = {n: g for n, g in mine.get(pair.dataset, {}).items() if there.get(n) == g}
        return [n for n, g in common.items() if again or (pair.dataset, g) not in self.compared]

    def _vanished(self, todo: dict[Pair, list[str]], now: Seen, *, replica: bool = False) -> bool:
        return any(
            name not in now.get(pair.replica if replica else pair.dataset, {})
            for pair, names in todo.items()
            for name in names
        )

    def _compare(self, todo: dict[Pair, list[str]], mine: Seen) -> int:
        wanted = [(pair, name) for pair, names in todo.items() for name in names]
        if not wanted:
            return 0
        beta = self.world.lab.beta
        with ThreadPoolExecutor(2) as sides, unlocked(beta, [pair for pair, _ in wanted]):
            here = sides.submit(
                contents_of, self.world.lab.alpha, [(f"{p.dataset}@{n}", p) for p, n in wanted]
            )
            there = sides.submit(contents_of, beta, [(f"{p.replica}@{n}", p) for p, n in wanted])
            source, replica = here.result(), there.result()
        for pair, name in wanted:
            a, b = source[f"{pair.dataset}@{name}"], replica[f"{pair.replica}@{name}"]
            self.size_bytes += a.size_bytes
            self.compared.add((pair.dataset, mine[pair.dataset][name]))
            if a != b:
                self.differences.append(f"{pair.dataset}@{name}: {a} on alpha, {b} on beta")
        return len(wanted)


def contents_of(node: Node, wanted: list[tuple[str, Pair]]) -> dict[str, Content]:
    """Snapshot → what it holds."""
    found = look(node, [name for name, pair in wanted if not pair.volume])
    volumes = decode_volumes(node, [name for name, pair in wanted if pair.volume])
    return found | {n: Content(digest, 0, size) for n, (digest, size, _) in volumes.items()}


def decode_volumes(node: Node, snapshots: list[str]) -> dict[str, tuple[str, int, str]]:
    """See soak_stream.py."""
    if not snapshots:
        return {}
    argv = ["python3", "-c", DECODER]
    said = node.run(argv, stdin=json.dumps(snapshots).encode(), timeout_seconds=300).text
    return {name: (values[0], values[1], values[2]) for name, values in json.loads(said).items()}


@contextlib.contextmanager
def unlocked(beta: Node, pairs: list[Pair]):  # type: ignore[no-untyped-def]
    """The keys of encrypted replicas are loaded meanwhile."""
    replicas = sorted({pair.replica for pair in pairs if pair.encrypted})
    for replica in replicas:
        beta.run(["zfs", "load-key", "-L", f"file://{KEY_FILE}", replica])
    try:
        yield
    finally:
        for replica in replicas:
            unload(beta, replica)


def unload(beta: Node, replica: str) -> None:
    """A snapshot that was mounted a moment ago keeps the key busy for a while."""
    deadline = time.monotonic() + 20
    while beta.run(["zfs", "unload-key", replica], check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise LabError(f"the key of {replica} cannot be unloaded")
        time.sleep(0.2)


def observe_both(world: World) -> tuple[Seen, Seen]:
    """All snapshots of alpha, and of beta."""
    with ThreadPoolExecutor(2) as sides:
        here = sides.submit(observe, world.lab.alpha)
        there = sides.submit(observe, world.lab.beta)
        return here.result(), there.result()


def observe(node: Node) -> Seen:
    """All snapshots of a node's pool."""
    argv = ["zfs", "list", "-Hp", "-r", "-t", "snapshot", "-o", "name,guid", "-s", "createtxg"]
    seen: Seen = {}
    for line in node.run([*argv, node.pool]).stdout.decode().splitlines():
        name, guid = line.split("\t")
        dataset, _, snapshot = name.rpartition("@")
        seen.setdefault(dataset, {})[snapshot] = int(guid)
    return seen
