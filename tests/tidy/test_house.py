"""House rules that a person would otherwise have to remember."""

import ast
import re
from functools import cache
from pathlib import Path

from zrepl_py.events import Event

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "zrepl_py").rglob("*.py"))
EVERYTHING = [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
BANNED_WORDS = re.compile(r"manager|helper|utils|\bdata\b|\binfo\b")
CLOCKS = {("time", "time"), ("time", "monotonic"), ("time", "sleep"), ("datetime", "now")}
CLOCK_HOLDERS = {"adapters/clock.py"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_file_and_function_fits_in_the_head() -> None:
    """One test for all files: a test for each costs more than what it looks at."""
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in EVERYTHING}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}
    functions = {
        f"{name_of(path)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in EVERYTHING
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > MAX_FUNCTION_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    trees = {path: tree_of(path) for path in MODULES}
    silent = [p for p, tree in trees.items() if tree.body and not ast.get_docstring(tree)]
    assert [name_of(path) for path in silent] == []
    assert [name_of(path) for path in MODULES if BANNED_WORDS.search(path.stem)] == []


def test_no_clock_is_read_outside_its_adapter() -> None:
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if "testing" not in path.parts  # kits run on real pools, and wait for them
        and not any(str(path).endswith(holder) for holder in CLOCK_HOLDERS)
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in CLOCKS
    ]  # fmt: skip
    assert found == []


def test_every_event_is_told() -> None:
    told = "\n".join(p.read_text() for p in MODULES if p.name != "events.py")
    assert [e.name for e in Event if f"Event.{e.name}" not in told] == []


DESTROYING = re.compile(
    r"lzc_destroy\b|lzc_rollback|lzc_destroy_snaps|\bforce\s*=\s*True|['\"]rollback['\"]"
    r"|['\"]-F['\"]|zfs\.sync\.(destroy|rollback|promote)"
)
ALLOWED_DESTROYING = {
    # file → how often, and why it may
    "adapters/zfs/destroy_snapshots.lua": "snapshots by guid, in one txg with the comparison",
    "adapters/zfs/snapshot_changed.lua": "takes back what the same program made, in the same txg",
    "adapters/zfs/destroy_scratch.lua": "a restore's own scratch dataset, by its uuid",
    "adapters/zfs/destroy_rescue.lua": "what a person drops, by the dataset's guid and snapshot",
    "adapters/zfs/abort_receive.lua": "our own partial receive, by its token's guid",
}


def test_destroying_verbs_stand_only_where_they_may() -> None:
    """Never `receive -F`, never `rollback`, never a dataset: architecture.md, Destroying."""
    found = set()
    for path in sorted((ROOT / "zrepl_py").rglob("*")):
        if path.suffix in (".py", ".lua") and "testing" not in path.parts:
            code = "\n".join(
                line for line in path.read_text().splitlines()
                if not line.lstrip().startswith(("#", "--"))
            )  # fmt: skip
            if DESTROYING.search(code):
                found.add(str(path.relative_to(ROOT / "zrepl_py")))
    assert found <= ALLOWED_DESTROYING.keys()
