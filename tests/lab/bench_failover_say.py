"""What `make bench-failover` prints: what was measured, beside what others have published.

The figures of others are those of research/failover.md §3.1, with the source that it names; they
are of other things on other machines, so they say in which order of magnitude people live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TARGETS = {
    "switchover: nobody can write": 3.0,
    "promotion: command → address answers": 10.0,
}
COMPARED = {"switchover: nobody can write": "by hand: nobody can write"}
"""Ours → what it is compared with, measured in the same run."""
OTHERS = (
    ("XSKY stretched cluster", "≈ 10 s: the access path's address alone", "a case of theirs"),
    ("keepalived (VRRP)", "≈ 3.0-4.0 s with advert_int 1; no data", "keepalived #1835, docs"),
    ("Patroni", "~30-50 s with its defaults (ttl 30)", "docs/replication_modes.rst, watchdog.rst"),
    ("pg_auto_failover", "detection ~20-30 s", "docs/faq.rst"),
    ("repmgr", "6 × 10 s until it acts, then promote", "doc/repmgrd-configuration.xml"),
    ("DRBD + Heartbeat", "15-30 s", "lists.linbit 2008-October/010581"),
    ("DRBD + Pacemaker", "~20 s (power), ~40 s (cable)", "lists.clusterlabs 2011-02"),
    ("ZFS import on failover", "~20 s + 20-30 s per zvol, to > 3 min", "openzfs #11486"),
    ("TrueNAS HA", "pool export 4 s, SCSI reservation ~11 s", "middleware event.py"),
    ("QNAP HA", "~89-90 s", "vendor's page"),
    ("RSF-1 shared-nothing ZFS", "a snapshot every 15 min by default", "high-availability.com"),
    ("Proxmox pvesr", "by hand or HA; at best 1 min behind", "Proxmox docs"),
)


@dataclass(frozen=True)
class Measure:
    """One value."""

    value: float
    unit: str


@dataclass(frozen=True)
class Step:
    """One event of the roles."""

    at: float
    """Seconds after the command, or after power on."""
    node: str
    event: Mapping[str, Any]


def render_table(
    found: Mapping[str, Sequence[Measure]], median: Callable[[list[float]], float]
) -> str:
    """Markdown."""

    def middle_of(what: str) -> float:
        return median([m.value for m in found[what]])

    lines = ["| measured here | best | median | of | target |", "| --- | --- | --- | --- | --- |"]
    for what, measures in found.items():
        values, unit = [m.value for m in measures], measures[0].unit
        target, middle = TARGETS.get(what), middle_of(what)
        met = (
            "" if target is None else f"<= {target:g} s: {'met' if middle <= target else 'MISSED'}"
        )
        best = min(values)
        lines.append(
            f"| {what} | {best:.1f} {unit} | {middle:.1f} {unit} | {len(values)} | {met} |"
        )
    for ours, by_hand in COMPARED.items():
        if ours in found and by_hand in found:
            times = middle_of(ours) / middle_of(by_hand)
            lines.append(f"| {ours}, in multiples of the same by hand | | {times:.1f} | | |")
    lines += ["", "| others, as published | figure | where |", "| --- | --- | --- |"]
    lines += [f"| {name} | {figure} | {source} |" for name, figure, source in OTHERS]
    return "\n".join(lines)


def render_steps(what: str, steps: Sequence[Step]) -> str:
    """One line each."""
    lines = [f"--- {what}"]
    for step in steps:
        event = step.event
        known = ("event", "at", "group", "seq", "node", "format")
        words = " ".join(f"{k}={v}" for k, v in event.items() if k not in known)
        lines.append(f"{step.at:8.2f}  {step.node:5}  {event['event']:13}  {words}")
    return "\n".join(lines)
