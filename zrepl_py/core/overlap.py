"""Could two policies mean the same dataset, whatever datasets come to exist?

Exact for patterns as people write them: names are grown character by character, and every pattern
of both selections is followed at once. Beyond a limit of patience the answer is None; then only
datasets that exist can still show the overlap (compare what core/selection selects for each).
"""

from collections import deque
from dataclasses import dataclass

from zrepl_py.model.names import MAX_NAME_BYTES
from zrepl_py.model.policy import Selection

_ORDINARY = "xyzabcdefghijklmnopqrstuvwXYZ0123456789"
_STATES = 50_000
"""States visited at most: what people write needs a few hundred."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """A pattern as a row of places; a set of places is where a name's beginning may stand."""

    tokens: tuple[str, ...]
    """A character; `?` one or more of anything but `/` begins; `*` any of them; `**` all below."""

    def begin(self) -> frozenset[int]:
        return self._settle({0})

    def step(self, places: frozenset[int], character: str) -> frozenset[int]:
        following: set[int] = set()
        for place in places:
            if place > len(self.tokens):
                following.add(place)  # inside what `**` stands for
                continue
            token = self.tokens[place] if place < len(self.tokens) else ""
            if token == "**" and character == "/":
                following.add(len(self.tokens) + 1)
            elif token == "*" and character != "/":
                following.add(place)
            elif token == character or (token == "?" and character != "/"):
                following.add(place + 1)
        return self._settle(following)

    def accepts(self, places: frozenset[int]) -> bool:
        return any(place >= len(self.tokens) for place in places)

    def _settle(self, places: set[int]) -> frozenset[int]:
        for place in list(places):
            while place < len(self.tokens) and self.tokens[place] in ("*", "**"):
                place += 1
                places.add(place)
        return frozenset(places)


_Places = tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class _Follower:
    """A selection, all its patterns followed at once."""

    include: tuple[_Machine, ...]
    exclude: tuple[_Machine, ...]

    def begin(self) -> _Places:
        return tuple(m.begin() for m in self.include + self.exclude)

    def step(self, places: _Places, character: str) -> _Places:
        machines = self.include + self.exclude
        return tuple(m.step(p, character) for m, p in zip(machines, places, strict=True))

    def alive(self, places: _Places) -> bool:
        return any(places[: len(self.include)])

    def selects(self, places: _Places) -> bool:
        machines = self.include + self.exclude
        accepted = [m.accepts(p) for m, p in zip(machines, places, strict=True)]
        here = len(self.include)
        return any(accepted[:here]) and not any(accepted[here:])


def find_overlap(first: Selection, second: Selection) -> str | None:
    """The shortest name of a dataset that both would select, or None where none is possible."""
    a, b = _follower(first), _follower(second)
    alphabet = _alphabet(first, second)
    start = (a.begin(), b.begin(), True)
    queue = deque([(start, "")])
    visited = {start}
    while queue and len(visited) < _STATES:
        (here_a, here_b, at_slash), name = queue.popleft()
        if not at_slash and a.selects(here_a) and b.selects(here_b):
            return name
        if len(name) == MAX_NAME_BYTES:
            continue
        for character in alphabet if at_slash else (*alphabet, "/"):
            state = (a.step(here_a, character), b.step(here_b, character), character == "/")
            if a.alive(state[0]) and b.alive(state[1]) and state not in visited:
                visited.add(state)
                queue.append((state, name + character))
    return None


def _follower(selection: Selection) -> _Follower:
    return _Follower(
        tuple(_Machine(_tokens(p)) for p in selection.include),
        tuple(_Machine(_tokens(p)) for p in selection.exclude),
    )


def _tokens(pattern: str) -> tuple[str, ...]:
    body, below = (pattern[:-3], ("**",)) if pattern.endswith("/**") else (pattern, ())
    tokens: list[str] = []
    for component in body.split("/"):
        # A component is never empty, so a lone `*` stands for at least one character.
        tokens += ["?", "*"] if component == "*" else list(component)
        tokens.append("/")
    return (*tokens[:-1], *below)


def _alphabet(*selections: Selection) -> tuple[str, ...]:
    """Every character that a pattern spells out, and one that none does, if there is one."""
    patterns = [p for s in selections for p in s.include + s.exclude]
    spelled = sorted({c for p in patterns for c in p} - set("*/"))
    other = next((c for c in _ORDINARY if c not in spelled), None)
    return (*([other] if other else []), *spelled)
