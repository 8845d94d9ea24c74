"""`zr replicate` and `zr snapshot` against a daemon's answers; and how progress is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from zrepl_py.cli.progress import Rate, render_bar
from zrepl_py.cli.replicate import has_arrived, replicate
from zrepl_py.cli.snapshot import snapshot
from zrepl_py.cli.sync import sync

from .cli_support import daemon, group, lane, prepare, run, status
from .test_cli_status import SILENT

OLD, NEWER = "zr_1-00000000_6_20261121T091242Z", "zr_1-00000000_8_20261121T091442Z"
NEWEST = "zr_1-00000000_7_20261121T091342Z"


@pytest.mark.parametrize(
    ("committed", "state", "arrived"),
    [
        (NEWEST, "behind", True),  # a newer one was taken here meanwhile
        (NEWER, "behind", True),
        (OLD, "behind", False),
        (None, "no-copy", False),
        (NEWEST, "conflict", False),
    ],
)
def test_arrived_means_what_was_newest_at_the_start(
    committed: str | None, state: str, arrived: bool
) -> None:
    assert has_arrived(lane(committed=committed, state=state, in_sync=False), NEWEST) is arrived


class Sender:
    """A daemon whose lane arrives at the third look after it was woken."""

    def __init__(self) -> None:
        self.looks = 0
        self.woken = False

    def status(self) -> dict[str, Any]:
        self.looks += self.woken
        there = self.looks >= 3
        if there:
            return status([lane(sent_bytes=3000)])
        late = lane(sent_bytes=1000, committed=OLD, state="behind", in_sync=False)
        return status([late])

    def replicate(self) -> None:
        self.woken = True


def test_it_waits_until_the_target_has_committed(tmp_path: Path) -> None:
    config, sender = prepare(tmp_path), Sender()
    with daemon(tmp_path, {"status": sender.status, "replicate": sender.replicate}):
        result = run(replicate, "--config", config)
    assert result.exit_code == 0
    assert result.stdout == "1 dataset is in sync.\n"
    assert "tank/audio → beta: in sync" in result.stderr


def test_after_its_time_it_says_what_is_behind(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    late = lane(committed=OLD, state="behind", in_sync=False, lag_seconds=9)
    with daemon(tmp_path, {"status": lambda: status([late]), "replicate": lambda: None}):
        result = run(replicate, "--config", config, "--timeout", "1", "--json")
    assert result.exit_code == 4
    assert "tank/audio" in str(result.exception)
    assert [one["arrived"] for one in json.loads(result.stdout)["lanes"]] == [False]


def test_a_dry_run_asks_for_nothing(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    late = lane(committed=None, state="no-copy", in_sync=False)
    with daemon(tmp_path, {"status": lambda: status([late])}):
        result = run(replicate, "--config", config, "--dry-run")
        plan = run(snapshot, "--config", config, "--dry-run")
    assert result.stdout.startswith("Would send tank/audio to beta: ")
    assert "(a whole copy)" in result.stdout
    assert plan.stdout == (
        "Would snapshot what changed of the 1 dataset of station/tank: tank/audio.\n"
    )


def test_a_node_with_nothing_to_send_is_told_so(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, {"status": lambda: status([], [])}):
        assert run(replicate, "--config", config).exit_code == 3


def test_what_is_in_the_way_is_said_at_once_and_at_the_end(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    late = [
        lane(n, committed=OLD, state="behind", in_sync=False, lag_seconds=9)
        for n in ("tank/audio", "tank/b")
    ]
    answer = status(late, targets=[SILENT])
    with daemon(tmp_path, {"status": lambda: answer, "replicate": lambda: None}):
        result = run(replicate, "--config", config, "--timeout", "1")
    assert result.exit_code == 4
    why = "beta has not answered since 2026-11-21 10:02:13: No route to host."
    assert result.stderr.count(why) == 1
    assert why in str(result.exception)
    assert "2 of 2 datasets are still behind: tank/audio, tank/b." in str(result.exception)


# --- zr sync


@pytest.fixture(name="stuck")
def _stuck(tmp_path: Path) -> dict[str, Any]:
    look = {"done": False, "arrived": 0, "lanes": 1, "waiting": ["tank/audio on beta"]}
    late = lane(committed=OLD, state="behind", in_sync=False, lag_seconds=9)
    return {
        "sync_begin": lambda datasets: {"sync": "token"},
        "sync_look": lambda sync: look,
        "status": lambda: status([late], targets=[SILENT]),
    }


def test_a_sync_that_waits_says_for_what(tmp_path: Path, stuck: dict[str, Any]) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, stuck):
        result = run(sync, "--config", config, "--timeout", "1")
    assert result.exit_code == 4
    why = "beta has not answered since 2026-11-21 10:02:13: No route to host."
    assert result.stderr.count(why) == 1
    assert why in str(result.exception)
    assert "zr doctor" in str(result.exception)


def test_with_json_only_the_end_is_said(tmp_path: Path, stuck: dict[str, Any]) -> None:
    config = prepare(tmp_path)
    with daemon(tmp_path, stuck):
        result = run(sync, "--config", config, "--timeout", "1", "--json")
    assert result.stderr == ""
    assert "beta has not answered" in str(result.exception)


# --- snapshots


def test_a_snapshot_is_waited_for_and_told(tmp_path: Path) -> None:
    config, looks = prepare(tmp_path), iter([3, 3, 4, 4, 4])
    verbs = {
        "status": lambda: status([lane()], [group(ticks_ended=next(looks), taken=1)]),
        "snapshot": lambda policy: {"station/tank": 4},
    }
    with daemon(tmp_path, verbs):
        result = run(snapshot, "--config", config, "station")
    assert result.stdout == "station/tank: tick 7, 1 of 1 dataset had changed.\n"


def test_a_tick_that_failed_gives_its_own_exit_code(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    error = {"kind": "Passing", "reason": "low-space", "message": "Too little room."}
    verbs = {
        "status": lambda: status([lane()], [group(ticks_ended=4, error=error)]),
        "snapshot": lambda policy: {"station/tank": 4},
    }
    with daemon(tmp_path, verbs):
        result = run(snapshot, "--config", config)
    assert result.exit_code == 4
    assert "station/tank: Too little room." in str(result.exception)


def test_a_reload_meanwhile_counts_ticks_anew(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    verbs = {
        "status": lambda: status([lane()], [group(ticks_ended=1)]),
        "snapshot": lambda policy: {"station/tank": 40},
    }
    with daemon(tmp_path, verbs):
        assert run(snapshot, "--config", config, "--timeout", "2").exit_code == 0


# --- bars


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.add(0, 0) == 0
    assert rate.add(1, 1000) == 1000
    for second in range(2, 40):
        last = rate.add(second, 1000 + 10 * (second - 1))
    assert last == pytest.approx(10)


@pytest.mark.parametrize(
    ("lanes", "arrived", "rate", "words"),
    [
        ({"a": (512, 1024)}, set(), 256.0, ["50%", "512 bytes sent", "256 bytes/s", "2 s left"]),
        ({"a": (2000, 1024)}, set(), 1.0, ["99%"]),  # the estimate was too small
        ({"a": (512, None)}, set(), 1.0, ["size not known yet"]),
        ({"a": (10, 1024), "b": (90, 100)}, {"a"}, 10.0, ["91%"]),
        ({"a": (0, 1024)}, set(), 0.0, ["0%"]),
    ],
)
def test_a_bar_never_says_more_than_is_known(
    lanes: dict[str, tuple[int, int | None]], arrived: set[str], rate: float, words: list[str]
) -> None:
    shown = render_bar(lanes, arrived, rate)
    assert all(word in shown for word in words), shown
    assert ("left" in shown) == any("left" in word for word in words) or rate
