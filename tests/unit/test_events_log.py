"""The log of events: what every line has, whatever fields are told."""

import json

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.events import EventLog
from zrepl_py.events import Event


def test_fields_replace_neither_time_nor_word(capsys: pytest.CaptureFixture[str]) -> None:
    EventLog(MachineClock()).tell(Event.PRUNED, at=7, group="station")
    line = json.loads(capsys.readouterr().err)
    assert isinstance(line["at"], str)
    assert (line["event"], line["group"]) == ("pruned", "station")
