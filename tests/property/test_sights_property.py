"""What is concluded between two looks is what was there, whatever a file went through."""

from hypothesis import given, settings
from hypothesis import strategies as st

from zrepl_py.core.sights import Absent, Hidden, Sight, Stand, conclude, fold_versions, plan_looks

KINDS = ("write", "replace", "remove", "other", "nothing", "nothing", "rename_away", "forbid")


def history(steps: list[str]) -> list[tuple[Sight, Stand | None]]:
    """The truth after each step: one file in one directory, a clock that moves with each change.

    (what a look shows, what is there whoever may look)"""
    clock, inode, folder_changed = 1, 0, 1
    stand: Stand | None = None
    away: Stand | None = None
    forbidden = False
    found: list[tuple[Sight, Stand | None]] = []
    for step in steps:
        clock += 1
        if step == "write" and stand:
            stand = Stand(stand.inode, stand.born_ns, clock % 3, clock, clock, 0o100644)
        elif step == "replace":
            inode, folder_changed = inode + 1, clock
            stand = Stand(inode % 3, clock, clock % 3, clock, clock, 0o100644)
        elif step == "remove" and stand:
            stand, folder_changed = None, clock
        elif step == "other":
            folder_changed = clock
        elif step == "rename_away" and (stand or away):
            mine = away or stand
            assert mine
            mine = Stand(
                mine.inode, mine.born_ns, mine.size_bytes, mine.modified_ns, clock, 0o100644
            )
            stand, away = (mine, None) if away else (None, mine)
            folder_changed = clock
        elif step == "forbid":
            forbidden, folder_changed = not forbidden, clock
        way = (0, 9, 1, folder_changed)
        seen = Hidden("no-rights", "", way) if forbidden else stand or Absent(way)
        found.append((seen, stand))
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=60), st.sets(st.integers(0, 59)))
def test_what_is_concluded_is_what_was_there(steps: list[str], damaged: set[int]) -> None:
    truth, beneath = zip(*history(steps), strict=True)
    shown: list[Sight] = [
        Hidden("io-error", "") if i in damaged else sight for i, sight in enumerate(truth)
    ]
    sights: list[Sight | None] = [None] * len(shown)
    looks = 0
    while True:
        conclude(sights)
        wanted = plan_looks(sights)
        if not wanted:
            break
        assert len(set(wanted)) == len(wanted)
        for i in wanted:
            assert sights[i] is None
            sights[i] = shown[i]
            looks += 1
    assert looks <= len(shown)
    assert None not in sights
    for concluded, true, seen, there in zip(sights, truth, shown, beneath, strict=True):
        # Between two looks at the same file it was there also while nobody might look.
        assert concluded in (true, seen, there)
    if damaged.isdisjoint(range(len(truth))):
        versions = fold_versions(sights)
        assert {v.stand for v in versions} == {s for s in truth if isinstance(s, Stand)}
        for version in versions:
            visible = sum(sight == version.stand for sight in truth)
            assert visible <= version.count <= sum(s == version.stand for s in beneath)


@given(st.integers(2, 20_000))
@settings(max_examples=20, deadline=None)
def test_a_file_that_never_changed_costs_two_looks(count: int) -> None:
    stand = Stand(5, 1, 3, 1, 1, 0o100644)
    sights: list[Sight | None] = [None] * count
    looks = 0
    while wanted := plan_looks(sights):
        for i in wanted:
            sights[i] = stand
            looks += 1
        conclude(sights)
    assert looks == 2
    assert [v.runs for v in fold_versions(sights)] == [((0, count - 1),)]
