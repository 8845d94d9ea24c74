"""Frozen dataclasses to JSON values and back, by their type hints. decode(T, encode(x)) == x.

Used for everything that crosses a process or a disk, so that there is one place that refuses what
does not fit: an unknown or missing field, a wrong type, is Corrupt(malformed), never a surprise
later. Integers stay integers (guids are 64 bit: JSON numbers in Python are exact).
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from zrepl_py.errors import Bug, Corrupt

T = TypeVar("T")
_hints = cache(get_type_hints)
_TAG = "type"
_EXACT = (int, str, bool, float)
_PLAIN = frozenset({bool, int, float, str, types.NoneType})


def encode(value: Any) -> Any:
    """A value made of dataclasses, containers, enums and plain values → JSON values.

    Every dataclass carries its class name under `type`, so that unions can be told apart.
    """
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:  # the commonest first: the checks below are dear
        return {str(k): encode(v) for k, v in value.items()}
    if (names := _names(kind)) is not None:
        return {_TAG: kind.__name__, **{name: encode(getattr(value, name)) for name in names}}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(encode(v) for v in value)
    if isinstance(value, list | tuple):
        return [encode(v) for v in value]
    return value


def decode(expected: type[T] | Any, value: Any) -> T:
    """JSON values → `expected`; raises Corrupt(malformed) for anything that does not fit."""
    return cast(T, _decode(expected, value))


@cache
def _names(kind: Any) -> tuple[str, ...] | None:
    """A dataclass's fields in their order; None: it is none."""
    known = dataclasses.is_dataclass(kind)
    return tuple(f.name for f in dataclasses.fields(kind)) if known else None


@cache
def _shape(expected: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """A type's origin, its arguments, and whether it is a dataclass."""
    return get_origin(expected), get_args(expected), dataclasses.is_dataclass(expected)


def _decode(expected: Any, value: Any) -> Any:
    if expected in _EXACT and type(value) is expected:
        return value
    origin, arguments, is_dataclass = _shape(expected)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value)
    if origin in (tuple, list, frozenset, Sequence):
        return _decode_sequence(origin, arguments, value)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise _malformed(expected, value)
        key, held = arguments
        if held in _EXACT and all(type(v) is held for v in value.values()):
            return {_decode(key, k): v for k, v in value.items()}  # mostly so: names and guids
        return {_decode(key, k): _decode(held, v) for k, v in value.items()}
    if is_dataclass:
        return _decode_dataclass(expected, value)
    if isinstance(expected, type) and issubclass(expected, Enum):
        try:
            return expected(value)
        except ValueError:
            raise _malformed(expected, value) from None
    if expected is None or expected is types.NoneType:
        if value is None:
            return None
    elif expected is Any:
        return value
    elif expected is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif type(value) is expected:
        return value
    raise _malformed(expected, value)


def _decode_union(members: tuple[Any, ...], value: Any) -> Any:
    for member in members:
        try:
            return _decode(member, value)
        except Corrupt:
            continue
    raise _malformed(members, value)


def _decode_sequence(origin: Any, arguments: tuple[Any, ...], value: Any) -> Any:
    if not isinstance(value, list):
        raise _malformed(origin, value)
    make = list if origin is Sequence else origin
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(arguments) != len(value):
            raise _malformed(origin, value)
        return tuple(_decode(a, v) for a, v in zip(arguments, value, strict=True))
    return make(_decode(arguments[0], v) for v in value)


def _decode_dataclass(expected: Any, value: Any) -> Any:
    if not isinstance(value, dict) or value.get(_TAG) != expected.__name__:
        raise _malformed(expected, value)
    names, needed = _fields(expected)
    given = {k: v for k, v in value.items() if k != _TAG}
    if not needed <= given.keys() <= names:
        raise _malformed(expected, value)
    hints = _hints(expected)
    try:
        return expected(**{name: _decode(hints[name], v) for name, v in given.items()})
    except Bug as error:
        # An invariant of the type (a History out of order) is broken by whoever sent the value.
        raise Corrupt(
            "malformed", f"A {expected.__name__} that cannot be: {error.message}"
        ) from None


@cache
def _fields(expected: Any) -> tuple[frozenset[str], frozenset[str]]:
    """A dataclass's fields, and those of them that have no default."""
    fields = dataclasses.fields(expected)
    needed = (
        f.name
        for f in fields
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    return frozenset(f.name for f in fields), frozenset(needed)


def _malformed(expected: Any, value: Any) -> Corrupt:
    name = getattr(expected, "__name__", str(expected))
    return Corrupt("malformed", f"Expected {name}, got {repr(value)[:80]}.")
