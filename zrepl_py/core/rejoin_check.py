"""May a tail be set aside by itself, or must a person look first? Pure.

Asked once, before the first step; a rescue that has begun is always finished. What is not tried
with real ZFS is not done by itself.
"""

from collections.abc import Iterable, Iterator

from zrepl_py.errors import Refused
from zrepl_py.model.names import Epoch, check_room
from zrepl_py.model.rescue import Blocked, RescueView, render_label, rescue_place

_LATE = Epoch(99_999, "ffffffff")
"""Longer than any that comes in years."""


def check_start(view: RescueView) -> Blocked | None:
    """The first thing that is in the way, or None."""
    return next(_obstacles(view), None)


def check_names(places: Iterable[str]) -> Blocked | None:
    """Before a group has roles: of these datasets of one node, the first whose name would be too
    long below POOL/zr-rescue/LABEL, should the way back be needed."""
    label = render_label(_LATE, "ffffffff")
    return next((long for name in sorted(places) if (long := _too_long(name, label))), None)


def _obstacles(view: RescueView) -> Iterator[Blocked]:
    label = render_label(view.epoch, view.fresh)
    names = {member.name for member in view.members}
    bases = {member.name: member.base for member in view.members}
    for member in view.members:
        sight = view.seen.get(member.name)
        if sight is None:
            continue
        name, dataset = member.name, sight.dataset
        if "/" not in name:
            yield Blocked(
                "rescue-pool-root",
                f"{name} is a pool's own dataset, which cannot be renamed.",
                "Keep the data in datasets below it, and let the policy name those.",
            )
        if member.base is None and member.wanted:
            yield Blocked(
                "rescue-unrelated",
                f"{name} has no snapshot in common with the new primary's.",
                f"Rename it by hand (`zfs rename {name} …`): it is kept, and a whole copy comes.",
            )
        if member.base is not None and sight.history.snapshot(member.base) is None:
            yield Blocked(
                "rescue-no-common-snapshot",
                f"Of the last version of {name} that both nodes have, only a bookmark is here.",
                f"Rename it by hand (`zfs rename {name} …`): it is kept, and a whole copy comes.",
            )
        above = name.rpartition("/")[0]
        if member.base is not None and above in names and bases[above] is None:
            yield Blocked(
                "rescue-no-parent",
                f"{name} goes on, but {above} above it does not: the new primary has none.",
                f"Put {above} into the policy of the new primary, or take {name} out.",
            )
        root = dataset.encryption_root
        if root is not None and root not in names:
            yield Blocked(
                "rescue-key-above",
                f"{name} has its key from {root}, which is not of the group: ZFS does not move it "
                "out of there.",
                f"Let the policy name {root} too, or give {name} a key of its own.",
            )
        origin = (dataset.origin or "").partition("@")[0]
        if origin in names:
            yield Blocked(
                "rescue-clone-inside",
                f"{name} is a clone of {origin}; both are of the group.",
                f"`zfs promote {name}` or another name for one of them, then look again.",
            )
        if (long := _too_long(name, label)) is not None:
            yield long
    for other in sorted(view.seen.keys() - names):
        under = next((name for name in sorted(names) if other.startswith(f"{name}/")), None)
        if under is not None:
            yield Blocked(
                "rescue-others-inside",
                f"{other} is not of the group, but stands below {under}, which is renamed.",
                f"Rename {other} to a place outside, or let the policy name it too.",
            )


def _too_long(name: str, label: str) -> Blocked | None:
    try:
        check_room(rescue_place(name, label))
    except Refused as error:
        return Blocked(
            "rescue-name-too-long", f"{name} cannot be set aside: {error.message}", error.remedy
        )
    return None
