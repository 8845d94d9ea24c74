"""The host port: the machine around the pools, as far as a change of roles must touch it.

Contract, for every verb:
- Datasets are whole names, all of one pool. What is not there is left out, never an error.
- A value says what was read back after the act. No exit code and no message decides anything.
- Services, and the address, are named by their group; what they are, and their commands, is read
  by whoever performs this from settings that belong to root. A caller cannot bring a command, a
  path, or an address of its own.
- Each verb has a deadline. What it cannot promise: looking into /proc can hang where a process
  hangs in a suspended pool with its memory locked; so the caller watches (adapters/worker).
- Errors: Standing(dataset-missing, pool-missing, no-rights, module-missing, zfs-failed,
  command-missing, config, not-trusted, unknown-service, interface-missing), Passing(too-slow).

The nasty parts, each tried on ZFS 2.3.9:
- `zfs unmount` returns 0 and `mounted=no` is shown while another mount namespace still has the
  file system, or after `umount -l`; writers there go on. The proof that nothing writes is that
  `observe_objsets` has no longer its name.
- `readonly=on` stops write() at once, but not stores into a mapped file. Its command may fail
  although the property is set. `readonly=off` on a parent leaves its mounted children read-only.
- After `umount -l` no list of mounts shows the file system: holders are then found by the device
  number of what they have open.
- Something other than a process can keep a file system: an export of the kernel's NFS server, a
  loop device, a descriptor on its way through a socket, a namespace without a process. Then there
  is no holder, and the objset stays.
- A volume's objset is always listed while it has a device. Its proof is VolumeSeen: read-only, not
  claimed, nothing above, and no Holder.
- What was ended may be started again by its supervisor: look again.
"""

from collections.abc import Sequence
from typing import Protocol

from zrepl_py.model.host import (
    AddressView,
    Holder,
    MountSeen,
    Process,
    ProcessEnd,
    ServiceOutcome,
    ServiceState,
    VolumeSeen,
)


class HostPort(Protocol):
    """One machine's mounts, holders of open files, services and addresses."""

    # --- looking ----------------------------------------------------------------------------

    def observe_mounts(self, datasets: Sequence[str]) -> list[MountSeen]:
        """Every mount of these file systems, bind mounts too, in every mount namespace that has a
        process (each namespace once), the machine's own first."""

    def observe_objsets(self, pool: str) -> frozenset[str]:
        """The datasets of a pool that are in use in the kernel: mounted file systems, wherever,
        and volumes with a device. Nothing can write into a file system that is not listed."""

    def observe_holders(self, datasets: Sequence[str]) -> list[Holder]:
        """Which processes, in any namespace, keep one of these in use; by device number, not by
        path, so deleted and unreachable files count too. By pid.

        Of a file system that is in use and mounted nowhere (`umount -l`) it is found out by a
        private mount for a moment. Where even that does not tell, `Holder.dataset` is empty.
        """

    def observe_volumes(self, datasets: Sequence[str]) -> list[VolumeSeen]:
        """The volumes among these that have a block device."""

    # --- mounts -----------------------------------------------------------------------------

    def end_holders(
        self, datasets: Sequence[str], processes: Sequence[Process], patience_seconds: float
    ) -> list[ProcessEnd]:
        """SIGTERM to each, after `patience_seconds` SIGKILL to those that are left; returns 5 s
        after that at the latest, with one ProcessEnd for each of `processes`, in their order.

        Only a process that at this moment holds one of `datasets`, and whose start time is the
        one given, gets a signal, by a pidfd: so never a later process with the same number.
        Errors: Refused(system-dataset) where the machine's first process itself holds one of
        them: nothing was sent.
        """

    def unmount_everywhere(self, datasets: Sequence[str]) -> list[MountSeen]:
        """Unmount them in every namespace, children before parents, never lazily, never forced.
        Returns what is still mounted: somebody uses it, or a container's user namespace has locked
        it there (then only its end helps). An empty list is no proof: see observe_objsets.
        (Mounting, and the properties, are DatasetPort's.)"""

    def apply_readonly(self, datasets: Sequence[str], readonly: bool) -> list[str]:
        """Where the property `readonly` is set already, make mounts of the machine's own namespace
        follow it. Returns those of which a mount, anywhere, or the device shows the other."""

    def replay_logs(self, datasets: Sequence[str]) -> list[str]:
        """After a loss of power, what fsync had promised last stands in a file system's intent log
        alone, until it is mounted: no snapshot has it. Mount each for a moment, read-only, where
        nobody sees it: ZFS takes the log up then, also where `readonly` is on. Returns those where
        that could be done; not a volume (its log is taken up with its device), nor one whose key is
        not loaded."""

    def write_markers(self, datasets: Sequence[str], text: str) -> list[str]:
        """Write `.zr/epoch` into each file system that is mounted in the machine's own namespace,
        synced to disk, following no link. Returns those where it was read back; not one that is
        not mounted, is read-only, or has something else of that name."""

    def read_markers(self, datasets: Sequence[str]) -> dict[str, str]:
        """What `.zr/epoch` of each says, following no link, at most 200 bytes of it; where there
        is none, or it is not mounted in the machine's own namespace, it is left out."""

    # --- services ---------------------------------------------------------------------------

    def observe_service(self, group: str, service: str) -> ServiceState:
        """What the service says of itself, within 10 s; else UNKNOWN."""

    def start_service(self, group: str, service: str) -> ServiceOutcome:
        """Start it and wait until it runs, at most its time limit; one that runs is left alone.
        At the limit the starting command and all that belongs to it is killed."""

    def stop_service(self, group: str, service: str) -> ServiceOutcome:
        """Stop it and wait until it does not run, at most its time limit; also one that is already
        stopped is told so (it may be about to start again)."""

    # --- the address ------------------------------------------------------------------------

    def observe_address(self, group: str) -> AddressView:
        """Whether this machine has the group's address. Asks nobody else."""

    def add_address(self, group: str) -> AddressView:
        """Ask the link whether another machine has the address (ARP probe, neighbour
        solicitation; about a second); only if none answers add it. ABSENT with `other` where one
        did. One that is here is left alone. Two machines that probe at the same moment both give
        up. A machine that is cut off does not answer: this is no fence."""

    def announce_address(self, group: str) -> bool:
        """Tell the link that the address is here now (gratuitous ARP, unsolicited neighbour
        advertisement), three times; False, and nothing sent, where it is not here."""

    def remove_address(self, group: str) -> AddressView:
        """Take the address from every interface of this machine, and look. With a prefix wider
        than one address Linux may take later addresses of the same network with it
        (promote_secondaries), so one with /32 or /128 is the right kind."""
