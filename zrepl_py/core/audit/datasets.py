"""Are replicas untouched, are keys at hand, and does another tool work on the same datasets?"""

import re
from collections.abc import Mapping, Sequence

from zrepl_py.core.audit.finding import Findings, error, name_some, note, warning
from zrepl_py.core.audit.seen import Placed

TOOLS = (
    (re.compile(r"autosnap_\d{4}-"), "sanoid"),
    (re.compile(r"syncoid_"), "syncoid"),
    (re.compile(r"zrepl_"), "zrepl"),
    (re.compile(r"zfs-auto-snap_"), "zfs-auto-snapshot"),
    (re.compile(r"bzfs_"), "bzfs"),
    (re.compile(r"pyznap_"), "pyznap"),
    (re.compile(r"auto-\d{4}-?\d{2}-?\d{2}"), "zettarepl (TrueNAS)"),
    (re.compile(r"\d{4}-\d{2}-\d{2}-\d{6}\Z"), "znapzend"),
    (re.compile(r"zrep_"), "zrep"),
    (re.compile(r"zfssnap_|.*--\d+[mdhwy]\Z"), "zfsnap"),
)
"""How the snapshots of other tools are named."""


def judge_replicas(parent: str, below: Sequence[Placed], placeholders: frozenset[str]) -> Findings:
    """The replicas that this node keeps: nothing may write into them."""
    if not any(placed.name == parent for placed in below):
        return [
            error(
                "replica-parent-missing",
                parent,
                f"The parent of replicas, {parent}, does not exist: nothing can be received.",
                "Run `zr init` again: it makes it. Or is its pool not imported?",
            )
        ]
    replicas = [p for p in below if p.name != parent and p.name not in placeholders]
    found = [finding for placed in replicas for finding in _judge_replica(placed)]
    sealed = [p.name for p in replicas if p.get("keystatus") == "unavailable"]
    if sealed:
        found.append(
            note(
                "replica-needs-key",
                name_some(sealed),
                f"Encrypted replicas ({name_some(sealed)}) can be read only with their source's "
                "key, which is not loaded here.",
                "As it should be. Keep the key, or the passphrase, somewhere besides the source.",
            )
        )
    return found


def _judge_replica(placed: Placed) -> Findings:
    found: Findings = []
    name = placed.name
    if placed.get("readonly") == "off":
        found.append(
            error(
                "replica-writable",
                name,
                f"The replica {name} can be written to; one write, and nothing more can be "
                "received into it.",
                f"zfs set readonly=on {name}",
            )
        )
    if placed.get("mounted") == "yes":
        found.append(
            warning(
                "replica-mounted",
                name,
                f"The replica {name} is mounted at {placed.get('mountpoint')}.",
                f"zfs unmount {name}; to look into a replica, use its .zfs/snapshot elsewhere or "
                "`zr restore`.",
            )
        )
    elif placed.get("canmount") == "on" and placed.get("mountpoint").startswith("/"):
        found.append(
            warning(
                "replica-mountpoint",
                name,
                f"The replica {name} would be mounted at {placed.get('mountpoint')} after a boot, "
                "over what is there.",
                f"zfs set canmount=noauto {name}",
            )
        )
    if placed.kind == "volume" and placed.get("volmode") not in ("none", "-"):
        found.append(
            warning(
                "replica-volmode",
                name,
                f"The replica {name} is a volume that this machine offers as a device.",
                f"zfs set volmode=none {name}",
            )
        )
    return found


def judge_keys(protected: Sequence[Placed], missing_files: Mapping[str, str]) -> Findings:
    """`protected`: datasets of which this node is the source; `missing_files`: dataset → the file
    that its keylocation names, and that is not there."""
    found: Findings = []
    for placed in protected:
        if placed.get("keystatus") == "unavailable":
            found.append(
                warning(
                    "key-unloaded",
                    placed.name,
                    f"The encryption key of {placed.name} is not loaded: it cannot be used, though "
                    "what it has is sent as it is.",
                    f"zfs load-key {placed.name}",
                )
            )
    for name, path in missing_files.items():
        found.append(
            warning(
                "key-file-missing",
                name,
                f"The key of {name} should be in {path}, which does not exist.",
                "Restore that file, from where you keep keys, before the next boot needs it.",
            )
        )
    return found


def judge_foreign(snapshots: Mapping[str, Sequence[str]], *, replicas: frozenset[str]) -> Findings:
    """`snapshots`: dataset → names (after the @) of snapshots that zr did not make."""
    by_tool: dict[tuple[str, bool], list[str]] = {}
    samples: dict[tuple[str, bool], str] = {}
    for dataset, names in snapshots.items():
        for name in names:
            tool = next((tool for form, tool in TOOLS if form.match(name)), None)
            if tool is None:
                continue
            key = (tool, dataset in replicas)
            samples.setdefault(key, f"{dataset}@{name}")
            if dataset not in by_tool.setdefault(key, []):
                by_tool[key].append(dataset)
    found: Findings = []
    for (tool, replica), datasets in sorted(by_tool.items()):
        shown = name_some(datasets)
        if replica:
            found.append(
                warning(
                    "foreign-on-replica",
                    shown,
                    f"{tool} has snapshots on replicas ({samples[tool, replica]}): if it forces a "
                    "receive or rolls back there, what zr keeps is destroyed.",
                    f"Let {tool} leave replicas alone.",
                )
            )
        else:
            found.append(
                warning(
                    "foreign-snapshots",
                    shown,
                    f"{tool} takes snapshots of {shown} too ({samples[tool, replica]}). zr neither "
                    "sends nor destroys them; they keep space.",
                    f"Stop {tool} there once zr's own history is long enough. A tool that rolls "
                    "back or destroys by name can break zr's history.",
                )
            )
    return found
