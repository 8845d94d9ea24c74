"""`zr daemon`: the service, in the foreground. systemd starts it as user zr, with its workers in
units of their own; started by hand as root it starts the workers itself and gives its rights up."""

import os
import threading

import click

from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.words import render_json
from zrepl_py.daemon.ending import Ending
from zrepl_py.daemon.running import Daemon
from zrepl_py.errors import Passing
from zrepl_py.wiring import find_user, start_own_workers


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
    ending = Ending()
    ending.on_signals()
    workers = start_own_workers(config, user, adapter) if os.geteuid() == 0 else None
    try:
        if workers is not None:
            become(user)
            workers.watch(lambda: ending.fail(_lost_workers()))
        threading.excepthook = lambda failed: ending.fail(failed.exc_value or SystemExit())
        Daemon(config, ending).run()
    finally:
        if workers is not None:
            workers.stop()
    if ending.error is not None:
        raise ending.error


@click.command()
@config_option
@json_option
def reload(config: str, as_json: bool) -> None:
    """Let the daemon read its configuration and policies again, at once and as a whole.

    With an error in them, it says so and goes on with the old ones. Streams that run are cut, and
    go on where they were. What is opened at the start (pools, directories, the replica parent)
    needs a restart. `systemctl reload zr` does the same.

    Example: zr reload
    """
    names: list[str] = ask_daemon(config, "reload")
    if as_json:
        click.echo(render_json({"policies": names}))
    else:
        click.echo(f"Reloaded. Policies: {', '.join(names) or 'none'}.")


def _lost_workers() -> Passing:
    return Passing(
        "worker-gone",
        "The warden, which keeps this daemon's workers running, has ended, and they with it.",
        "Start `zr daemon` again; under systemd (zr.service) workers are units of their own.",
    )


def become(user: str) -> None:
    """Give root's rights up for good. Errors: Standing(no-user)."""
    entry = find_user(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
