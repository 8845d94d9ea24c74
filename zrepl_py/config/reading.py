"""How is a TOML file read so that nothing in it is overlooked or misread?

A Reader hands out the values of one table and remembers every key that was asked for; `finish`
refuses the rest, with the nearest valid key. Problems are collected, not raised, so that one run
shows all of them; whoever loads raises once, at the end. Never guesses, never ignores a key.
"""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from zrepl_py.errors import Standing

T = TypeVar("T")
_HEADER = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*["']?([^="']+?)["']?\s*=""")


@dataclass
class Problems:
    """What is wrong, one sentence each, in the order in which it was found."""

    sentences: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def raise_any(self, remedy: str = "Correct it; nothing was changed.") -> None:
        """Raise Standing(config) with all sentences, if there are any."""
        if len(self.sentences) == 1:
            raise Standing("config", self.sentences[0], remedy)
        if self.sentences:
            listed = "".join(f"\n  - {sentence}" for sentence in self.sentences)
            count = len(self.sentences)
            raise Standing("config", f"The configuration has {count} problems:{listed}\n", remedy)


@dataclass
class Reader:
    """One table of one file. `keys` is the table's own place (`retention.alpha`), "" at the top."""

    origin: str
    text: str
    keys: str
    table: dict[str, Any]
    problems: Problems
    asked: set[str] = field(default_factory=set)

    def problem(self, key: str, sentence: str) -> None:
        """Note that the value of `key` is wrong."""
        place = f"{self.keys}.{key}" if self.keys else key
        line = _find_line(self.text, self.keys, key)
        where = f"{self.origin}, line {line}" if line else self.origin
        self.problems.add(f"{where}: {place}: {sentence}.")

    def has(self, key: str) -> bool:
        """Is the key there? Also makes it known."""
        self.asked.add(key)
        return key in self.table

    def value(self, key: str, kind: type[T], expected: str, default: T | None) -> T:
        """The value if it is of that type, else `default`, with a problem noted where due."""
        if not self.has(key):
            if default is None:
                self.problem(key, f"is missing; expected {expected}")
                return kind()
            return default
        value = self.table[key]
        # bool is an int for Python, not for people.
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            self.problem(key, f"expected {expected}, found {_render(value)}")
            return kind() if default is None else default
        return value

    def text_of(self, key: str, default: str | None = None) -> str:
        """A string that is not empty."""
        value = self.value(key, str, "a text in quotes", default)
        if value == "" and key in self.table and isinstance(self.table[key], str):
            self.problem(key, "must not be empty")
        return value

    def number(self, key: str, default: int | None, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        expected = f"a whole number from {lowest} to {highest}"
        value = self.value(key, int, expected, default)
        given = type(self.table.get(key)) is int
        if given and not lowest <= value <= highest:
            self.problem(key, f"expected {expected}, found {value}")
        return value

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        """A list of strings, none twice."""
        value: list[Any] = self.value(key, list, "a list of texts", default)
        if not all(isinstance(item, str) and item for item in value):
            self.problem(key, "expected a list of texts in quotes, none of them empty")
            return ()
        for item in sorted({item for item in value if value.count(item) > 1}):
            self.problem(key, f"names {item!r} twice")
        return tuple(value)

    def parsed(self, key: str, parse: Callable[[str], T], default: T) -> T:
        """A string that `parse` understands (it raises ValueError with a sentence)."""
        if not self.has(key):
            return default
        text = self.value(key, str, "a text in quotes", "")
        if not isinstance(self.table[key], str):
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.problem(key, str(error))
            return default

    def sub(self, key: str, required: bool = False) -> "Reader":
        """A table in this one; an empty one where it is missing or no table."""
        present = self.has(key)
        value = self.table.get(key, {})
        if (required and not present) or not isinstance(value, dict):
            self.problem(key, f"expected a table [{key}]" if present else "the table is missing")
            value = {}
        place = f"{self.keys}.{key}" if self.keys else key
        return Reader(self.origin, self.text, place, value, self.problems)

    def tables(self, key: str) -> list["Reader"]:
        """The tables of a list, `[[KEY]]`, none where it is missing. Problems in the second one are
        those of `KEY[2]`."""
        value = self.value(key, list, f"tables [[{key}]]", [])
        if not all(isinstance(item, dict) for item in value):
            self.problem(key, f"expected tables [[{key}]]")
            return []
        place = f"{self.keys}.{key}" if self.keys else key
        return [
            Reader(self.origin, self.text, f"{place}[{number}]", table, self.problems)
            for number, table in enumerate(value, 1)
        ]

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key in sorted(self.table.keys() - self.asked):
            near = difflib.get_close_matches(key, sorted(self.asked), 1, 0.5)
            hint = (
                f"did you mean {near[0]}" if near else f"known are {', '.join(sorted(self.asked))}"
            )
            self.problem(key, f"this key is not known; {hint}")


def open_reader(path: Path, newest_format: int, problems: Problems) -> Reader | None:
    """Read and parse a file, and check its `format`; None where that already failed."""
    origin = str(path)
    try:
        text = path.read_bytes().decode()
        table = tomllib.loads(text)
    except OSError as error:
        problems.add(f"{origin}: cannot be read: {error.strerror}.")
    except UnicodeDecodeError:
        problems.add(f"{origin}: is not text in UTF-8.")
    except tomllib.TOMLDecodeError as error:
        problems.add(f"{origin}: is not valid TOML: {error}.")
    else:
        reader = Reader(origin, text, "", table, problems)
        format_ = reader.value("format", int, f"a number (format = {newest_format})", None)
        if format_ > newest_format:
            known = f"this version of zr knows formats up to {newest_format}"
            reader.problem("format", f"{format_} was written for a newer zr; {known}")
            return None
        if format_ < 1:
            if type(table.get("format")) is int:
                reader.problem("format", f"expected {newest_format}, found {format_}")
            return None
        return reader
    return None


def _find_line(text: str, keys: str, key: str) -> int | None:
    """Where `key` of the table `keys` stands, or where the table begins; for messages only."""
    here, header, lists = "", None, Counter[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADER.match(line):
            here = re.sub(r"""["'\s]""", "", match[2])
            if match[1]:
                lists[here] += 1
                here = f"{here}[{lists[here]}]"
            if here == keys:
                header = number
            if here == (f"{keys}.{key}" if keys else key):
                return number
        elif here == keys and (match := _KEY.match(line)) and match[1].strip() == key:
            return number
    return header


def _render(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
