"""The one tree of errors. Which question it answers: who must act, and how?

    ZrError
    ├── Refused   exit 3   we decided not to do it; asking again changes nothing
    ├── Passing   exit 4   the world will change by itself; retried soon, with backoff
    ├── Standing  exit 5   a person must change something first
    ├── Corrupt   exit 6   evidence of damage: stop, and keep the evidence
    └── Bug       exit 70  our own promise is broken: crash, let systemd restart

A lane that stands for another reason is looked at again once a minute, by observing both sides:
a person may have acted, and a dataset must not stay unprotected for want of a restart. Nothing is
repeated blindly, and what was found is told each time.

(Exit 2 is a wrong call of the command line, exit 0 is success.)

Every error carries a `reason`, a stable word for scripts (docs/reference/errors.md lists all of
them, and a test keeps that list whole), a sentence, and a `remedy`: one sentence that says what
to do. Adapters translate what they see into this tree; nobody above them looks into messages.
Secrets never enter a message.
"""

from typing import ClassVar


class ZrError(Exception):
    """Base of every error that zr raises on purpose."""

    exit_code: ClassVar[int] = 70

    def __init__(self, reason: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class Refused(ZrError):
    """We decided not to."""

    exit_code = 3


class Passing(ZrError):
    """The world will change; retried with backoff."""

    exit_code = 4


class Standing(ZrError):
    """A person must change something."""

    exit_code = 5


class Corrupt(ZrError):
    """Evidence of damage."""

    exit_code = 6


class Bug(ZrError):
    """Our own promise is broken."""

    exit_code = 70


KINDS: dict[str, type[ZrError]] = {
    kind.__name__: kind for kind in (Refused, Passing, Standing, Corrupt, Bug)
}
