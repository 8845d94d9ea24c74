"""Before the two nodes are paired, `zr status` says that all is lost, not the last seconds."""

from zrepl_py.cli.status import render_status
from zrepl_py.daemon.loss import render_loss

from . import cli_support as made


def test_where_all_is_lost_the_last_seconds_are_not_named() -> None:
    said = render_loss([], [made.group()], ["tank/audio"])
    assert said == (
        "If this node died now, tank/audio would be lost whole: no other machine has a copy."
    )
    one = render_loss([made.lane("tank/a")], [made.group()], ["tank/audio"])
    assert "what was written to the others in the last 4 seconds would be lost" in one
    never = render_loss([], [made.group(tick_age_seconds=None)], ["tank/audio"])
    assert "no snapshot was taken of station/tank" in never


def test_the_target_that_is_not_paired_has_its_name_in_the_table() -> None:
    groups = [made.group(targets=["beta"]), made.group(members=["tank/b"], targets=[])]
    facts = made.status([], groups, unsent=["tank/audio", "tank/b"], unpaired=["beta"])
    rows = [line.split() for line in render_status(facts).splitlines() if line.startswith("tank/")]
    assert rows[0][4:7] == ["beta", "not", "paired"]
    assert rows[1][4:7] == ["none", "no", "copy"]
