"""Two readings of the same snapshot: where do they differ, by file? Pure.

Pages are compared by their digests alone; only where these differ are the records compared, one by
one, as far as both sides have come.
"""

from collections.abc import Iterable, Sequence

from zrepl_py.core.proof_digest import (
    ATTRIBUTES,
    ENTRY,
    OBJECT,
    UNREADABLE,
    Components,
    Key,
    key_of,
    key_of_line,
    offset_of,
    parse_path,
    render_path,
)
from zrepl_py.model.proof import (
    NO_CHAIN,
    Difference,
    Page,
    Position,
    Side,
    Tally,
    Verdict,
    Wrong,
)

MOST_DIFFERENCES = 1000
"""So many are named; all are counted."""


def is_same(mine: Page, theirs: Page) -> bool:
    """Nothing more is to be compared here: all was read, and all is equal."""
    return (
        mine.next == theirs.next
        and mine.ended == theirs.ended
        and mine.acls == theirs.acls
        and not mine.unreadable
    )


def meeting(mine: Page, theirs: Page) -> tuple[Position, bool]:
    """Where the comparison goes on after two pages that differ, and whether that is the end."""
    if mine.ended and theirs.ended:
        return max(mine.next, theirs.next, key=key_of), True
    going = [page.next for page in (mine, theirs) if not page.ended]
    least = min(going, key=key_of)
    return Position(least.path, least.done, NO_CHAIN), False


def compare_records(
    source: Sequence[str],
    target: Sequence[str],
    end: Position | None,
    before: Sequence[Difference] = (),
) -> list[Difference]:
    """What is not the same, in order, one for each path. `end`: where the comparison goes on;
    what lies behind it comes again. None: at the end of the tree. `before`: what was found so far:
    a directory that could not be read may have more in it than a page."""
    last = key_of(end) if end is not None else None
    mine, theirs = _keyed(source, last), _keyed(target, last)
    dark = {
        Side.SOURCE: _dark(mine.values()) | _known_dark(before, Side.SOURCE),
        Side.TARGET: _dark(theirs.values()) | _known_dark(before, Side.TARGET),
    }
    found: dict[Components, Difference] = {}
    for key in sorted(mine.keys() | theirs.keys()):
        difference = _judge(key, mine.get(key), theirs.get(key), dark)
        if difference is None:
            continue
        known = found.get(key[0])
        # Damage says more than a difference that may only follow from it.
        if known is None or (
            difference.wrong is Wrong.UNREADABLE and known.wrong is not Wrong.UNREADABLE
        ):
            found[key[0]] = difference
    return [found[path] for path in sorted(found)]


def _keyed(lines: Iterable[str], last: Key | None) -> dict[Key, str]:
    keyed = {key_of_line(line): line for line in lines}
    return {key: line for key, line in keyed.items() if last is None or key < last}


def _dark(lines: Iterable[str]) -> frozenset[Components]:
    """Paths of which something cannot be read: what is below them says nothing."""
    return frozenset(key_of_line(line)[0] for line in lines if line.startswith(UNREADABLE))


def _known_dark(known: Iterable[Difference], side: Side) -> frozenset[Components]:
    return frozenset(
        parse_path(d.path) for d in known if d.wrong is Wrong.UNREADABLE and d.side is side
    )


def _judge(
    key: Key, mine: str | None, theirs: str | None, dark: dict[Side, frozenset[Components]]
) -> Difference | None:
    path, index = render_path(key[0]), key[1]
    offset = offset_of(index) if index else None
    for side, line in ((Side.TARGET, theirs), (Side.SOURCE, mine)):
        if line is not None and line.startswith(UNREADABLE):
            error = line.split(" ")[3]
            return Difference(path, Wrong.UNREADABLE, side, error, offset)
    if mine is not None and theirs is not None:
        if mine == theirs:
            return None
        what = _changed(mine, theirs) if index == 0 else "content"
        return Difference(path, Wrong.DIFFERS, None, what, offset)
    side = Side.TARGET if theirs is None else Side.SOURCE
    if any(key[0][:depth] in dark[side] for depth in range(len(key[0]) + 1)):
        return None
    if index:
        return Difference(path, Wrong.DIFFERS, None, "content", offset)
    return Difference(path, Wrong.MISSING, side)


def _changed(mine: str, theirs: str) -> str:
    """Names of the attributes that two entries of one path have not in common."""
    first, second = mine.split(" "), theirs.split(" ")
    if first[0] == second[0] == OBJECT:
        return "attributes"
    if first[0] != ENTRY or second[0] != ENTRY or len(first) != len(second):
        return "size"
    pairs = zip(ATTRIBUTES, first[2:], second[2:], strict=False)
    return ", ".join(name for name, a, b in pairs if a != b) or "record"


def add_page(tally: Tally, mine: Page, found: Sequence[Difference]) -> Tally:
    """One more page was compared."""
    known = {d.path for d in tally.differences[-1:]}  # a path that two pages share is one
    new = [d for d in found if d.path not in known]
    room = max(0, MOST_DIFFERENCES - len(tally.differences))
    return Tally(
        tally.entries + mine.entries,
        tally.size_bytes + mine.size_bytes,
        tally.wrong + len(new),
        tally.acls,
        (*tally.differences, *new[:room]),
    )


def judge_tally(tally: Tally) -> Verdict:
    """What came of a comparison that went to the end."""
    if any(d.wrong is Wrong.UNREADABLE for d in tally.differences):
        return Verdict.DAMAGED
    return Verdict.DIFFERENT if tally.wrong else Verdict.EQUAL
