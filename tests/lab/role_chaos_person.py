"""What a person does, and no more: types what zr prints, where the runbooks say so, and only true
statements (but where a cycle's person lies)."""

from __future__ import annotations

import re
import time

from .errors import LabError
from .role_chaos_faults import Faults
from .role_chaos_site import SERVING, ChaosSite
from .roles_site import GROUP

FORCE = re.compile(rf"zr (promote {GROUP} --on \S+ --force .*)")
DOWN = re.compile(r"zr (promote (?:\S+ )?--peer-is-down)")
KEEP = re.compile(r"zr (resolve (?:\S+ )?--keep (\S+))")
PROMOTE_SECONDS = 150.0


class Person:
    """Sits at both consoles."""

    def __init__(self, site: ChaosSite, faults: Faults) -> None:
        self.site, self.faults = site, faults
        self.said: list[str] = []
        """Everything that was typed in this cycle, and how it ended."""
        self.took_receipts_aside = False

    def type(self, node: str, words: str, seconds: float = 90) -> str | None:
        """A command and what it says; None where the machine failed meanwhile."""
        try:
            process = self.site.lab.nodes[node].start(["zr", *words.split()])
            deadline = time.monotonic() + seconds
            while (code := process.poll()) is None:
                if time.monotonic() > deadline:
                    process.kill()
                    self.said.append(f"{node}: zr {words}: not over after {seconds:.0f} s")
                    return None
                time.sleep(0.2)
            text = process.output().decode(errors="replace")
        except (LabError, OSError):
            self.said.append(f"{node}: zr {words}: the machine failed meanwhile")
            return None
        self.said.append(f"{node}: zr {words}: {code}: {text.strip()[-200:]}")
        return text

    def promote(self, new: str, old: str, *, lies: bool) -> None:
        """Until it serves, or the old one is up again (nobody states anything then)."""
        deadline = time.monotonic() + PROMOTE_SECONDS
        while time.monotonic() < deadline:
            if not lies and self.site.lab.nodes[old].is_running():
                return
            role = (self.site.facts(new).get("roles") or [{}])[0]
            if role.get("state") in SERVING:
                return
            said = self.type(new, f"promote {GROUP}")
            if said and (command := FORCE.search(said)):
                words = command[1].strip()
                self.took_receipts_aside |= "--receipts-into-rescue" in words
                self.type(new, f"{words} --timeout 60")
            elif said and (command := DOWN.search(said)):
                self.type(new, f"{command[1]} --timeout 60")
            time.sleep(0.5)
        raise LabError(f"{new} was not promoted in {PROMOTE_SECONDS:.0f} s")

    def help_out(self, keep: str) -> None:
        """At rest only a split asks for a person."""
        for name in self.site.lab.nodes:
            role = (self.site.facts(name).get("roles") or [{}])[0]
            if role.get("state") != "split":
                continue
            said = self.type(name, "status") or ""
            for words, node in KEEP.findall(said):
                if node == keep:
                    self.faults.counts["split"] += 1
                    self.type(keep, words)
                    return
