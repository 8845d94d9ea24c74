"""What the host worker serves: everything that a change of roles does on this machine."""

from collections.abc import Callable

from zrepl_py.adapters.hosting.machine import MachineHost
from zrepl_py.adapters.zfs.tree import CommandDatasets
from zrepl_py.adapters.zfs.tree_lzc import LzcDatasets
from zrepl_py.model.host import Hosting
from zrepl_py.ports.clock import ClockPort


class CommandMachine(MachineHost, CommandDatasets):
    """HostPort and DatasetPort of the machine that this process runs on, as root; ZFS through its
    commands."""

    def __init__(self, clock: ClockPort, settings: Callable[[str], Hosting | None]) -> None:
        """`settings`: see MachineHost."""
        MachineHost.__init__(self, clock, settings)
        CommandDatasets.__init__(self)


class RolesMachine(CommandMachine, LzcDatasets):
    """The same; what can be is done through libzfs_core."""
