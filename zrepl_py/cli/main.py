"""`zr`: the command line. Parses, asks, prints; decides nothing.

Every command ends with a documented exit code (zrepl_py/errors.py); a trouble is one sentence on
standard error with what to do, never a traceback (ZR_DEBUG=1 shows it to developers).
"""

import os
import sys

# Nothing else is loaded up here: a Ctrl-C in these tenths of a second could not be caught.

INTERRUPTED = 130
FAULT = 70


def main(argv: list[str] | None = None) -> None:
    """Run `zr`; ends the process with its exit code."""
    try:
        code = _run(argv)
        sys.stdout.flush()  # here, where a reader that went away can still be dealt with
        sys.exit(code)
    except KeyboardInterrupt:  # also while modules are being loaded
        # A second Ctrl-C while the interpreter winds down would show a traceback.
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say("interrupted; nothing was left half-done.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ImportError as error:
        _say(f"zr is not installed whole: {error}. Run `make install` again.")
        _debug()
        sys.exit(FAULT)
    except Exception as error:  # noqa: BLE001 - the process's outermost edge
        _say(
            f"a fault in zr itself: {type(error).__name__}: {error}. Nothing more was done. "
            "Please report it; ZR_DEBUG=1 shows where it happened."
        )
        _debug()
        sys.exit(FAULT)


def _run(argv: list[str] | None) -> int:
    import click

    from zrepl_py.cli.commands import zr
    from zrepl_py.errors import ZrError

    try:
        code = zr.main(args=argv, prog_name="zr", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except ZrError as error:
        _say(str(error))
        _debug()
        return error.exit_code
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        raise KeyboardInterrupt from None


def _say(sentence: str) -> None:
    print(f"zr: {sentence}", file=sys.stderr)


def _debug() -> None:
    if os.environ.get("ZR_DEBUG"):
        import traceback

        traceback.print_exc()
