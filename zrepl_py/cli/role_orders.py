"""How is an order about a group's roles given to the daemon, and how is its outcome waited for?

The daemon does the work, in turns; a command gives the order, tells each step, and ends with what
came of it. Whatever ends the command (Ctrl-C, its deadline, the terminal), the order goes on: a
change of roles that stops half-way because somebody closed a window would help nobody.
"""

import os
import pwd
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.cli.asking import POLL_SECONDS, ask_daemon
from zrepl_py.cli.role_say import Facts, render_step
from zrepl_py.cli.words import render_json
from zrepl_py.errors import KINDS, Bug, Passing, Refused, Standing, ZrError

FORMAT = 1
INTERRUPTED = 130
RESTARTED_SECONDS = 20.0
"""After a restart of the daemon, in which it finds out what it is."""
PATIENCE_SECONDS = 5.0
"""An error that stays so long is told as the outcome: a single turn may fail and the next not."""


def find_role(config: str, group: str | None) -> dict[str, Any]:
    """The group that is meant: `role_show` of it. `group`: its name, `radio` or `radio/tank`; None
    where there is only one. Errors: Refused(no-roles), click.UsageError."""
    roles: list[dict[str, Any]] = ask_daemon(config, "role_show")
    known = ", ".join(role["group"] for role in roles)
    if group is not None:
        roles = [role for role in roles if group in (role["group"], role["name"])]
    if not roles:
        named = f"No group {group} of this node has roles" if group else "No group here has roles"
        raise Refused(
            "no-roles",
            f"{named}.",
            f"Those that have: {known}."
            if known
            else "Roles are set up by a table [roles.POLICY] in zr.toml of both nodes.",
        )
    if len(roles) > 1:
        raise click.UsageError(f"say which group is meant: {known}")
    return roles[0]


def name_policy(group: str | None) -> str | None:
    """`radio/tank` → `radio`: as the daemon is asked for a group."""
    return group.partition("/")[0] if group is not None else None


def ask_who() -> str:
    """The person at the terminal, for the record."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _nothing(_: Facts) -> Iterable[str]:
    return ()


@dataclass
class Following:
    """One order, from giving it to its end."""

    config: str
    role: dict[str, Any]
    """The group as it was when the command began."""
    seconds: int
    """The deadline, from now."""
    quiet: bool
    steps: list[dict[str, Any]] = field(default_factory=list)
    """For `--json`: `{"at_seconds", "step"}`."""

    def __post_init__(self) -> None:
        self._clock = MachineClock()
        self._began = self._clock.monotonic()
        self.deadline = Deadline(self._clock, self.seconds)
        self._said: set[str] = set()
        self._wrong: tuple[str, float] | None = None
        self._lost: Deadline | None = None
        self._live = sys.stderr.isatty() and not self.quiet
        self._last = ""
        self._shown = str(self.role.get("step") or "")

    @property
    def group(self) -> str:
        """The policy's name."""
        return str(self.role["group"])

    @property
    def spent_seconds(self) -> float:
        """Since the command began."""
        return self._clock.monotonic() - self._began

    def give(self, order: str, statement: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Give it, and wait until it is over; returns `role_show` of then.

        Errors: the refusal; what stays in the way; Passing(not-in-time).
        """
        self._draw()
        asked = ask_daemon(
            self.config,
            "role_order",
            group=self.group,
            order=order,
            statement=statement,
            who=ask_who(),
        )
        return self._until(lambda: self._look(asked["id"]))

    def wait(
        self, done: Callable[[Facts], bool], missing: Callable[[Facts], Iterable[str]] = _nothing
    ) -> dict[str, Any]:
        """Wait until the group is so, without an order; returns `role_show` of then. `missing`:
        sentences that are told where it lasts."""
        began = self.spent_seconds
        return self._until(lambda: self._glance(done, missing, began))

    def show(self) -> dict[str, Any]:
        """The group now."""
        return find_role(self.config, self.group)

    def _look(self, known_as: int) -> dict[str, Any] | None:
        """The group, once the order is over; None before."""
        try:
            seen = ask_daemon(self.config, "role_look", group=self.group, id=known_as)
        except Refused as error:
            if error.reason != "no-order":
                raise
            return self._find_again()
        self._tell_steps(seen.get("steps") or [])
        if seen["over"]:
            if seen.get("refusal"):
                raise make_error(seen["refusal"])
            return self.show()
        self._judge(seen.get("error"))
        self._tell_wait(seen.get("waits_for"))
        return None

    def _find_again(self) -> dict[str, Any] | None:
        """The daemon was restarted, and knows of no order: what was begun is found by looking."""
        self._tell_wait("The daemon was restarted. What was begun goes on; what was not, does not.")
        if self._lost is None:
            self._lost = Deadline(self._clock, RESTARTED_SECONDS)
        role = self.show()
        return role if role["state"] != "unknown" or self._lost.expired() else None

    def _glance(
        self, done: Callable[[Facts], bool], missing: Callable[[Facts], Iterable[str]], began: float
    ) -> dict[str, Any] | None:
        """The group, once it is so; None before."""
        role = self.show()
        step = role.get("step") or ""
        if step not in (self._shown, self._last):
            self._tell_steps([step])
        self._shown = step
        if done(role):
            return role
        self._judge(role.get("error"))
        if self.spent_seconds - began >= PATIENCE_SECONDS:
            for sentence in missing(role):
                self._tell_wait(sentence)
        return None

    def _until(self, look: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        try:
            while True:
                try:
                    if (role := look()) is not None:
                        return role
                except Standing as error:
                    if error.reason != "daemon-silent" or self.deadline.expired():
                        raise
                    self._tell_wait("The daemon does not answer: it may be starting again.")
                if self.deadline.expired():
                    raise self._not_in_time()
                self._draw()
                self._clock.sleep(POLL_SECONDS)
        finally:
            self._clear()

    def _judge(self, wrong: Mapping[str, str] | None) -> None:
        """Tell what a turn failed with; end where it stays and a person must act."""
        if wrong is None:
            self._wrong = None
            return
        error, now = make_error(wrong), self._clock.monotonic()
        self._tell_wait(str(error))
        if isinstance(error, Passing):
            return
        if self._wrong is None or self._wrong[0] != error.message:
            self._wrong = (error.message, now)
        elif now - self._wrong[1] >= PATIENCE_SECONDS:
            raise type(error)(
                error.reason,
                error.message,
                f"{error.remedy} It goes on by itself then; `zr status` shows it.".strip(),
            )

    def _not_in_time(self) -> Passing:
        role = self.show()
        last = f" The last step: {render_step(self._last)}." if self._last else ""
        return Passing(
            "not-in-time",
            f"After {self.seconds} s it is not over: {self.group} on {role['here']} is "
            f"{role['state']}.{last}",
            "It goes on by itself; `zr status` shows how far it is, and what it waits for.",
        )

    def _tell_steps(self, steps: list[str]) -> None:
        for step in steps:
            if step in ("rest", ""):
                continue
            self._last = step
            self.steps.append({"at_seconds": round(self.spent_seconds, 1), "step": step})
            self.tell(f"{self.spent_seconds:6.1f} s  {render_step(step)}")

    def _tell_wait(self, sentence: str | None) -> None:
        if sentence and sentence not in self._said:
            self._said.add(sentence)
            self.tell(f"{self.spent_seconds:6.1f} s  … {sentence}")

    def tell(self, line: str) -> None:
        """A line of progress."""
        if not self.quiet:
            self._clear()
            click.echo(line, err=True)

    def _draw(self) -> None:
        if self._live:
            click.echo(f"\r{self.spent_seconds:6.1f} s  …\033[K", err=True, nl=False)

    def _clear(self) -> None:
        if self._live:
            click.echo("\r\033[K", err=True, nl=False)


@contextmanager
def goes_on(sentence: str) -> Iterator[None]:
    """Ctrl-C ends the command, not the order: say so, and how it is taken back."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"zr: interrupted. {sentence}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def make_error(failure: Mapping[str, str]) -> ZrError:
    """What the daemon told of, as an error again."""
    kind = KINDS.get(failure.get("kind", ""), Bug)
    return kind(failure["reason"], failure["message"], failure.get("remedy", ""))


def tell_outcome(following: Following, role: Facts, sentence: str, *, as_json: bool) -> None:
    """The last word of a command that went well."""
    if not as_json:
        click.echo(sentence)
        return
    told = {
        "format": FORMAT,
        "group": following.group,
        "seconds": round(following.spent_seconds, 1),
        "steps": following.steps,
        "role": role,
    }
    click.echo(render_json(told))
