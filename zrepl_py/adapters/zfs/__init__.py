"""Adapters of ports/zfs.py: LzcZfs (libzfs_core) and CommandZfs (the `zfs` and `zpool` commands).

Both share the channel programs (*.lua), the parsers, and the listing verbs.
"""

from zrepl_py.errors import Refused
from zrepl_py.ports.zfs import ZfsPort

ADAPTERS = ("libzfs_core", "command")


def open_zfs(adapter: str) -> ZfsPort:
    """The adapter with this name. Errors: Standing(module-missing), Refused(bad-adapter)."""
    # Imported here, so that the package can be read on a machine without libzfs_core.
    if adapter == "libzfs_core":
        from zrepl_py.adapters.zfs.lzc import LzcZfs

        return LzcZfs()
    if adapter == "command":
        from zrepl_py.adapters.zfs.command import CommandZfs

        return CommandZfs()
    raise Refused(
        "bad-adapter",
        f"There is no ZFS adapter {adapter!r}.",
        f"Choose one of: {', '.join(ADAPTERS)}.",
    )
