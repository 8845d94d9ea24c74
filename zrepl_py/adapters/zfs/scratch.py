"""Datasets that live only for one restore: how they are marked, and how they go again.

A scratch dataset carries `zr:scratch=UUID`, set on itself when it is received. It is destroyed only
where that mark is still there, in the same txg, by uuid; a name alone destroys nothing. Only the
command of a person uses this: neither the daemon nor a worker has such a verb.
"""

from zrepl_py.adapters.zfs.command import run_program_by_command
from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.names import pool_of
from zrepl_py.adapters.zfs.programs import program_text
from zrepl_py.errors import Passing, Refused
from zrepl_py.model.names import SCRATCH_PREFIX, check_dataset_name

SCRATCH_PROPERTY = "zr:scratch"


def destroy_scratch(dataset: str, mark: str) -> None:
    """Gone afterwards. Errors: Refused(not-scratch) where it does not carry the mark,
    Passing(busy), no-rights."""
    check_dataset_name(dataset)
    if not dataset.rpartition("/")[2].startswith(SCRATCH_PREFIX):
        raise Refused("not-scratch", f"{dataset} is not a scratch dataset of a restore.")
    text = program_text("destroy_scratch")
    answer = run_program_by_command(pool_of(dataset), text, [dataset, mark], True)[dataset]
    if answer in ("destroyed", "gone"):
        return
    if answer == "other":
        raise Refused(
            "not-scratch",
            f"{dataset} does not carry the mark of this restore: it is left alone.",
            "Look at it with `zfs get all`; if you do not need it, destroy it by hand.",
        )
    raise Passing(
        "busy",
        f"{dataset} could not be destroyed ({answer}): something holds or mounts it.",
        f"Destroy it by hand later: zfs destroy -r {dataset}",
    )


def observe_available_bytes(dataset: str) -> int:
    """How much may still be written below a dataset. Errors: dataset-missing, pool-missing."""
    ended = run(["zfs", "get", "-Hp", "-o", "value", "available", "--", dataset])
    if ended.code != 0:
        raise judge_command("list", ended, dataset)
    return int(ended.out.strip())
