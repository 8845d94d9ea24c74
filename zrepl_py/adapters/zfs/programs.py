"""The channel programs: their text, their arguments, and what their answers mean. Pure but for
reading the *.lua files that lie beside this one.

Arguments are one flat list of strings, because `zfs program` takes nothing else; nothing is ever
pasted into the text of a program. All programs answer with a table of words, so both adapters
share the parsing.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from zrepl_py.adapters.zfs.names import check_length
from zrepl_py.adapters.zfs.parse import parse_errno, parse_snapshot_outcome
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.errors import Bug, Refused, Standing, ZrError
from zrepl_py.model.observation import SnapshotOutcome

INSTRUCTION_LIMIT = 20_000_000
"""zfs_lua_max_instrlimit is 100 million. snapshot_changed needs below 200 per dataset."""
MEMORY_LIMIT_BYTES = 64 << 20
"""zfs_lua_max_memlimit is 100 MiB. Also the size of the answer's buffer."""
MAX_DATASETS = 2_000
"""Datasets of one snapshot_changed call: as many were tried in the lab. Above it, Refused."""
TRY_AGAIN = 11
"""EAGAIN: somebody else took a snapshot of the dataset in the very same txg."""
_MAX_VALUE_BYTES = 8_191


@cache
def program_text(name: str) -> str:
    """The text of `name`.lua."""
    return files(__package__).joinpath(f"{name}.lua").read_text("utf-8")


def render_snapshot_arguments(datasets: Mapping[str, str | None], name: str) -> list[str]:
    """Arguments of snapshot_changed.lua; errors: bad-name, too-many-datasets."""
    if len(datasets) > MAX_DATASETS:
        raise Refused(
            "too-many-datasets",
            f"{len(datasets)} datasets cannot be snapshotted in one step.",
            f"Split the policy: at most {MAX_DATASETS} datasets each.",
        )
    argv = [name]
    for dataset, last in datasets.items():
        check_length(f"{dataset}@{name}")
        argv += [dataset, last or ""]
    return argv


def parse_snapshot_answer(
    answer: Mapping[str, str], name: str
) -> dict[str, SnapshotOutcome] | None:
    """The answer of snapshot_changed.lua; raises the first dataset's error. None was taken then.

    None where the whole call has to be made again (EAGAIN).
    """
    outcomes: dict[str, SnapshotOutcome] = {}
    numbers: dict[str, int] = {}
    for dataset, words in answer.items():
        outcome = parse_snapshot_outcome(words)
        if isinstance(outcome, int):
            numbers[dataset] = outcome
        else:
            outcomes[dataset] = outcome
    for dataset in sorted(numbers):
        if numbers[dataset] != TRY_AGAIN:
            subject = dataset if numbers[dataset] == 2 else f"{dataset}@{name}"
            raise judge_errno("snapshot", numbers[dataset], subject)
    return None if numbers else outcomes


def render_property_arguments(datasets: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Arguments of set_user_properties.lua; only `zr:*`, else Bug(foreign-property)."""
    argv = [str(len(datasets)), *datasets]
    for name, value in values.items():
        if not name.startswith("zr:"):
            raise Bug("foreign-property", f"{name} is not a property of zr.")
        if len(value.encode()) > _MAX_VALUE_BYTES or any(c < " " for c in value):
            raise Refused(
                "bad-value", f"The value of {name} is too long or has control characters."
            )
        argv += [name, f"={value}" if value else "-"]
    return argv


def check_answer(answer: Mapping[str, str], dataset: str, good: str, operation: str) -> None:
    """Raise what an answer of a single word about `dataset` says, unless it is `good`."""
    words = answer.get(dataset, "")
    if words != good:
        raise judge_errno(operation, parse_errno(words), dataset)


def judge_program_error(number: int | None, pool: str, words: str) -> ZrError:
    """The error for a program that did not run to its end."""
    if "I/O error" in words:
        number = 5
    if number in (2, 18) or "no such pool" in words:
        return judge_errno("program", 2, pool)
    if "does not exist" in words or "not found" in words:
        return judge_errno("snapshot", 2, pool)
    if number in (44, 62, 22) or not number:
        return Standing(
            "zfs-failed",
            f"A channel program failed in pool {pool}: {words or number}",
            "Report it, with the output of `zfs version`.",
        )
    return judge_errno("program", number, pool, words)
