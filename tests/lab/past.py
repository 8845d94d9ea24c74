"""Snapshots of months, taken within seconds: a node's clock is set before each of them.

ZFS writes down as a snapshot's `creation` what the node's clock says in that moment, a received one
has that of its source, and no command can change it; so there is no other way to a long history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zrepl_py.model.names import Epoch, TickName, render_tick

from .node import Node

EPOCH = Epoch(1, "00000000")
TAKE = r"""
import json, sys, time, libzfs_core
away = time.time() - time.monotonic()
try:
    for at, names in json.load(sys.stdin):
        # A little after the second, for the clock that ZFS reads is the last tick of a timer's.
        time.clock_settime(time.CLOCK_REALTIME, at + 0.05)
        libzfs_core.lzc_snapshot([name.encode() for name in names])
finally:
    time.clock_settime(time.CLOCK_REALTIME, away + time.monotonic())
"""


@dataclass(frozen=True)
class Moment:
    """A snapshot and what the clock says when it is taken."""

    at: int
    name: str
    """The part after the @."""


def name_tick(seq: int, at: int) -> str:
    """As a tick of zr would call it."""
    return render_tick(TickName(EPOCH, seq, at))


def take_past(
    node: Node, taken: Iterable[tuple[int, Sequence[str]]], *, timeout_seconds: float = 600
) -> None:
    """(what the clock says, whole names of snapshots of different datasets), in this order. The
    clock is right again at the end."""
    argv = ["/usr/bin/python3", "-c", TAKE]
    order = json.dumps([[at, list(names)] for at, names in taken]).encode()
    node.run(argv, stdin=order, timeout_seconds=timeout_seconds)


def created_at(node: Node, dataset: str) -> dict[str, int]:
    """Name after the @ → the pool's `creation`, oldest first."""
    argv = ["zfs", "list", "-Hp", "-d1", "-t", "snapshot", "-s", "createtxg", "-o", "name,creation"]
    rows = (line.split("\t") for line in node.run([*argv, dataset]).text.splitlines())
    return {name.partition("@")[2]: int(creation) for name, creation in rows}
