"""House rules that a person would otherwise have to remember."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "zrepl_py").rglob("*.py"))
EVERYTHING = [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
BANNED_WORDS = re.compile(r"manager|helper|utils|\bdata\b|\binfo\b")
CLOCKS = {("time", "time"), ("time", "monotonic"), ("time", "sleep"), ("datetime", "now")}
CLOCK_HOLDERS = {"adapters/clock.py"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_says_what_it_is_for(path: Path) -> None:
    tree = tree_of(path)
    assert not tree.body or ast.get_docstring(tree), "a module without a docstring"
    assert not BANNED_WORDS.search(path.stem), f"{path.stem} says nothing"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_reads_no_clock_outside_its_adapter(path: Path) -> None:
    if any(str(path).endswith(holder) for holder in CLOCK_HOLDERS) or "testing" in path.parts:
        return  # kits run on real pools, and wait for them
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in CLOCKS, f"line {node.lineno} reads a clock"


def words_of(path: Path) -> set[str]:
    return set(re.findall(r"`([a-z0-9-]+)`", path.read_text())) if path.exists() else set()


def test_every_event_is_documented_and_told() -> None:
    from zrepl_py.events import Event

    documented = words_of(ROOT / "docs/reference/events.md")
    assert {event.value for event in Event} <= documented
    told = "\n".join(p.read_text() for p in MODULES if p.name != "events.py")
    assert [e.name for e in Event if f"Event.{e.name}" not in told] == []


def reasons_raised() -> dict[str, str]:
    """Reason → where it is raised, from the syntax trees."""
    from zrepl_py.errors import KINDS

    found: dict[str, str] = {}
    for path in (p for p in MODULES if "testing" not in p.parts):
        for node in ast.walk(tree_of(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in KINDS
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found[str(node.args[0].value)] = f"{name_of(path)}:{node.lineno}"
    return found


def test_every_reason_is_documented() -> None:
    documented = words_of(ROOT / "docs/reference/errors.md")
    missing = {r: where for r, where in reasons_raised().items() if r not in documented}
    assert not missing


DESTROYING = re.compile(
    r"lzc_destroy\b|lzc_rollback|lzc_destroy_snaps|\bforce\s*=\s*True|['\"]rollback['\"]"
    r"|['\"]-F['\"]|zfs\.sync\.(destroy|rollback|promote)"
)
ALLOWED_DESTROYING = {
    # file → how often, and why it may
    "adapters/zfs/destroy_snapshots.lua": "snapshots by guid, in one txg with the comparison",
    "adapters/zfs/snapshot_changed.lua": "takes back what the same program made, in the same txg",
    "adapters/zfs/destroy_scratch.lua": "a restore's own scratch dataset, by its uuid",
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
