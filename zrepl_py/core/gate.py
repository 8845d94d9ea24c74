"""What may a change of roles set on datasets, and what was meant by a name? Pure.

The gate is `canmount` and `readonly`: closed (noauto, on) where a role is not proven. Invariants:
- Copying or restoring properties never opens the gate.
- A mount point that came from another node never covers a part of this system.
"""

from collections.abc import Collection, Iterable, Mapping

from zrepl_py.errors import Bug, Passing, Refused, Standing
from zrepl_py.model.observation import Kind
from zrepl_py.model.properties import CARRIED, CLONED_PROPERTY, ORIGINAL_PREFIX
from zrepl_py.model.tree import GATE_PROPERTIES, READ_ONLY_PROPERTIES, TreeDataset

CLOSED = {"canmount": "noauto", "readonly": "on"}
OPEN = {"canmount": "noauto", "readonly": "off"}
"""Mounted by its primary alone, never by the system's start: `canmount=on` would be."""

SYSTEM_DIRECTORIES = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr"}
)
"""Nothing is mounted on them or below them."""
WHOLE_DIRECTORIES = frozenset({"/", "/home", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib"})
"""Nothing of another node is mounted on them; below them it may."""


def check_is(found: TreeDataset | None, dataset: str, guid: int) -> TreeDataset:
    """What was found under a name, if it is the one that was meant."""
    if found is None:
        raise missing(dataset)
    if found.guid != guid:
        raise Refused(
            "not-that-dataset",
            f"{dataset} is another dataset by now: its guid is {found.guid}, not {guid}.",
            "Look at what was renamed or created; then run this again.",
        )
    return found


def check_gate(kind: Kind, values: Mapping[str, str]) -> dict[str, str]:
    """What is to be set of the gate; Bug(bad-gate) of anything else."""
    for name, value in values.items():
        if value not in GATE_PROPERTIES.get(name, ()):
            raise Bug("bad-gate", f"{name}={value} is no part of the gate.")
    return {n: v for n, v in values.items() if kind is Kind.FILESYSTEM or n != "canmount"}


def plan_copied(local: Mapping[str, str]) -> dict[str, str]:
    """What of one dataset's local properties another gets."""
    kept = GATE_PROPERTIES.keys() | READ_ONLY_PROPERTIES | {CLONED_PROPERTY}
    return {n: v for n, v in local.items() if n not in kept}


def plan_restored(local: Mapping[str, str]) -> dict[str, str]:
    """What a replica gets of what was carried beside its stream (`zr:orig:*`)."""
    start = len(ORIGINAL_PREFIX)
    original = {n[start:]: v for n, v in local.items() if n.startswith(ORIGINAL_PREFIX)}
    wanted = {n: v for n, v in plan_copied(original).items() if n in CARRIED}
    if "mountpoint" in wanted:
        check_mountpoint(wanted["mountpoint"])
    return wanted


def only_holds(dataset: TreeDataset) -> bool:
    """Its original is never mounted: it only holds others."""
    return dataset.local.get(f"{ORIGINAL_PREFIX}canmount", dataset.canmount) == "off"


def plan_mountpoints(datasets: Iterable[TreeDataset]) -> dict[str, str]:
    """File systems that are not mounted → where they will be, once they have what plan_restored
    says. Errors: Refused(bad-mountpoint)."""
    paths: dict[str, str] = {}
    found: dict[str, str] = {}
    for dataset in sorted(datasets, key=lambda one: one.name):  # parents come first
        if dataset.kind is not Kind.FILESYSTEM:
            continue
        own = plan_restored(dataset.local).get("mountpoint", dataset.local.get("mountpoint"))
        above = paths.get(dataset.name.rpartition("/")[0], "")
        inherited = f"{above.rstrip('/')}/{dataset.short}" if above.startswith("/") else None
        path = paths[dataset.name] = own or inherited or dataset.mountpoint
        if path.startswith("/") and not dataset.mounted and not only_holds(dataset):
            found[dataset.name] = path
    return found


def check_mountpoint(path: str) -> None:
    """Refused(bad-mountpoint) of what another node may not choose."""
    if path in ("none", "legacy"):
        return
    parts = path.split("/")
    plain = path.startswith("/") and not {"", ".", ".."} & set(parts[1:])
    if not plain or path in WHOLE_DIRECTORIES or parts[1] in SYSTEM_DIRECTORIES:
        raise Refused(
            "bad-mountpoint",
            f"The other node's dataset was mounted on {path!r}, which is not taken over here.",
            "Set `mountpoint` on the replica by hand to where it is wanted.",
        )


def check_whole(root: str, name: str, members: Collection[str], there: Collection[str]) -> None:
    """Refused(snapshot-exists) where a tree has `@name` in part only."""
    left = sorted(set(members) - set(there))
    if left:
        raise Refused(
            "snapshot-exists",
            f"@{name} exists below {root}, but not of {left[0]}.",
            "Choose another name, or look at what took it.",
        )


def exists(dataset: str) -> Refused:
    """There is something else under a name that is wanted."""
    return Refused(
        "target-exists",
        f"{dataset} exists already, and is not what was wanted there.",
        "Nothing is ever overwritten: rename it by hand, then run this again.",
    )


def missing(dataset: str) -> Standing:
    """There is nothing under a name."""
    return Standing(
        "dataset-missing", f"There is no dataset {dataset}.", "Check its name, or create it."
    )


def mountpoint_in_use(dataset: str, path: str, name: str) -> Standing:
    """A mount would hide files: ZFS does it without a word. `name`: of one of them."""
    return Standing(
        "mountpoint-in-use",
        f"{path}, where {dataset} is to be mounted, contains {name!r}.",
        "Move what is there out of the way; something wrote there while it was not mounted.",
    )


def mountpoint_unreadable(dataset: str, path: str, why: str) -> Standing:
    """Whether a mount would hide files is not known."""
    return Standing(
        "mountpoint-unreadable",
        f"{path}, where {dataset} is to be mounted, cannot be looked at: {why}.",
        "Look at it as root; a network's file system that does not answer has to go from there.",
    )


def mountpoint_unknown(dataset: str) -> Standing:
    """It is to be mounted, and was told no place."""
    return Standing(
        "mountpoint-unknown",
        f"Where {dataset} is to be mounted is not known: its original has its mount point from a "
        "dataset that is not in the group.",
        f"Say it on this node: zfs set mountpoint=/… {dataset}",
    )


def not_a_rescue(dataset: str) -> Refused:
    """It was to be dropped, and is no part of a rescue."""
    return Refused(
        "not-a-rescue",
        f"{dataset} is no part of a rescue, or another dataset by now. It was left alone.",
        "`zr rescue list` names the rescues.",
    )


def rescue_busy(dataset: str, why: str) -> Passing:
    """It was to be dropped, and something stands on it."""
    return Passing(
        "busy",
        f"{dataset} could not be dropped ({why}): something holds it, mounts it, or stands on it.",
        f"`zfs holds -r {dataset}` and `zfs list -t all -o name,clones` show what; then again.",
    )


def unlike(dataset: str, what: str) -> Standing:
    """ZFS said yes, and it is not so."""
    return Standing(
        "zfs-failed",
        f"ZFS reported no error for {dataset}, but {what}.",
        "Look with `zfs get all`, and at the kernel's log.",
    )
