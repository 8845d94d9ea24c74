"""What would use protected datasets after a boot, before it is known who is primary?

A node that was primary when it lost power comes back as one that nobody asked: whatever starts
there by itself writes to data that the other node may serve by now. zr alone may open it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from zrepl_py.core.audit.finding import Findings, error, name_some, warning
from zrepl_py.core.audit.seen import Placed, Unit
from zrepl_py.core.roles import RIGHTS
from zrepl_py.errors import Passing
from zrepl_py.model.properties import EPOCH_PROPERTY
from zrepl_py.model.roles import Gate, State

_AT_BOOT = frozenset({"enabled", "enabled-runtime", "generated"})
_BY_DOCKER = frozenset({"always", "unless-stopped"})


def judge_boot_units(group: str, units: Sequence[Unit]) -> Findings:
    """Units that [roles.GROUP] names: zr starts them, nobody else."""
    return [
        warning(
            "service-at-boot",
            unit.name,
            f"{unit.name}, a service of group {group}, is started at boot by systemd itself, also "
            "on the node that is not the primary.",
            f"systemctl disable {unit.name}",
        )
        for unit in units
        if unit.enabled in _AT_BOOT
    ]


def judge_boot_containers(group: str, path: str, restarts: Mapping[str, str]) -> Findings:
    """A compose file that [roles.GROUP] names. `restarts`: its services → their restart policy."""
    found = sorted(name for name, policy in restarts.items() if policy in _BY_DOCKER)
    if not found:
        return []
    return [
        warning(
            "container-at-boot",
            path,
            f"Docker itself starts {name_some(found)} of {path}, a service of group {group}, at "
            "boot, also on the node that is not the primary.",
            f'Write restart: "no" in {path}; for the containers that are there already: docker '
            f"update --restart=no $(docker compose -f {path} ps -aq)",
        )
    ]


def judge_boot_mounts(group: str, members: Sequence[Placed]) -> Findings:
    """`members`: the datasets of a group on this node. Before the first promotion, which sets it,
    the system's own mount is as it should be."""
    begun = any(one.get(EPOCH_PROPERTY) != "-" for one in members)
    wide = [one.name for one in members if one.kind == "filesystem" and one.get("canmount") == "on"]
    if not (begun and wide):
        return []
    return [
        warning(
            "mounted-at-boot",
            name_some(wide),
            f"Datasets of group {group} ({name_some(wide)}) are mounted at boot by ZFS itself, "
            "also on the node that is not the primary.",
            f"zfs set canmount=noauto {' '.join(wide)}; what is mounted stays so",
        )
    ]


def judge_mountpoints(group: str, occupied: str | None) -> Findings:
    """`occupied`: why a member that is not mounted here could not be; None: all could."""
    if occupied is None:
        return []
    return [
        error(
            "mountpoint-in-use",
            group,
            f"This node could not take {group} over: {occupied}",
            "Move what is there out of the way, and keep it: it may be wanted.",
        )
    ]


def judge_progress(shown: Sequence[Mapping[str, Any]]) -> Findings:
    """`shown`: the daemon's word of its roles. Does one of them not get on?"""
    found: Findings = []
    for one in shown:
        if (failed := one.get("error")) is None:
            continue
        group, message = str(one["group"]), failed["message"]
        sentence = f"{group} is {one['state']} here, and the next step fails: {message}"
        if failed["kind"] == Passing.__name__:
            found.append(warning("role-waits", group, sentence, "If it lasts: zr events"))
        else:
            remedy = "When that is mended it goes on by itself; zr status shows it"
            found.append(error("role-stuck", group, sentence, remedy))
    return found


def find_served(shown: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Groups (policies' names) whose datasets are not closed here. `shown`: `role_show`."""
    found = set()
    for one in shown:
        state = State(one["state"])
        if state is not State.INIT and RIGHTS[state].gate is not Gate.CLOSED:
            found.add(str(one["group"]))
    return frozenset(found)
