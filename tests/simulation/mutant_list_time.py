"""Deliberate bugs in retention that the simulator must notice: what it keeps, on which day.

Those of mutant_list_keep.py silence one voter each and are noticed by a test; here the whole site
is asked, whose checkers reckon retention in their own way (wanted.py, judging.py).
"""

from tests.simulation.mutant import Mutant

_VOTERS = "zrepl_py.core.voters"
_CAPS = "zrepl_py.core.caps"

TIME_MUTANTS = (
    Mutant("a-cell-less", _VOTERS, "vote_cells", "count)", "count - 1)"),
    Mutant(
        "last-of-a-cell-missed",
        _VOTERS,
        "last_of_cells",
        "bisect_left(labels, start, 0, place) - 1",
        "bisect_left(labels, start, 0, place) - 2",
    ),
    Mutant("names-forgotten", _VOTERS, "vote_matching", "if matcher.match(s.name)", "if False"),
    Mutant(
        "wrong-clock-believed",
        "zrepl_py.core.caution",
        "plan_removal",
        "voters=voters",
        "voters=()",
    ),
    Mutant("nothing-waits", _CAPS, "voters_waiting", "if not limits.keep_waiting", "if True"),
    Mutant("ladder-gives-way", _CAPS, "find_yielding", "*LADDER, ", ""),
)
