"""A person drops a rescue: how one dataset of it goes. See DatasetPort.drop_rescue.

Two checks: the name says that it is a rescue's place; and, in the very txg, its guid is the one
that was meant, and it has that rescue's snapshot. What goes on under a member's name is never hit.
"""

from zrepl_py.adapters.zfs.command import run_program_by_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.names import pool_of
from zrepl_py.adapters.zfs.programs import program_text
from zrepl_py.core.gate import not_a_rescue, rescue_busy
from zrepl_py.model.names import check_dataset_name, join_snapshot
from zrepl_py.model.rescue import RESCUE_HOLD, find_rescue_label, render_rescue_snapshot


def drop_rescue(dataset: str, guid: int) -> None:
    """Gone afterwards. Errors: Refused(not-a-rescue), Passing(busy), no-rights."""
    label = find_rescue_label(check_dataset_name(dataset))
    if label is None:
        raise not_a_rescue(dataset)
    wanted = render_rescue_snapshot(label)
    # Whether it could be released, the program says: what is held is not destroyed.
    run(["zfs", "release", RESCUE_HOLD, join_snapshot(dataset, wanted)])
    argv = [dataset, str(guid), wanted]
    text = program_text("destroy_rescue")
    answer = run_program_by_command(pool_of(dataset), text, argv, True)[dataset]
    if answer == "other":
        raise not_a_rescue(dataset)
    if answer not in ("destroyed", "gone"):
        raise rescue_busy(dataset, answer)
