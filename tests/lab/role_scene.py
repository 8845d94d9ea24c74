"""One scenario of the roles on two real nodes: what happens to it, and how it ends.

Each begins with alpha as primary and beta as standby, and ends with the ledger's check. What a
scenario leaves in another order is put back: by loading the state that was saved at the beginning.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .command import Process, Result
from .lab import Lab
from .node import Node
from .role_ledger import Ledger
from .roles_site import ADDRESS, RolesSite

TREE = """
    printf 12345678 >/root/key
    zfs create tank/audio; zfs create tank/audio/news
    zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///root/key \
        tank/audio/secret
    echo first >/tank/audio/interview.wav; echo headline >/tank/audio/news/today
"""
BEGUN = "begun"
SERVING = ("primary", "primary-alone")
MOMENTS = {
    "alpha": ("draining", "demoted", "catching-up", "standby"),
    "beta": ("promoting", *SERVING),
}
"""In what a node is disturbed during a switchover; a look that comes late finds what follows."""


class Scene:
    """Two nodes with roles."""

    def __init__(self, site: RolesSite) -> None:
        self.site, self.lab = site, site.lab
        self.ledger = Ledger(site)

    @property
    def alpha(self) -> Node:
        """The primary at the beginning."""
        return self.lab.alpha

    @property
    def beta(self) -> Node:
        """The standby at the beginning."""
        return self.lab.beta

    def await_states(self, alpha: str, beta: str, seconds: float = 180) -> None:
        """Until both say so."""
        self.site.wait(
            lambda: self.site.states() == (alpha, beta), f"alpha {alpha}, beta {beta}", seconds
        )

    def await_state(self, node: str, *states: str, seconds: float = 120) -> None:
        """Until one says so; the other one may be off."""
        self.site.wait(
            lambda: self.site.role(node).get("state") in states, f"{node} {states}", seconds
        )

    def begin_switchover(self, node: str) -> Process:
        """The command, in the background, when everything is sent: see RolesSite.switch."""
        self.site.wait(lambda: self.site.is_settled(node), f"{node}: everything is sent", 240)
        return self.lab.nodes[node].start(["zr", "switchover"])

    def switch(self, node: str) -> Result:
        """A planned one."""
        return self.site.switch(node)

    def die(self, node: str, tail: str = "") -> None:
        """Power failure; a tail: a file that the other one does not have, on its disks."""
        if tail:
            self.lab.cut()
            self.ledger.write(node, tail)
        self.lab.nodes[node].crash()
        if tail:
            self.lab.heal()

    def command_of(self, node: str) -> list[str]:
        """What `zr promote` there tells to type. The other one has to be silent."""
        return self.site.told_command(node)

    def force(self, node: str) -> None:
        """A person promotes it."""
        self.site.zr(node, *self.command_of(node), timeout_seconds=300)
        self.await_state(node, *SERVING)

    def refuse(self, node: str, *words: str) -> tuple[int, str]:
        """Exit code and what was said; nothing may be a traceback."""
        ended = self.site.zr(node, *words, check=False, timeout_seconds=240)
        said = ended.text + ended.stderr.decode(errors="replace")
        assert "Traceback" not in said, said
        return ended.returncode, said

    def has_address(self, node: str) -> bool:
        """Whether the group's address is on its interface."""
        return f" {ADDRESS}/" in self.lab.nodes[node].run(["ip", "-o", "addr"]).text

    def is_mounted(self, node: str) -> bool:
        """Whether the kernel has any member of the group."""
        place = self.site.place(node)
        pool = place.split("/")[0]
        script = f"grep -qsE '{place}(/|$)' /proc/spl/kstat/zfs/{pool}/objset-*"
        return self.lab.nodes[node].sh(script, check=False).returncode == 0

    def is_closed(self, node: str) -> bool:
        """No address, no service, nothing mounted."""
        studio = self.lab.nodes[node].sh("systemctl is-active studio", check=False).text
        return not (self.has_address(node) or self.is_mounted(node) or studio == "active")

    def rescues(self, node: str) -> list[str]:
        """Labels of those that are kept there, once some are: status says it a little later."""
        found = list[str]()

        def are_shown() -> bool:
            found[:] = [r["label"] for r in self.site.role(node).get("rescues") or []]
            return bool(found)

        self.site.wait(are_shown, f"{node} shows what it keeps", 120)
        return found

    def end(self, primary: str) -> None:
        """One primary, one standby, everything sent; and the checker."""
        self.site.wait(  # a standby that still lacks ticks may be too old a moment later
            lambda: self.site.is_settled(primary),
            f"{primary} is primary, the other one standby, everything is sent",
            240,
        )
        self.site.wait(lambda: self.has_address(primary), "the primary has the address", 60)
        other = "beta" if primary == "alpha" else "alpha"
        self.site.wait(lambda: self.is_closed(other), f"{other} is closed", 60)
        self.ledger.check(primary)

    def end_as_it_came(self) -> None:
        """The same, whichever of the two is the primary at last."""
        seen = ("", "")

        def is_over() -> bool:
            nonlocal seen
            seen = self.site.states()
            return sorted(seen) == ["primary", "standby"]

        self.site.wait(is_over, "an end", 240)
        self.end("alpha" if seen[0] == "primary" else "beta")


@contextlib.contextmanager
def begun(name: str) -> Iterator[RolesSite]:
    """A site that can be loaded again as it was at its beginning."""
    with Lab.up(name=name, init="systemd") as lab:
        site = RolesSite(lab)
        lab.beta.sh("printf 12345678 >/root/key")
        site.set_up(TREE)
        site.begin()
        site.wait(lambda: site.in_sync("alpha"), "all is on beta", 180)
        secret = site.place("beta", "tank/audio/secret")
        lab.beta.sh(f"zfs set keylocation=file:///root/key {secret}")  # a copy says: prompt
        for node in lab.nodes.values():
            node.sh("sync; zpool sync")
        lab.save(BEGUN)
        yield site


def _is_in_order(site: RolesSite) -> bool:
    if not all(node.is_running() for node in site.lab.nodes.values()):
        return False
    site.lab.heal()
    return site.states() == ("primary", "standby")


def enter(site: RolesSite) -> Scene:
    """As it was at the beginning, or at least in the same order."""
    if not _is_in_order(site):
        site.lab.load(BEGUN)
        site.lab.heal()
    scene = Scene(site)
    # Whoever has just started is primary before its datasets are mounted; the address comes last.
    site.wait(lambda: site.is_settled("alpha") and scene.has_address("alpha"), "as it was", 240)
    scene.ledger.write("alpha", "receipted")
    scene.ledger.sync("alpha")
    scene.ledger.write("alpha", "not-receipted")
    return scene
