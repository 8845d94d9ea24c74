"""`zr doctor`: what is wrong or risky on this node, each with its remedy."""

import sys

import click

from zrepl_py.cli.audit import Audit
from zrepl_py.cli.options import config_option, json_option
from zrepl_py.cli.words import count, render_json
from zrepl_py.core.audit.finding import Finding, Findings, Level

FOUND_ERRORS = 5


@click.command()
@config_option
@json_option
@click.option("--verbose", is_flag=True, help="Also what is only good to know.")
def doctor(config: str, as_json: bool, verbose: bool) -> None:
    """What is wrong or risky on this node, each with its remedy.

    The worst first; what is only good to know is one line, unless --verbose. Looks only; changes
    nothing. Exit 5 where something is not protected, or soon will not be. Run it as root: some
    looks need that. Every word in brackets is explained in docs/reference/doctor.md.

    Example: zr doctor
    """
    findings = Audit(config).run()
    errors = sum(finding.level is Level.ERROR for finding in findings)
    if as_json:
        click.echo(render_json({"format": 1, "findings": [_facts(f) for f in findings]}))
    else:
        click.echo(render_findings(findings, verbose=verbose))
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


def render_findings(findings: Findings, *, verbose: bool) -> str:
    """The findings, the worst first, and how many; notes as one line unless `verbose`."""
    notes = [finding for finding in findings if finding.level is Level.NOTE]
    shown = findings if verbose else [f for f in findings if f.level is not Level.NOTE]
    errors = sum(finding.level is Level.ERROR for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    parts = [render_finding(finding) for finding in shown]
    parts.append(f"{count(errors, 'error')}, {count(warnings, 'warning')}.")
    if notes and not verbose:
        words = ", ".join(dict.fromkeys(finding.id for finding in notes))
        parts.append(f"Good to know: {words} (zr doctor --verbose).")
    return "\n".join(parts)


def render_finding(finding: Finding) -> str:
    """Level, sentence and word; the remedy below."""
    head = f"{finding.level.upper():<8} {finding.sentence} [{finding.id}]"
    remedy = " ".join(finding.remedy.split())
    return f"{head}\n         → {remedy}\n" if remedy else f"{head}\n"
