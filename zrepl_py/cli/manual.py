"""The manual page zr(8), written from the help texts: `python -m zrepl_py.cli.manual >zr.8`.

One source for `--help` and `man`; `make install` renders it anew, so it cannot be stale.
"""

import sys
from collections.abc import Iterator

import click

from zrepl_py.cli.commands import zr

EXITS = (
    ("0", "success"),
    ("2", "the command line was wrong; nothing was done"),
    ("3", "refused: asking again changes nothing"),
    ("4", "passing: the world will change by itself; try again later"),
    ("5", "standing: a person must change something first; or zr doctor found errors"),
    ("6", "corrupt: evidence of damage; touch nothing, keep the evidence"),
    ("70", "a fault in zr itself"),
    ("130", "interrupted with Ctrl-C"),
)
FILES = (
    ("/etc/zr/zr.toml", "this node's settings"),
    ("/etc/zr/policies/*.toml", "what is protected, how often, where copies go, what is kept"),
    ("/etc/zr/node.key, /etc/zr/node.pem", "this node's key and certificate"),
    ("/var/lib/zr", "identity, journal, events"),
    ("/run/zr/control.sock", "where the daemon is asked; for root and group zr"),
)


def render_manual() -> str:
    """The whole page, in roff."""
    lines = [
        '.TH ZR 8 "" "zr" "System administration"',
        ".SH NAME",
        "zr \\- continuous ZFS replication and backup for two nodes",
        ".SH SYNOPSIS",
        ".B zr",
        "[\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...",
        ".SH DESCRIPTION",
        _text(zr.help or ""),
        ".SH COMMANDS",
    ]
    for name, command in _walk(zr, "zr"):
        lines += _render_command(name, command)
    lines.append(".SH EXIT STATUS")
    lines += _terms(EXITS)
    lines.append(".SH FILES")
    lines += _terms(FILES)
    lines += [
        ".SH ENVIRONMENT",
        *_terms((("ZR_CONFIG", "default of \\-\\-config"), ("ZR_DEBUG", "1: show tracebacks"))),
    ]
    return "\n".join(lines) + "\n"


def _walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _walk(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def _render_command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    pieces = command.collect_usage_pieces(context)
    yield f".SS {_text(name)} {_text(' '.join(pieces))}"
    paragraphs = [p for text in (command.help, command.epilog) for p in (text or "").split("\n\n")]
    for paragraph in paragraphs:
        words = " ".join(paragraph.split())
        if words.startswith("Example: "):
            yield from (
                ".PP",
                "Example:",
                ".RS",
                f".B {_text(words.removeprefix('Example: '))}",
                ".RE",
            )
        elif words:
            yield from (".PP", _text(words))
    options = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            options.append((_text(record[0]), _text(record[1])))
    yield from _terms(options)


def _terms(terms: "list[tuple[str, str]] | tuple[tuple[str, str], ...]") -> Iterator[str]:
    for term, meaning in terms:
        yield from (".TP", f".B {term}", meaning)


def _text(words: str) -> str:
    """Plain text → roff: nothing in it is a request."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    sys.stdout.write(render_manual())
