"""One thing that is wrong or risky: a stable word, what it is about, a sentence, and its remedy."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Something is not protected, or soon will not be."""
    WARNING = "warning"
    """It works, but something may go wrong."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What `zr doctor` says once."""

    id: str
    level: Level
    subject: str
    """Dataset, pool, unit, file, … that it is about."""
    sentence: str
    remedy: str


Findings = list[Finding]


def error(id: str, subject: str, sentence: str, remedy: str) -> Finding:
    """Something is not protected, or soon will not be."""
    return Finding(id, Level.ERROR, subject, sentence, remedy)


def warning(id: str, subject: str, sentence: str, remedy: str) -> Finding:
    """It works, but something may go wrong."""
    return Finding(id, Level.WARNING, subject, sentence, remedy)


def note(id: str, subject: str, sentence: str, remedy: str = "") -> Finding:
    """Good to know; nothing has to be done, or not by everybody."""
    return Finding(id, Level.NOTE, subject, sentence, remedy)


def judge_unseen(what: str, why: str) -> Finding:
    """A look that failed: nothing is known of it, so nothing good is said."""
    return warning(
        "not-looked",
        what,
        f"Could not look at {what}: {why}",
        "Run `zr doctor` as root; where it is root already, mend this first.",
    )


def name_some(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(sorted(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
