"""Deliberate bugs in production code that the simulator (or a named test) must kill.

A mutant is a replacement of text within one function; its compiled body is put in the place of the
function's own, so that every importer sees it. `python -m tests.simulation.mutants` prints who
killed which; exit 1 if one survives. A mutant whose text is no longer there fails: repair it.
"""

import argparse
import ast
import importlib
import inspect
import multiprocessing
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.simulation.mutant import Mutant
from tests.simulation.mutant_list import MUTANTS
from tests.simulation.role_scenario import draw_roles
from tests.simulation.role_site import RoleSite
from tests.simulation.scenario import draw_scenario
from tests.simulation.site import Report, Site

SEEDS = 100


@dataclass(frozen=True)
class Fate:
    """What became of a mutant."""

    mutant: Mutant
    killer: str
    """Who noticed; empty where it survived."""


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The production code with this bug in it."""
    module = importlib.import_module(mutant.module)
    target = _find(module, mutant.function)
    path = Path(inspect.getsourcefile(module) or "")
    text = path.read_text()
    node = _node(ast.parse(text), mutant.function)
    lines = text.splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    body = "".join(lines[first:last])
    if body.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text is {body.count(mutant.old)} times in {path}.")
    mutated = "".join(lines[:first]) + body.replace(mutant.old, mutant.new) + "".join(lines[last:])
    whole = compile(mutated, f"{path} with {mutant.name}", "exec", dont_inherit=True)
    original = target.__code__
    target.__code__ = _code(whole, mutant.function.split("."))
    try:
        yield
    finally:
        target.__code__ = original


def hunt(mutant: Mutant, seeds: int = SEEDS) -> Fate:
    """Plant it, and look who notices."""
    with planted(mutant):
        if mutant.test:
            return Fate(mutant, mutant.test if _test_fails(mutant.test) else "")
        for seed in range(seeds):
            try:
                report = _run(mutant, seed)
            except Exception as error:  # noqa: BLE001 - noticed, though not by a checker
                return Fate(mutant, f"seed {seed}, which breaks off: {error!r}")
            if not report.ok:
                return Fate(mutant, f"seed {seed}: {report.violations[0]}")
    return Fate(mutant, "")


def _run(mutant: Mutant, seed: int) -> Report:
    if mutant.roles:
        return RoleSite(draw_roles(seed)).run()
    return Site(draw_scenario(seed)).run()


def _test_fails(name: str) -> bool:
    module, _, function = name.partition("::")
    try:
        getattr(importlib.import_module(module), function)()
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - however it notices
        return True
    return False


def _find(module: types.ModuleType, qualified: str) -> types.FunctionType:
    found: object = module
    for part in qualified.split("."):
        found = getattr(found, part)
    found = inspect.unwrap(found) if callable(found) else found  # through lru_cache and its like
    assert isinstance(found, types.FunctionType)
    return found


def _node(tree: ast.Module, qualified: str) -> ast.FunctionDef:
    body: list[ast.stmt] = tree.body
    for part in qualified.split("."):
        found = next(
            n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part
        )
        body = found.body
    assert isinstance(found, ast.FunctionDef)
    return found


def _code(whole: types.CodeType, parts: list[str]) -> types.CodeType:
    inner = next(
        c for c in whole.co_consts if isinstance(c, types.CodeType) and c.co_name == parts[0]
    )
    return inner if len(parts) == 1 else _code(inner, parts[1:])


def main(say: Callable[[str], None] = print) -> int:
    """Exit 1 if a mutant survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.names or m.name in options.names]
    survivors = []
    with multiprocessing.Pool(maxtasksperchild=1) as pool:
        for fate in pool.imap(partial(hunt, seeds=options.seeds), chosen):
            name = fate.mutant.name
            if not fate.killer:
                survivors.append(name)
            say(f"{name:36} {'killed by ' + fate.killer[:150] if fate.killer else 'SURVIVES'}")
    say(f"{len(chosen)} mutants, {len(survivors)} survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
