"""`zr doctor`: what is wrong or risky on this node, each with its remedy."""

import sys

import click

from zrepl_py.cli.audit import Audit
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.words import count, render_json
from zrepl_py.core.audit.finding import Finding, Level

FOUND_ERRORS = 5


@click.command()
@config_option
@json_option
def doctor(config: str, as_json: bool) -> None:
    """What is wrong or risky on this node, each with its remedy.

    Looks only; changes nothing. Exit 5 where something is not protected, or soon will not be.
    Run it as root: some looks need that. Every word in brackets is explained in
    docs/reference/doctor.md.

    Example: zr doctor
    """
    findings = Audit(config).run()
    errors = sum(finding.level is Level.ERROR for finding in findings)
    if as_json:
        click.echo(render_json({"format": 1, "findings": [_facts(f) for f in findings]}))
    else:
        for finding in findings:
            click.echo(render_finding(finding))
        warnings = sum(finding.level is Level.WARNING for finding in findings)
        click.echo(f"{count(errors, 'error')}, {count(warnings, 'warning')}.")
    if errors:
        sys.exit(FOUND_ERRORS)


def _facts(finding: Finding) -> dict[str, str]:
    return {
        "id": finding.id,
        "level": finding.level.value,
        "subject": finding.subject,
        "sentence": finding.sentence,
        "remedy": finding.remedy,
    }


def render_finding(finding: Finding) -> str:
    """Level, sentence and word; the remedy below."""
    head = f"{finding.level.upper():<8} {finding.sentence} [{finding.id}]"
    remedy = " ".join(finding.remedy.split())
    return f"{head}\n         → {remedy}\n" if remedy else f"{head}\n"
