"""The conformance kit of ports/zfs.py: one function for each sentence of the contract.

The model passes it always (tests/conformance), the adapters pass it on real pools in the lab:
`python -m zrepl_py.testing.kits.zfs POOL ADAPTER [WORD]` as root in a node, where ADAPTER is `lzc`
or `command`, and WORD picks the checks whose names contain it.
"""

import inspect
import sys
import traceback
from types import ModuleType

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.testing.kits import (
    zfs_datasets,
    zfs_differences,
    zfs_observe,
    zfs_origins,
    zfs_partial,
    zfs_pins,
    zfs_snapshots,
    zfs_space,
    zfs_steady,
    zfs_streams,
)
from zrepl_py.testing.kits.zfs_site import Check, ZfsSite


def _checks_of(module: ModuleType) -> dict[str, Check]:
    members = inspect.getmembers(module, inspect.isfunction)
    return {
        name: member
        for name, member in members
        if name.startswith("check_") and member.__module__ == module.__name__
    }


CLOCK = MachineClock()
CHECKS: dict[str, Check] = {
    name: check
    for module in (
        zfs_snapshots,
        zfs_pins,
        zfs_streams,
        zfs_partial,
        zfs_origins,
        zfs_observe,
        zfs_space,
        zfs_steady,
        zfs_differences,
        zfs_datasets,
    )
    for name, check in _checks_of(module).items()
}


def run_checks(site: ZfsSite, word: str = "") -> tuple[int, int]:
    """Run them all, one line each on standard output; returns (passed, failed)."""
    passed = failed = 0
    for name, check in CHECKS.items():
        if word not in name:
            continue
        began = CLOCK.monotonic()
        try:
            check(site)
        except BaseException as error:
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc(file=sys.stdout)
            if isinstance(error, KeyboardInterrupt):
                raise
        else:
            passed += 1
            print(f"ok {name} {(CLOCK.monotonic() - began) * 1000:.0f} ms", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return passed, failed


def main(arguments: list[str]) -> int:
    """`POOL ADAPTER [WORD]` → exit code."""
    from zrepl_py.testing.kits.zfs_real_site import real_site

    if len(arguments) not in (2, 3) or arguments[1] not in ("lzc", "command"):
        print(__doc__)
        return 2
    pool, adapter, *word = arguments
    with real_site(pool, adapter) as site:
        failed = run_checks(site, *word)[1]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
