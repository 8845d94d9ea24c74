"""Would the role chaos notice? Of two nodes that are open at one time, and of steps never drawn."""

from tests.lab.role_chaos_plan import KINDS, STEPS, draw_cycle
from tests.lab.role_chaos_site import find_overlaps

Row = tuple[float, bool, bool]


def rows(begin: float, end: float, *, writable: bool, here: bool) -> list[Row]:
    """Samples, ten a second."""
    return [(begin + n / 10, writable, here) for n in range(round((end - begin) * 10) + 1)]


def test_what_was_open_on_both_at_one_time_is_found() -> None:
    one = rows(0, 3, writable=True, here=True)
    other = rows(0, 2, writable=False, here=False) + rows(2.1, 5, writable=True, here=False)
    ((begin, end),) = find_overlaps(one, other, 1)
    assert (round(begin, 1), round(end, 1)) == (2.1, 3.0)
    assert find_overlaps(one, other, 2) == []


def test_one_after_the_other_is_no_overlap() -> None:
    one = rows(0, 3, writable=True, here=True) + rows(3.1, 9, writable=False, here=False)
    other = rows(0, 3, writable=False, here=False) + rows(3.1, 9, writable=True, here=True)
    assert find_overlaps(one, other, 1) == []


def test_nothing_is_known_of_a_node_that_was_frozen() -> None:
    """It was open before and after, and cannot have written in between."""
    one = rows(0, 1, writable=True, here=True) + rows(8, 9, writable=True, here=True)
    other = rows(3, 5, writable=True, here=True)
    assert find_overlaps(one, other, 1) == []


def test_a_seed_repeats_its_cycles() -> None:
    assert [draw_cycle("a", n) for n in range(50)] == [draw_cycle("a", n) for n in range(50)]
    assert draw_cycle("a", 1) != draw_cycle("b", 1)


def test_every_step_and_every_trouble_is_drawn_for_either_side() -> None:
    cycles = [draw_cycle("all", n) for n in range(3000)]
    drawn = {(c.story, t.watched, t.step) for c in cycles for t in c.troubles if t.step}
    wanted = {(story, side, step) for (story, side), steps in STEPS.items() for step in steps}
    assert drawn == wanted
    assert {t.kind for c in cycles for t in c.troubles} == {*KINDS, "boot"}


def test_nobody_states_what_is_not_true_but_the_one_who_lies_about_a_cut() -> None:
    cycles = [draw_cycle("lies", n) for n in range(3000)]
    assert {c.death for c in cycles if c.lies} == {"cut"}
