"""A pool's vital signs from /proc: read without a fork, and without waiting for the pool."""

from zrepl_py.adapters.zfs.forks import check_device
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.errors import Standing

_ROOT = "/proc/spl/kstat/zfs"
_ENOENT_POOL = 18


def read_pool_state(pool: str) -> str:
    """`ONLINE`, `DEGRADED`, `SUSPENDED`, …; errors: pool-missing, module-missing."""
    return _read(pool, "state")


def is_suspended(pool: str) -> bool:
    """Whether the pool is there and suspended."""
    try:
        return read_pool_state(pool) == "SUSPENDED"
    except Standing:
        return False


def read_pool_guid(pool: str) -> int:
    """The pool's own guid (not that of its root dataset); errors: pool-missing."""
    return int(_read(pool, "guid"))


def read_kernel_version() -> str:
    """Version of the loaded module, `2.3.9-0+deb13u1`; empty where it cannot be told."""
    try:
        with open("/sys/module/zfs/version", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _read(pool: str, name: str) -> str:
    try:
        with open(f"{_ROOT}/{pool}/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        check_device()
        raise judge_errno("program", _ENOENT_POOL, pool) from None
