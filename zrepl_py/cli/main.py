"""`zr`: the command line. Parses, asks, prints; decides nothing.

Every command ends with a documented exit code (zrepl_py/errors.py); a trouble is one sentence on
standard error with what to do, never a traceback (ZR_DEBUG=1 shows it to developers).
"""

import os
import sys
import traceback
from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run `zr`; ends the process with its exit code."""
    try:
        _run(list(argv) if argv is not None else None)
    except KeyboardInterrupt:  # also while modules are being loaded
        print("zr: interrupted; nothing was left half-done.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _run(argv: list[str] | None) -> None:
    # Loaded here and not above, so that a Ctrl-C during these tenths of a second is caught too.
    import click

    from zrepl_py.cli.commands import zr
    from zrepl_py.errors import ZrError

    try:
        code = zr.main(args=argv, standalone_mode=False)
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
    except click.Abort:
        raise KeyboardInterrupt from None
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
