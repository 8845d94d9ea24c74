"""Deliberate bugs, put into the nodes' copies of the product: does the soak notice?

`python -m tests.lab.soak --cycles 12 --mutant NAME` must fail. A soak that finds nothing proves
something only if it finds these.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .errors import LabError
from .node import Node

TREE = "/run/zr-lab/tree/zrepl_py"
REPLACE = """
import json, pathlib, sys
for path, old, new in json.load(sys.stdin):
    text = pathlib.Path(path).read_text()
    assert text.count(old) == 1, f"{text.count(old)} places in {path}"
    pathlib.Path(path).write_text(text.replace(old, new))
"""


@dataclass(frozen=True)
class Mutant:
    """One bug: (file, old text, new text), and what notices it."""

    edits: tuple[tuple[str, str, str], ...]
    noticed_as: str


MUTANTS = {
    "embedded": Mutant(
        (
            (
                "adapters/zfs/lzc_streams.py",
                'if raw else ["large_blocks", "compress"]',
                'if raw else ["large_blocks", "compress", "embedded_data"]',
            ),
            ("adapters/zfs/begin.py", "begin.features & EMBED_DATA:", "False:"),
            ("adapters/zfs/begin.py", "SA_SPILL | LZ4", "SA_SPILL | EMBED_DATA | LZ4"),
        ),
        "differs: long symlinks and compressible xattrs are lost, silently",
    ),
    "kept-hold": Mutant(
        (
            (
                "engine/lane.py",
                "yield from ask(ZfsPort.release, (join",
                "yield from () and ask(ZfsPort.release, (join",
            ),
        ),
        "leak: alpha's holds pile up",
    ),
    "kept-cursor": Mutant(
        (("engine/lane.py", "    if old:", "    if False:"),), "leak: alpha's cursors pile up"
    ),
    "gap": Mutant(
        (
            (
                "core/replication.py",
                "if to.guid in left_out:",
                "if to.guid in left_out or to is not pending[-1]:",
            ),
        ),
        "missing: what came between is never sent",
    ),
    "greedy": Mutant(
        (("core/retention.py", "len(own) - count", "len(own) - count // 8"),),
        "missing: retention takes what it should keep",
    ),
    "any-newest": Mutant(
        (
            (
                "core/diff.py",
                "return next((s for s in reversed(history.snapshots) if parse_tick(s.name)), None)",
                "return history.newest",
            ),
        ),
        "does not converge: a person's snapshot is taken for zr's newest",
    ),
    "stubborn": Mutant(
        (
            (
                "daemon/lanes.py",
                "state.view, state.error = None, error",
                "state.error = error",
            ),
        ),
        "needs a person: after an error, what is remembered is believed",
    ),
}


def mutate(node: Node, name: str) -> None:
    """After every boot, before the daemon starts."""
    order = [(f"{TREE}/{file}", old, new) for file, old, new in MUTANTS[name].edits]
    argv = ["python3", "-c", REPLACE]
    said = node.run(argv, stdin=json.dumps(order).encode(), check=False)
    if said.returncode != 0:
        raise LabError(f"the mutant {name} does not fit any more: {said.stderr.decode()[-300:]}")
