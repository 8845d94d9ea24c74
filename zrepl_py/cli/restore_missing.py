"""What is said where a file is not in the snapshot of then: where was looked, and when was it last?

Only after a search has failed. Looks at a few snapshots more, on this machine, with the caller's
own rights; changes nothing. What cannot be seen is not spoken of.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping

from zrepl_py.adapters.host.mounts import find_datasets, locate
from zrepl_py.adapters.host.privatemount import MountedSnapshot
from zrepl_py.adapters.host.snapdir import (
    Origin,
    SnapshotDirectory,
    observe_snapshot_names,
    open_old_entry,
    snapshot_root,
)
from zrepl_py.adapters.host.treewalk import Components
from zrepl_py.cli.restore_find import Looking
from zrepl_py.core.copies import Copy
from zrepl_py.core.restoring import could_be_dataset, is_bare, printable
from zrepl_py.core.times import render_instant
from zrepl_py.core.versions import Chosen, find_last_having
from zrepl_py.errors import Refused, ZrError

_LISTED = 8


def explain_missing(words: str, look: Looking, error: ZrError) -> ZrError:
    """`error` of a search in what is mounted here, with what helps to go on; else as it is."""
    if error.reason == "not-on-zfs":
        return _explain_elsewhere(words, look, error)
    if error.reason not in ("no-such-file", "no-snapshot"):
        return error
    try:
        place = locate(words, look.mounts)
        root = snapshot_root(place.mountpoint)
        names = observe_snapshot_names(root)
    except ZrError:
        return error
    searched = f"{printable(place.path)} lies in {place.dataset}, which was searched."
    unprotected = look.policies is not None and look.policy_of(place.dataset) is None
    if unprotected:
        searched += f" No policy of this node selects that one. {_protected(look)}"
    if error.reason == "no-snapshot":  # its remedy names the first one there is
        return _said(error, searched, error.remedy)
    last = _find_last(names, lambda name: SnapshotDirectory(root, name), place.inside)
    if last is None:
        never = "It was in none of its snapshots that were looked at." if names else ""
        return _said(error, f"{searched} {never}", error.remedy)
    zone = look.zone(place.dataset)
    return _said(error, searched, _remedy(place.path, last, render_instant(last.at or 0, zone)))


def explain_missing_in_copy(
    copy: Copy, inside: Components, look: Looking, error: ZrError
) -> ZrError:
    """The same of a replica that this node keeps."""
    if error.reason != "no-such-file":
        return error
    names = {s.name: s.createtxg for s in look.observe_history(copy.stored).snapshots}
    searched = f"The replica of {copy.dataset} was searched."
    last = _find_last(names, lambda name: MountedSnapshot(copy.stored, name), inside, names)
    if last is None:
        return _said(error, searched, error.remedy)
    path = "/".join((copy.dataset, *inside))
    shown = render_instant(last.at or 0, look.zone(copy.dataset))
    return _said(error, searched, _remedy(path, last, shown, " --to ."))


def _find_last(
    names: Iterable[str],
    origin_of: Callable[[str], Origin],
    inside: Components,
    createtxg: Mapping[str, int] | None = None,
) -> Chosen | None:
    def has(name: str) -> bool:
        try:
            with open_old_entry(origin_of(name), inside):
                return True
        except ZrError:
            return False

    return find_last_having(names, has, createtxg)


def _remedy(path: str, last: Chosen, shown: str, options: str = "") -> str:
    command = f"zr restore {shlex.quote(printable(f'{path}@{last.name}'))}{options}"
    return f"It was there last in the snapshot of {shown}. That one: `{command}`."


def _explain_elsewhere(words: str, look: Looking, error: ZrError) -> ZrError:
    known = _protected(look)
    if could_be_dataset(words) and not is_bare(words):
        name = words.rstrip("/")
        message = f"There is no dataset {name} on this machine, and {error.message}"
        return Refused("not-on-zfs", f"{message} {known}".strip(), error.remedy)
    return _said(error, known, error.remedy)


def _protected(look: Looking) -> str:
    """The datasets of this machine that a policy selects, and where they are mounted."""
    if look.policies is None:
        return ""
    mounts = [m for m in find_datasets(look.mounts) if look.policy_of(m.source) is not None]
    if not mounts:
        return "Nothing that is mounted here is protected by a policy."
    shown = [m.source if m.point == f"/{m.source}" else f"{m.source} ({m.point})" for m in mounts]
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return f"Protected here: {', '.join(printable(one) for one in shown[:_LISTED])}{more}."


def _said(error: ZrError, more: str, remedy: str) -> ZrError:
    return type(error)(error.reason, f"{error.message} {more}".strip(), remedy)
