"""After a cycle, at rest: was anything open twice, lost, left lying about, or different?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from zrepl_py.model.names import parse_tick, render_hold
from zrepl_py.model.rescue import RESCUE_HOLD, find_rescue_label

from .contents import compare, guids
from .errors import CommandFailed
from .node import Node
from .role_chaos_site import MEMBERS, ChaosSite, find_overlaps
from .site import OTHER, POOLS
from .soak_checks import wait_until

TIDY_SECONDS = 25.0
COMPARED = 2
"""Newest common snapshots of each member, after each cycle."""
SAID = 6
"""So many names of many are shown."""


@dataclass
class Checks:
    """What was looked at so far, and how much."""

    site: ChaosSite
    size_bytes: int = 0
    uuids: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    """Names that were seen in a rescue."""
    read: set[str] = field(default_factory=set)
    """Names whose content was read on some primary."""
    counts: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """The nodes' uuids, for the names of holds."""
        self.uuids = {name: self.site.status(name)["uuid"] for name in self.site.lab.nodes}

    def all(self, *, lied: bool) -> list[str]:
        """Everything; faults as sentences."""
        primary = self.site.primary()
        faults = self.find_twice(lied=lied)
        faults += self.find_lost(primary)
        faults += self.find_different(primary)
        faults += wait_until(self.find_leaks, TIDY_SECONDS)
        return faults

    def find_twice(self, *, lied: bool) -> list[str]:
        """Both open, or both with the address. Forgets the samples. `lied`: a person has let it be
        so; the node that was overtaken closes when the two meet."""
        one, other = self.site.samplers.values()
        one.collect()
        other.collect()
        faults = []
        for column, what in ((1, "had writable file systems"), (2, "had the address")):
            for begin, end in find_overlaps(one.rows, other.rows, column):
                faults.append(f"both {what} for {end - begin:.2f} s, at {begin:.2f}")
        for sampler in (one, other):
            self.counts["samples"] += len(sampler.rows)
            del sampler.rows[:-1]
        if lied:
            self.counts["overlaps of a lie"] += len(faults)
            return []
        return faults

    def find_lost(self, primary: str) -> list[str]:
        """Names with an fsync that are nowhere; with a receipt that are not on the primary."""
        site = self.site
        fsynced, receipted = site.noted("fsynced"), site.noted("receipted")
        self.counts["fsynced"], self.counts["receipted"] = len(fsynced), len(receipted)
        new = sorted(fsynced - self.read - self.kept)
        there = site.guest(primary, "names", {"places": [f"/{m}" for m in MEMBERS], "whole": new})
        here = {name for found in there.values() for name in found}
        self.read |= here & set(new)
        missing = fsynced - here
        if missing - self.kept:
            self._look_in_rescues(missing - self.kept)
        faults = []
        if gone := sorted(missing - self.kept):
            faults.append(f"{len(gone)} files with an fsync are nowhere: {gone[:SAID]}")
        if only := sorted((receipted & missing) - self.noted_aside):
            faults.append(f"{len(only)} with a receipt are not on {primary}: {only[:SAID]}")
        return faults

    noted_aside: set[str] = field(default_factory=set)
    """Names with a receipt of which a person has accepted that they are only in a rescue."""

    def _look_in_rescues(self, missing: set[str]) -> None:
        for node in self.site.lab.nodes:
            listed = {rescue["label"] for rescue in self.site.rescues(node)}
            places = [
                name
                for name in self.site.own_rescue_snapshots(node)
                if find_rescue_label(name.partition("@")[0]) in listed
            ]
            order = {"places": places, "whole": sorted(missing)}
            found = self.site.guest(node, "names", order) if places else {}
            self.kept |= {name for names in found.values() for name in names} & missing

    def find_different(self, primary: str) -> list[str]:
        """The newest common snapshots, read whole on both nodes."""
        site, standby, faults = self.site, OTHER[primary], []
        source, target = site.lab.nodes[primary], site.lab.nodes[standby]
        for member in MEMBERS:
            mine, theirs = site.place(primary, member), site.place(standby, member)
            there = guids(target, theirs)
            both = [n for n, guid in guids(source, mine).items() if there.get(n) == guid]
            if not both:
                faults.append(f"{member}: no common snapshot")
                continue
            try:
                size, differ = compare(source, mine, target, theirs, both[-COMPARED:])
            except CommandFailed as error:
                faults.append(f"{member}: a snapshot cannot be read: {error}")
                continue
            self.size_bytes += size
            faults += [f"{member}@{name} differs" for name in differ]
        return faults

    def find_leaks(self) -> list[str]:
        """Holds that should not be, or are missing; partial receives."""
        return [f for name in self.site.lab.nodes for f in self._find_leaks(name)]

    def _find_leaks(self, name: str) -> list[str]:
        node, faults = self.site.lab.nodes[name], []
        holds = _holds(node)
        wanted = render_hold(self.uuids[OTHER[name]][:8])
        for member in MEMBERS:
            place = self.site.place(name, member)
            mine = [(s, tag) for s, tag in holds if s.partition("@")[0] == place]
            tags = Counter(tag for _, tag in mine)
            if tags != Counter({wanted: 1}):
                faults.append(f"{name}: holds of {place} are {mine}, not one {wanted}")
        for snapshot, tag in holds:
            dataset, _, short = snapshot.partition("@")
            rescued = find_rescue_label(dataset) is not None
            if tag == RESCUE_HOLD and not rescued:
                faults.append(f"{name}: {snapshot} is held by {tag}, and is no rescue")
            elif tag != RESCUE_HOLD and rescued and parse_tick(short):
                faults.append(f"{name}: {snapshot} of a rescue is held by {tag}")
        argv = ["zfs", "get", "-Hpr", "-o", "name,value", "receive_resume_token", POOLS[name]]
        rows = [line.split("\t") for line in node.run(argv).text.splitlines()]
        faults += [f"{name}: a partial receive in {n}" for n, v in rows if v not in ("-", "")]
        return faults


def _holds(node: Node) -> list[tuple[str, str]]:
    """(snapshot, tag) of the whole pool."""
    said = node.sh(
        f"zfs list -Ht snapshot -o name,userrefs -r {node.pool} | awk '$NF > 0 {{print $1}}' "
        "| xargs -r zfs holds -H"
    )
    rows = (line.split("\t") for line in said.text.splitlines())
    return [(row[0], row[1]) for row in rows]
