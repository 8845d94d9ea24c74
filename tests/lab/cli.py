"""The lab's command line: which word does what to a running instance."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from .build import ensure_built
from .errors import LabError
from .lab import Lab, remove, running_instances
from .layout import NODES, Instance
from .node import Node
from .terminal import shell

Action = Callable[[argparse.Namespace], int]
VerbMaker = Callable[..., argparse.ArgumentParser]
SIMPLE = (
    ("boot", "start a node that is off"),
    ("crash", "power failure: kill -9"),
    ("freeze", "stop a node in its tracks"),
    ("thaw", "let a frozen node go on"),
    ("shutdown", "orderly power-off"),
    ("reboot", "orderly power-off and start"),
    ("refresh", "copy the product from the working tree again"),
)
"""Verbs that are methods of Node without arguments."""


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    action: Action = arguments.action
    try:
        return action(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m tests.lab", description="Two real OpenZFS nodes, alpha and beta."
    )
    top.add_argument("--name", default="main", help="which instance (default: main)")
    verbs = top.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, help_: str, action: Action, *, node: bool = False
    ) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=help_, description=help_)
        sub.add_argument("--name", default=argparse.SUPPRESS, help="which instance")
        sub.set_defaults(action=action)
        if node:
            sub.add_argument("node", choices=NODES)
        return sub

    build = verb("build", "build what is missing, from Debian packages and PyPI", do_build)
    build.add_argument("--update", action="store_true", help="look for newer packages first")
    up = verb("up", "boot both nodes and leave them running", do_up)
    up.add_argument("--init", choices=("bare", "systemd"), default="bare")
    up.add_argument("--memory", type=int, default=1024, help="MiB per node (default: 1024)")
    verb("down", "end the instance and forget its disks", do_down)
    verb("list", "all instances on this host", do_list)
    verb("status", "what runs, and how its pool is", do_status)
    run = verb("run", "run a command in a node: run NODE -- COMMAND…", do_run, node=True)
    run.add_argument("--user", help="as this user instead of root")
    run.add_argument("--timeout", type=float, default=3600, help="seconds until it is killed")
    run.add_argument("command", nargs="+")
    verb("shell", "a root shell in a node", lambda a: shell(node_of(a)), node=True)
    verb("console", "the console of a node so far", do_console, node=True)
    for name, help_ in SIMPLE:
        verb(name, help_, on_node(name), node=True)
    add_faults(verb)
    return top


def add_faults(verb: VerbMaker) -> None:
    """Verbs of links, disks, clocks and states."""
    cut = verb("cut", "nodes lose each other; with a node: its cable is pulled", do_cut)
    cut.add_argument("node", nargs="?", choices=NODES)
    verb("heal", "a whole and good link again", do_heal)
    degrade = verb("degrade", "a bad link; without options a good one", do_degrade)
    degrade.add_argument("--delay", type=float, default=0, metavar="MS", help="one way")
    degrade.add_argument("--jitter", type=float, default=0, metavar="MS")
    degrade.add_argument("--loss", type=float, default=0, metavar="PERCENT")
    degrade.add_argument("--rate", default="", help="for example 10mbit")
    for name, help_ in (
        ("pull", "a disk vanishes"),
        ("plug", "a disk works again"),
        ("stall", "a disk hangs until it is plugged again"),
    ):
        sub = verb(name, help_, do_disk, node=True)
        sub.add_argument("number", type=int)
        sub.set_defaults(verb=name)
    clock = verb(
        "clock", "step a node's clock by seconds (no offset: show it)", do_clock, node=True
    )
    clock.add_argument("offset", type=float, nargs="?", default=0.0)
    for name, help_ in (
        ("save", "remember all disks under a name"),
        ("load", "return to a saved state: crash, restore, boot"),
    ):
        sub = verb(name, help_, do_state)
        sub.add_argument("state")
        sub.set_defaults(verb=name)


def node_of(arguments: argparse.Namespace) -> Node:
    return Lab.attach(arguments.name).nodes[arguments.node]


def on_node(method: str) -> Action:
    def act(arguments: argparse.Namespace) -> int:
        getattr(node_of(arguments), method)()
        return 0

    return act


def do_build(arguments: argparse.Namespace) -> int:
    built = ensure_built(update=arguments.update)
    versions = built.versions
    print(f"lab: ready: Linux {versions.kernel}, OpenZFS {versions.zfs}")
    return 0


def do_up(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    Lab.up(
        arguments.name,
        init=arguments.init,
        memory_megabytes=arguments.memory,
        persistent=True,
    )
    print(f"alpha and beta are up ({time.monotonic() - began:.1f} s)")
    return 0


def do_down(arguments: argparse.Namespace) -> int:
    remove(Instance(arguments.name))
    return 0


def do_list(_: argparse.Namespace) -> int:
    for state in running_instances():
        kind = "persistent" if state.persistent else f"of process {state.owner.pid}"
        print(f"{state.instance.name}: {state.hardware.init}, {kind}")
    return 0


def do_status(arguments: argparse.Namespace) -> int:
    lab = Lab.attach(arguments.name)
    for node in lab.nodes.values():
        if not node.is_running():
            print(f"{node.name}: off")
            continue
        try:
            node.channel.ask("ping", timeout_seconds=2)
            pool = node.run(["zpool", "list", "-H", "-o", "name,health,free"], timeout_seconds=5)
            print(f"{node.name}: up, {' '.join(pool.text.split())}")
        except LabError as error:
            print(f"{node.name}: on, but: {error}")
    return 0


def do_run(arguments: argparse.Namespace) -> int:
    result = node_of(arguments).run(
        arguments.command, user=arguments.user, timeout_seconds=arguments.timeout, check=False
    )
    sys.stdout.buffer.write(result.stdout)
    sys.stderr.buffer.write(result.stderr)
    return result.returncode if result.returncode >= 0 else 128 - result.returncode


def do_console(arguments: argparse.Namespace) -> int:
    print(node_of(arguments).machine.console(lines=10000))
    return 0


def do_cut(arguments: argparse.Namespace) -> int:
    Lab.attach(arguments.name).cut(arguments.node)
    return 0


def do_heal(arguments: argparse.Namespace) -> int:
    Lab.attach(arguments.name).heal()
    return 0


def do_degrade(arguments: argparse.Namespace) -> int:
    Lab.attach(arguments.name).degrade(
        delay_ms=arguments.delay,
        jitter_ms=arguments.jitter,
        loss_percent=arguments.loss,
        rate=arguments.rate,
    )
    return 0


def do_disk(arguments: argparse.Namespace) -> int:
    node = node_of(arguments)
    {"pull": node.pull_disk, "plug": node.plug_disk, "stall": node.stall_disk}[arguments.verb](
        arguments.number
    )
    return 0


def do_clock(arguments: argparse.Namespace) -> int:
    node = node_of(arguments)
    if arguments.offset:
        node.step_clock(arguments.offset)
    print(time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(node.now())))
    return 0


def do_state(arguments: argparse.Namespace) -> int:
    lab = Lab.attach(arguments.name)
    (lab.save if arguments.verb == "save" else lab.load)(arguments.state)
    return 0
