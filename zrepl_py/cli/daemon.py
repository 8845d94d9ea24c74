"""`zr daemon`: the service, in the foreground. systemd starts it as user zr, with its workers in
units of their own; started by hand as root it starts the workers itself and gives its rights up."""

import os
import pwd
import signal
import threading

import click

from zrepl_py.cli.options import config_option
from zrepl_py.daemon.assemble import assemble_service
from zrepl_py.wiring import start_own_workers


@click.command()
@config_option
@click.option("--user", default="zr", show_default=True, help="Run as this user, started as root.")
@click.option(
    "--adapter",
    type=click.Choice(["libzfs_core", "command"]),
    default="libzfs_core",
    show_default=True,
    help="How workers talk to ZFS, when this process starts them.",
)
def daemon(config: str, user: str, adapter: str) -> None:
    """Run the service in the foreground: snapshots, replication, retention.

    Example: zr daemon
    """
    workers = None
    if os.geteuid() == 0:
        workers = start_own_workers(config, user, adapter)
        become(user)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        service = assemble_service(config)
        service.run(ended)
    finally:
        if workers is not None:
            workers.stop()


def become(user: str) -> None:
    """Give root's rights up for good."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
