"""One line of the table of roles, as plain data: when does it hold, and what follows?

A row is a box: for each fact a set of words, and it holds where every fact's word is in its set. So
a test can compute, without trying anything, which rows can never hold and whether one always does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar, get_type_hints

from zrepl_py.model.roles import Advance, Decision, Refusal, Refuse, SiteView, State, Stay, Write

Word = TypeVar("Word", bound=StrEnum)

FACTS: dict[str, tuple[Any, ...]] = {
    field.name: (
        (False, True) if (kind := get_type_hints(SiteView)[field.name]) is bool else tuple(kind)
    )
    for field in fields(SiteView)
}
"""Every fact of a SiteView, in order, with all its words."""


@dataclass(frozen=True, slots=True)
class Row:
    """Where all of `when` holds, `outcome` follows. A fact that is not in `when` may be any."""

    name: str
    when: dict[str, frozenset[Any]]
    outcome: Decision

    def holds(self, view: SiteView) -> bool:
        """Whether it does."""
        for fact, words in self.when.items():  # noqa: SIM110 (half the time of `all()`)
            if getattr(view, fact) not in words:
                return False
        return True

    @property
    def states(self) -> tuple[State, ...]:
        """The states that it is about, in their order."""
        return tuple(state for state in State if state in self.when["state"])


def move(
    name: str,
    states: State | tuple[State, ...],
    to: State,
    sentence: str,
    write: Write = Write.NOTHING,
    **when: Any,
) -> Row:
    """A row that leads to another state."""
    return Row(name, _box(states, when), Advance(name, to, write, sentence))


def refuse(name: str, states: State | tuple[State, ...], refusal: Refusal, **when: Any) -> Row:
    """A row that answers an order with a refusal."""
    return Row(name, _box(states, when), Refuse(name, refusal))


def stay(name: str, states: State | tuple[State, ...], sentence: str, **when: Any) -> Row:
    """A row by which nothing changes."""
    return Row(name, _box(states, when), Stay(name, sentence))


def but(*words: Word) -> tuple[Word, ...]:
    """All words of a fact, except these."""
    return tuple(word for word in type(words[0]) if word not in words)


def _box(states: State | tuple[State, ...], when: dict[str, Any]) -> dict[str, frozenset[Any]]:
    def words() -> Iterator[tuple[str, frozenset[Any]]]:
        for fact, given in {"state": states, **when}.items():
            yield fact, frozenset(given if isinstance(given, tuple) else (given,))

    return dict(words())
