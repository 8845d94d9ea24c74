"""What stands on snapshots, in words: of the channel program, of `zfs list` and `zfs holds`.

An ordinary user may not run channel programs; what the commands tell everybody is holds and clones.
"""

from collections.abc import Mapping, Sequence

from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.parse import parse_holds, unreadable
from zrepl_py.model.observation import Dependents

_COLUMNS = "name,userrefs,clones"
_UNREAD = frozenset({"a hold that could not be read"})


def parse_dependents_answer(answer: Mapping[str, str]) -> dict[str, Dependents]:
    """The answer of observe_dependents.lua."""
    return {snapshot: _parse_lines(lines) for snapshot, lines in answer.items()}


def _parse_lines(lines: str) -> Dependents:
    tags, clones, in_use = set(), set(), False
    for line in lines.split("\n") if lines else ():
        kind, _, name = line.partition(" ")
        if kind == "tag":
            tags.add(name)
        elif kind == "clone":
            clones.add(name)
        elif kind == "in-use":
            in_use = True
        else:
            raise unreadable(line)
    return Dependents(frozenset(tags), frozenset(clones), in_use)


def list_dependents(snapshots: Sequence[str]) -> dict[str, Dependents]:
    """One fork for each dataset, and one more for each snapshot that is held."""
    found = {}
    for dataset in dict.fromkeys(name.partition("@")[0] for name in snapshots):
        argv = ["zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", _COLUMNS, "--", dataset]
        ended = run(argv)
        if ended.code != 0:
            error = judge_command("list", ended, dataset)
            if error.reason != "dataset-missing":
                raise error
            continue
        found.update(parse_listed(ended.out, frozenset(snapshots)))
    return {
        name: Dependents(_observe_tags(name), clones) if held else Dependents(clones=clones)
        for name, (held, clones) in found.items()
    }


def parse_listed(text: str, wanted: frozenset[str]) -> dict[str, tuple[bool, frozenset[str]]]:
    """Lines `name userrefs clones` → snapshot → whether it is held, its clones; those wanted."""
    rows = (line.split("\t") for line in text.splitlines())
    return {
        row[0]: (row[1] not in ("0", "-"), frozenset(row[2].split(",")) - {"", "-"})
        for row in rows
        if len(row) == 3 and row[0] in wanted
    }


def _observe_tags(snapshot: str) -> frozenset[str]:
    ended = run(["zfs", "holds", "-Hp", "--", snapshot])
    # Who does not know by whom it is held, knows that it stays.
    return parse_holds(ended.out).get(snapshot, frozenset()) if ended.code == 0 else _UNREAD
