"""Do the documents still say what the code does? Commands, files of configuration, links, words."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from zrepl_py.cli.commands import zr
from zrepl_py.config.node import load_node_config
from zrepl_py.config.policies import load_policies
from zrepl_py.errors import KINDS
from zrepl_py.events import Event

from .test_house import MODULES, ROOT, name_of, nodes_of

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_YET = {"offsite"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(zr [^`]+)`")
REASON = re.compile(r"`([a-z0-9-]+)`")


def blocks(path: Path, language: str) -> list[str]:
    return [text for word, text in FENCE.findall(path.read_text()) if word == language]


def commands_of(path: Path) -> Iterator[str]:
    """What a reader may type: lines of blocks that begin with `zr`, and inline code."""
    for text in blocks(path, ""):
        for line in text.splitlines():
            for part in re.split(r"&&|\||;", line.split("#")[0]):
                if part.strip().startswith("zr "):
                    yield part.strip()
    yield from INLINE.findall(FENCE.sub("", path.read_text()))


def check_command(line: str) -> str:
    """Empty where `line` could be typed as it is, else what is wrong with it."""
    words = shlex.split(line)[1:]
    if words[0] in NOT_YET or not re.fullmatch(r"-*[a-z]+", words[0]):
        return ""
    command: click.Command = zr
    context = click.Context(zr, info_name="zr")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return f"`{line}`: there is no command {words[0]}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    try:
        command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return f"`{line}`: {error.format_message()}"
    return ""


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_exist_with_these_options(path: Path) -> None:
    assert [wrong for line in commands_of(path) if (wrong := check_command(line))] == []


def leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its whole name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_and_option_is_documented() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    assert NOT_YET.isdisjoint(zr.commands), "documented as not there yet"
    for name, command in leaves(zr, "zr"):
        heading = name
        assert f"## `{heading}`" in page, heading
        section = page.split(f"## `{heading}`")[1].split("\n## ")[0]
        for option in (o for p in command.params for o in p.opts if o.startswith("--")):
            assert option in section or option in ("--config", "--help"), f"{name} {option}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_configurations_load(path: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(path, "toml")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "zr.toml").write_text(text)
        if "[policy]" in text:
            assert len(load_policies(str(folder))) == 1
        else:
            assert load_node_config(str(folder / "zr.toml")).name


def slugs(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), target
        assert not anchor or anchor in slugs(page), target


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs/README.md"
    linked = {
        (index.parent / t.partition("#")[0]).resolve() for t in LINK.findall(index.read_text())
    }
    decisions = ROOT / "docs/adr/README.md"
    linked |= {(decisions.parent / t).resolve() for t in LINK.findall(decisions.read_text())}
    assert {p for p in PAGES if p.is_relative_to(ROOT / "docs")} - linked == {index}


def first_cells(text: str) -> list[str]:
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]


def test_events_are_exactly_those_that_exist() -> None:
    page = (ROOT / "docs/reference/events.md").read_text()
    documented = {word for cell in first_cells(page) for word in REASON.findall(cell)}
    assert documented == {event.value for event in Event}


def reasons_by_kind() -> set[tuple[str, str]]:
    """(kind, reason) of every error that is built anywhere, tables of meanings included."""
    found = {("Standing", "peer-bug")}
    for path in MODULES:
        if "testing" in path.parts:
            continue
        for node in nodes_of(path):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            kind, arguments = node.func.id, node.args
            if kind == "Meaning" and isinstance(arguments[0], ast.Name):
                kind, arguments = arguments[0].id, arguments[1:]
            if kind in KINDS and arguments and isinstance(arguments[0], ast.Constant):
                found.add((kind, str(arguments[0].value)))
    return found


def test_errors_are_exactly_those_that_exist() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text()
    documented = set()
    for kind in KINDS:
        section = page.split(f"\n## {kind}, exit {KINDS[kind].exit_code}\n")[1].split("\n## ")[0]
        documented |= {(kind, r) for cell in first_cells(section) for r in REASON.findall(cell)}
    assert documented == reasons_by_kind()


def test_the_readme_begins_with_the_two_commands() -> None:
    assert blocks(ROOT / "README.md", "")[0] == "make demo\nmake test\n"
