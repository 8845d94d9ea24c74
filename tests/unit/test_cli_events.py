"""The record of what was done: kept in files that survive, and read back by `zr events`."""

import json
from pathlib import Path
from typing import Any

import pytest

from zrepl_py.adapters import events as kept
from zrepl_py.adapters.eventfiles import EventReader
from zrepl_py.adapters.events import EventFiles, EventLog, find_segments
from zrepl_py.cli.event_lines import SENTENCES, render_event
from zrepl_py.cli.events import LINES, events
from zrepl_py.cli.words import find_zone
from zrepl_py.errors import Refused, Standing
from zrepl_py.events import Event

from .cli_support import prepare, run

ZONE = find_zone({"Europe/Berlin"})


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.at = 1_763_716_400.0  # 2025-11-21T09:13:20Z

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "events"


def words(reader: EventReader) -> list[str]:
    return [event["event"] for event in reader.read()]


def test_what_was_told_is_read_back_also_after_a_restart(folder: Path) -> None:
    for event in (Event.DAEMON_STARTED, Event.DAEMON_STOPPED):
        EventLog(Clock(), EventFiles(str(folder))).tell(event, node="alpha")
    assert words(EventReader(str(folder))) == ["daemon-started", "daemon-stopped"]


def test_a_line_that_a_power_loss_tore_takes_no_other_with_it(folder: Path) -> None:
    EventLog(Clock(), EventFiles(str(folder))).tell(Event.RELOADED)
    path = next(iter(find_segments(folder).values()))
    path.write_bytes(path.read_bytes() + b'{"at": "2026')
    EventLog(Clock(), EventFiles(str(folder))).tell(Event.PRUNED)
    assert words(EventReader(str(folder))) == ["reloaded", "pruned"]


def test_old_segments_go_and_a_reader_follows_over_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "SEGMENT_BYTES", 200)
    monkeypatch.setattr(kept, "SEGMENTS", 3)
    log, reader = EventLog(Clock(), EventFiles(str(folder))), None
    read: list[int] = []
    for number in range(40):
        log.tell(Event.PRUNED, number=number)
        reader = reader or EventReader(str(folder))
        read += [event["number"] for event in reader.read()]
    assert read == list(range(40))
    assert len(find_segments(folder)) == 3
    assert sum(p.stat().st_size for p in folder.iterdir()) < 1000


def test_a_line_that_is_being_written_is_read_when_it_is_whole(folder: Path) -> None:
    folder.mkdir()
    path = folder / "events-00000001.jsonl"
    line = json.dumps({"at": "x", "event": "pruned"})
    path.write_text(line[:10])
    reader = EventReader(str(folder))
    assert words(reader) == []
    path.write_text(line + "\n")
    assert words(reader) == ["pruned"]


def test_a_full_disk_does_not_hurt_the_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = EventLog(Clock(), EventFiles(str(tmp_path / "no" / "such")))
    log.tell(Event.PRUNED)
    log.tell(Event.PRUNED)
    said = capsys.readouterr().err
    assert said.count("events are not kept") == 1
    assert said.count('"pruned"') == 2


def test_without_any_it_says_so(folder: Path) -> None:
    with pytest.raises(Standing) as failed:
        words(EventReader(str(folder)))
    assert failed.value.reason == "no-events"


# --- the command


@pytest.fixture
def config(tmp_path: Path) -> str:
    config, clock = prepare(tmp_path), Clock()
    log = EventLog(clock, EventFiles(str(tmp_path / "state" / "events")))
    log.tell(Event.DAEMON_STARTED, node="alpha", uuid="u")
    for dataset in ("tank/a", "tank/b"):
        clock.at += 60
        log.tell(Event.RECEIVED, dataset=dataset, snapshot="s")
    return config


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["daemon-started", "tank/a@s", "tank/b@s"]),
        (["--event", "received", "--dataset", "tank/b"], ["tank/b@s"]),
        (["--lines", "1"], ["tank/b@s"]),
        (["--since", "2025-11-21T09:14:20Z"], ["tank/a@s", "tank/b@s"]),
    ],
)
def test_what_is_asked_for_is_shown(config: str, options: list[str], shown: list[str]) -> None:
    lines = run(events, "--config", config, *options).stdout.splitlines()
    assert len(lines) == len(shown)
    assert all(word in line for word, line in zip(shown, lines, strict=True))


def test_json_is_one_event_a_line(config: str) -> None:
    lines = run(events, "--config", config, "--json").stdout.splitlines()
    assert json.loads(lines[0])["event"] == "daemon-started"


@pytest.mark.parametrize("time", ["latest", "next christmas", "1950-01-01T00:00"])
def test_a_wrong_time_is_refused(config: str, time: str) -> None:
    assert run(events, "--config", config, "--since", time).exit_code == 3


@pytest.fixture
def many(tmp_path: Path) -> str:
    config, clock = prepare(tmp_path), Clock()
    log = EventLog(clock, EventFiles(str(tmp_path / "state" / "events")))
    for number in range(LINES + 7):
        log.tell(Event.RECEIVED, dataset="tank/a", snapshot=f"s{number:03}")
    return config


def test_the_newest_are_shown_and_how_to_see_more(many: str) -> None:
    said = run(events, "--config", many)
    assert len(said.stdout.splitlines()) == LINES
    assert "s007" in said.stdout.splitlines()[0]
    assert f"the newest {LINES} of {LINES + 7} events; more: --all" in said.stderr
    assert len(run(events, "--config", many, "--json").stdout.splitlines()) == LINES
    everything = run(events, "--config", many, "--all")
    assert len(everything.stdout.splitlines()) == LINES + 7
    assert run(events, "--config", many, "--lines", "2").stderr == everything.stderr == ""
    assert run(events, "--config", many, "--lines", "2", "--all").exit_code == 2


def test_a_wrong_since_is_told_without_the_sign_for_files(many: str) -> None:
    for time in ("latest", "next christmas", "25:00"):
        error = run(events, "--config", many, "--since", time).exception
        assert isinstance(error, Refused)
        assert "--since 09:15" in error.remedy
        assert "@" not in error.remedy


# --- sentences

TEXTS = ["node", "uuid", "user", "verb", "group", "pool", "dataset", "target", "snapshot", "guid"]
TEXTS += ("reason", "message", "why", "kind", "evidence", "address", "socket", "policy", "peer")


def fields_of(event: Event) -> dict[str, Any]:
    return {
        "at": "2026-11-21T09:13:42.000+00:00",
        "event": event.value,
        "policies": ["station"],
        "left": [],
        "names": ["zr_1"],
        "count": 2,
        "destroyed": 3,
        "members": 4,
        "taken": 1,
        "seq": 7,
        "seconds": -3.5,
        "missed": 3,
        "failures": 1,
        "retry_seconds": 4.0,
        "whole": True,
        "snapshots": 3,
        "allow": "zr retention apply x --plan x",
        **dict.fromkeys(TEXTS, "x"),
    }


@pytest.mark.parametrize("event", SENTENCES)
def test_every_sentence_reads_without_its_fields_names(event: Event) -> None:
    line = render_event(fields_of(event), ZONE)
    assert line.startswith(f"2026-11-21 10:13:42  {event.value}")
    assert "=" not in line


def test_people_read_the_commands_they_typed() -> None:
    asked = {**fields_of(Event.ASKED), "verb": "sync_begin", "user": "root"}
    assert render_event(asked, ZONE).endswith("  root asked for: sync")


def test_an_unknown_event_is_shown_with_its_fields() -> None:
    moon = {"at": "2026-11-21T09:13:42+00:00", "event": "moon", "phase": 3, "before": None}
    line = render_event(moon, ZONE)
    assert line.split() == ["2026-11-21", "10:13:42", "moon", "phase=3"]
