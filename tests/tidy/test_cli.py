"""Is every command made alike, is the manual page whole, are the doctor's words listed?"""

import ast
import re

import pytest

from zrepl_py.cli.commands import zr
from zrepl_py.cli.completion import SHELLS, render_script
from zrepl_py.cli.manual import render_manual

from .test_docs import leaves
from .test_house import MODULES, ROOT, nodes_of

COMMANDS = dict(leaves(zr, "zr"))
WITHOUT_JSON = {"zr daemon", "zr completion", "zr unpair", "zr trust"}
"""The daemon prints events, a completion is a script; the last two say one sentence."""
PREVIEWED = {"zr init", "zr pair", "zr unpair", "zr reseed", "zr snapshot"}
PREVIEWED |= {"zr replicate", "zr restore", "zr retention apply"}
PREVIEWED |= {"zr switchover", "zr rescue export", "zr rescue drop"}
"""Commands that change something, and can say what they would do."""
LEVELS = ("error", "warning", "note")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_could_be_typed(name: str) -> None:
    command = COMMANDS[name]
    texts = f"{command.help or ''}\n\n{command.epilog or ''}"
    examples = re.findall(r"Example: ((?:.+\n?)+)", texts)
    assert examples, "no Example: in its help"
    assert examples[0].startswith(name), examples[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_json_for_scripts(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON)


@pytest.mark.parametrize("name", sorted(PREVIEWED))
def test_what_changes_something_can_be_tried_dry(name: str) -> None:
    assert "--dry-run" in {o for parameter in COMMANDS[name].params for o in parameter.opts}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_every_option_is_for(name: str) -> None:
    unsaid = [
        p.name
        for p in COMMANDS[name].params
        if p.param_type_name == "option" and not getattr(p, "help", None)
    ]
    assert unsaid == []


def test_the_manual_page_has_every_command_and_no_stray_request() -> None:
    page = render_manual()
    for name in COMMANDS:
        assert f"\n.SS {name} " in page, name
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".PP", ".RS", ".RE", ".TP", ".B"}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_ask_zr_itself(shell: str) -> None:
    script = render_script(shell)
    assert "_ZR_COMPLETE" in script
    assert "zr" in script


def findings_in_code() -> set[tuple[str, str]]:
    """(id, level) of every finding that is built in core/audit."""
    found = set()
    for path in (p for p in MODULES if "audit" in p.parts):
        for node in nodes_of(path):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in LEVELS and isinstance(node.args[0], ast.Constant):
                found.add((str(node.args[0].value), node.func.id))
    return found


def test_the_doctors_findings_are_exactly_those_that_are_listed() -> None:
    page = (ROOT / "docs/reference/doctor.md").read_text()
    listed = set()
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| `"):
            listed |= {(word, cells[2]) for word in re.findall(r"`([a-z-]+)`", cells[1])}
    assert listed == findings_in_code()
