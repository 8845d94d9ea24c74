"""Two sides' records of one sequence: where do they differ first, and what does it take?"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .world import Operation, Record

Run = Callable[[list[Operation]], list[Record]]


class Disagreement(AssertionError):
    """The sides saw different things."""


class Unsteady(AssertionError):
    """The sides saw different things once, and the same ones when they did the same again."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first one."""

    number: int
    """Of the operation; as many as there are operations for the look at the end."""
    model: Any
    real: Any
    where: str
    why: str
    """What real ZFS said."""


def as_json(records: list[Record]) -> list[Record]:
    """As they look after a way through JSON."""
    plain: list[Record] = json.loads(json.dumps(records))
    return plain


def find_difference(model: list[Record], real: list[Record]) -> Difference | None:
    """The first operation after which something differs, and what."""
    for number, (one, two) in enumerate(zip(as_json(model), as_json(real), strict=True)):
        why = two.pop("why", "")
        one.pop("why", "")
        if one != two:
            where, left, right = _narrow(one, two)
            return Difference(number, left, right, where, why)
    return None


def _narrow(one: Any, two: Any, where: str = "") -> tuple[str, Any, Any]:
    """Down to the smallest part that differs."""
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        key = next(k for k in one if one[k] != two[k])
        return _narrow(one[key], two[key], f"{where}/{key}")
    if isinstance(one, dict) and isinstance(two, dict):
        both = one.keys() & two.keys()
        left = {k: v for k, v in one.items() if k not in both}
        right = {k: v for k, v in two.items() if k not in both}
        return where, left, right
    return where, one, two


def shrink(
    operations: list[Operation], still_differs: Callable[[list[Operation]], bool], tries: int
) -> list[Operation]:
    """Leave out what is not needed for a difference, at most `tries` runs."""
    size = max(1, len(operations) // 2)
    while size and tries > 0:
        start = len(operations)
        while start > 0 and tries > 0:
            start -= size
            shorter = operations[: max(0, start)] + operations[max(0, start) + size :]
            tries -= 1
            if shorter and still_differs(shorter):
                operations = shorter
        size //= 2
    return operations


def render(operations: list[Operation], difference: Difference) -> str:
    """For a person: the operations, and what differs."""
    lines = [f"  {number:3} {json.dumps(op)}" for number, op in enumerate(operations)]
    after = (
        f"after operation {difference.number}" if difference.number < len(lines) else "at the end"
    )
    return "\n".join(
        [
            f"model and real ZFS disagree {after}, in {difference.where or 'all'}:",
            f"  model: {json.dumps(difference.model)}",
            f"  real:  {json.dumps(difference.real)}",
            *([f"  it says: {difference.why}"] if difference.why else []),
            "operations:",
            *lines,
        ]
    )
