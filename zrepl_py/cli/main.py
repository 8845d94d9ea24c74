"""`zr`: the command line. Parses, asks, prints; decides nothing.

Every command ends with a documented exit code (zrepl_py/errors.py); a trouble is one sentence on
standard error with what to do, never a traceback (ZR_DEBUG=1 shows it to developers).
"""

import os
import sys
import traceback
from collections.abc import Sequence

import click

from zrepl_py import __version__
from zrepl_py.cli.daemon import daemon
from zrepl_py.cli.init import init, trust
from zrepl_py.cli.policy import policy
from zrepl_py.cli.restore import restore
from zrepl_py.cli.status import replicate, snapshot, status
from zrepl_py.errors import ZrError

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="zr")
def zr() -> None:
    """Continuous ZFS replication and backup for two nodes."""


for command in (init, trust, daemon, status, snapshot, replicate, restore, policy):
    zr.add_command(command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run `zr`; ends the process with its exit code."""
    try:
        code = zr.main(args=list(argv) if argv is not None else None, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except ZrError as error:
        print(f"zr: {error}", file=sys.stderr)
        _debug()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        print("zr: interrupted; nothing was left half-done.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the process's outermost edge
        print(
            f"zr: a fault in zr itself: {type(error).__name__}: {error}. Nothing more was done. "
            "Please report it; ZR_DEBUG=1 shows where it happened.",
            file=sys.stderr,
        )
        _debug()
        sys.exit(70)


def _debug() -> None:
    if os.environ.get("ZR_DEBUG"):
        traceback.print_exc()
