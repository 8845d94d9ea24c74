"""Deliberate bugs in the model: does the comparison notice them?

`python -m tests.differential --mutant NAME` must fail. Each is a text in a module of the model, and
what stands there instead; a module that imports a changed one is loaded anew, too, so that the
model as it is stays beside it.
"""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import zrepl_py.testing

FOLDER = Path(zrepl_py.testing.__file__).parent
MODULES = (
    "model_zfs_state",
    "model_zfs_streams",
    "model_zfs_send",
    "model_zfs_receive",
    "model_zfs_keeps",
    "model_zfs",
)
"""In the order in which they import each other."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug of the model, and what real ZFS does."""

    module: str
    old: str
    new: str
    real: str
    sequence: int
    """The first sequence of seed 1 that notices it, so that a test need not search."""


MUTANTS = {
    "careless-destroy": Mutant(
        "model_zfs_keeps",
        '    if seen.tags:\n        return "held"\n',
        "",
        "a held snapshot stays",
        8,
    ),
    "any-txg": Mutant(
        "model_zfs",
        "self._dataset(dataset), name, txg)",
        "self._dataset(dataset), name, pool.sync())",
        "all snapshots of a call are of one txg",
        0,
    ),
    "unseen-write": Mutant(
        "model_zfs_state",
        "File(content, pool.txg, mode)}\n            found.changed_txg = pool.txg\n",
        "File(content, pool.txg, mode)}\n            found.changed_txg = pool.txg - 1\n",
        "a write() right before the call counts",
        1,
    ),
    "lenient-base": Mutant(
        "model_zfs_receive",
        "if target.changed_txg > base.createtxg or (",
        "if (",
        "a replica that was changed takes no increment",
        45,
    ),
    "forgetful-cut": Mutant(
        "model_zfs_receive",
        "            target.receiving = False\n",
        "            target.receiving = False\n            target.partial = None\n",
        "what arrived of a stream that was cut is kept",
        1,
    ),
    "wrong-guid": Mutant(
        "model_zfs_receive",
        "Version(name, begin.to_guid, txg",
        "Version(name, pools.new_guid(), txg",
        "a received snapshot has the guid of the one that was sent",
        0,
    ),
}


def mutated_pools(name: str) -> Callable[[], Any]:
    """A maker of model worlds with the bug in them; errors: KeyError, ValueError (fits no more)."""
    mutant = MUTANTS[name]
    prefix = f"mutant_{name.replace('-', '_')}_"
    for module in MODULES:
        text = (FOLDER / f"{module}.py").read_text()
        if module == mutant.module:
            if text.count(mutant.old) != 1:
                raise ValueError(f"{name}: {text.count(mutant.old)} places in {module}")
            text = text.replace(mutant.old, mutant.new)
        for other in MODULES:
            text = text.replace(
                f"from zrepl_py.testing.{other} import", f"from {prefix}{other} import"
            )
        _load(prefix + module, text)
    from .model_world import ModelWorld

    state, port = sys.modules[prefix + "model_zfs_state"], sys.modules[prefix + "model_zfs"]

    def make() -> Any:
        return ModelWorld(state.ModelPools({"tank": 1 << 40}), port.ModelZfs)

    return make


def _load(name: str, text: str) -> ModuleType:
    spec = importlib.util.spec_from_loader(name, loader=None)
    if spec is None:
        raise ValueError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(text, name, "exec"), module.__dict__)
    return module
