"""What did a restore leave that was ended by force?"""

from collections.abc import Sequence

from zrepl_py.core.audit.finding import Findings, name_some, warning


def judge_scratch(left: Sequence[str]) -> Findings:
    """`left`: scratch datasets whose restore does not run any more."""
    if not left:
        return []
    names = sorted(left)
    shown = name_some(names)
    were = (
        "A scratch dataset is" if len(names) == 1 else f"Each of {len(names)} scratch datasets is"
    )
    return [
        warning(
            "scratch-left",
            shown,
            f"{were} left from a `zr restore --from peer` that was killed: {shown}. It is of no "
            "use any more, and keeps space.",
            f"The next such restore takes it away. Or: zfs destroy -r {names[0]}",
        )
    ]
