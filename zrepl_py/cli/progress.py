"""How does a long wait for transfers look? On a terminal a bar with rate and remaining time, else
one line for each dataset that has arrived. Both on standard error: standard output is for results.
"""

import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.cli.words import render_size, render_span

RATE_SECONDS = 10.0
"""The rate is that of the last so many seconds."""
BAR_CELLS = 30


@dataclass(frozen=True, slots=True)
class Shown:
    """One lane, at one moment."""

    lane: str
    label: str
    sent_bytes: int
    """Since the daemon's start."""
    arrived: bool


@dataclass
class Rate:
    """Bytes per second over the last seconds."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, at: float, done_bytes: int) -> float:
        """The rate, now that so much is done."""
        self.samples.append((at, done_bytes))
        while len(self.samples) > 2 and at - self.samples[0][0] > RATE_SECONDS:
            self.samples.popleft()
        began, before = self.samples[0]
        return (done_bytes - before) / (at - began) if at > began else 0.0


class Progress:
    """Shows what `update` hears. `sizes`: lane → bytes to send, None where unknown."""

    def __init__(self, sizes: dict[str, int | None], *, live: bool, quiet: bool) -> None:
        self._sizes, self._live, self._quiet = sizes, live, quiet
        self._first: dict[str, int] = {}
        self._told = {lane for lane, size in sizes.items() if size == 0}
        self._troubles: set[str] = set()
        self._rate, self._clock, self._drawn = Rate(), MachineClock(), False

    def update(self, lanes: list[Shown], troubles: Sequence[str] = ()) -> None:
        """Show how far it is now, and what is in the way: each once."""
        for lane in lanes:
            self._first.setdefault(lane.lane, lane.sent_bytes)
        if self._quiet:
            return
        for lane in lanes:
            if lane.arrived and lane.lane not in self._told:
                self._told.add(lane.lane)
                sent = lane.sent_bytes - self._first[lane.lane]
                self._say(
                    f"{lane.label}: in sync" + (f", {render_size(sent)} sent" if sent else "")
                )
        for trouble in troubles:
            if trouble not in self._troubles:
                self._troubles.add(trouble)
                self._say(trouble)
        if self._live and any(not lane.arrived for lane in lanes):
            self._draw(lanes)

    def clear(self) -> None:
        """Leave no bar behind."""
        if self._drawn:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._drawn = False

    def _say(self, line: str) -> None:
        self.clear()
        print(line, file=sys.stderr, flush=True)

    def _draw(self, lanes: list[Shown]) -> None:
        done = {lane.lane: lane.sent_bytes - self._first[lane.lane] for lane in lanes}
        rate = self._rate.add(self._clock.monotonic(), sum(done.values()))
        arrived = sum(lane.arrived for lane in lanes)
        line = render_bar(
            {lane.lane: (done[lane.lane], self._sizes.get(lane.lane)) for lane in lanes},
            {lane.lane for lane in lanes if lane.arrived},
            rate,
        )
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{f'{line}  {arrived}/{len(lanes)} datasets'[:width]}\033[K")
        sys.stderr.flush()
        self._drawn = True


def render_bar(lanes: dict[str, tuple[int, int | None]], arrived: set[str], rate: float) -> str:
    """`lanes`: lane → (bytes sent, about how many to send or None). One line.

    Sizes are estimates: what has arrived counts as whole, what goes on is never shown as whole.
    """
    done = sum(sent for sent, _ in lanes.values())
    speed = f"{render_size(done)} sent, {render_size(rate)}/s"
    if any(size is None and lane not in arrived for lane, (_, size) in lanes.items()):
        return f"{speed}, size not known yet"
    left = sum(
        max(0, (size or 0) - sent) for lane, (sent, size) in lanes.items() if lane not in arrived
    )
    share = min(0.99, done / (done + left)) if done + left else 0.0
    full = round(share * BAR_CELLS)
    bar = "#" * full + "-" * (BAR_CELLS - full)
    remaining = f", about {render_span(left / rate)} left" if rate > 0 and left else ""
    return f"[{bar}] {share:4.0%}  {speed}{remaining}"


@contextmanager
def show_progress(sizes: dict[str, int | None], *, quiet: bool) -> Iterator[Progress]:
    """A Progress that leaves the terminal clean, however the wait ends."""
    progress = Progress(sizes, live=sys.stderr.isatty(), quiet=quiet)
    try:
        yield progress
    finally:
        progress.clear()


@contextmanager
def count_shown(step: int, render: Callable[[int], str]) -> Iterator[Callable[[int], None]]:
    """On a terminal: one line that counts, for work whose end is not known. Call it with the whole
    so far; it is written anew after each `step`."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    shown = 0

    def show(done: int) -> None:
        nonlocal shown
        if done - shown >= step:
            shown = done
            click.echo(f"\rzr: {render(done)}", nl=False, err=True)

    try:
        yield show
    finally:
        if shown:
            click.echo(err=True)
