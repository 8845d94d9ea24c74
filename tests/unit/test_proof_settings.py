"""The schedule of proofs in zr.toml, and where an interrupted one is remembered."""

from pathlib import Path

import pytest

from zrepl_py.adapters.proof.position import PositionFile
from zrepl_py.config.node import load_node_config
from zrepl_py.config.values import parse_hours, parse_period, parse_size
from zrepl_py.errors import Standing
from zrepl_py.model.config import ProofLimits
from zrepl_py.model.proof import Difference, Reading, Subject, Tally, Way, Wrong

SMALL = 'format = 1\n[node]\nname = "alpha"\npools = ["tank"]\n'


def load(tmp_path: Path, more: str = "") -> ProofLimits:
    (tmp_path / "zr.toml").write_text(SMALL + more)
    return load_node_config(str(tmp_path / "zr.toml")).proof


def test_the_schedule_has_defaults_and_can_be_said(tmp_path: Path) -> None:
    assert load(tmp_path) == ProofLimits()
    said = load(
        tmp_path,
        '[proof]\nverify_every = "3d"\ndrill_every = "never"\n'
        'drill_hours = "22-6"\nrate = "5MiB"\n',
    )
    assert said == ProofLimits(3 * 86_400, None, 22, 6, 5 << 20)


def test_where_the_proof_worker_listens(tmp_path: Path) -> None:
    load(tmp_path)
    config = load_node_config(str(tmp_path / "zr.toml"))
    assert config.workers["tank"].proof == "/run/zr/proof/tank.sock"


@pytest.mark.parametrize(
    "line",
    ['rate = "0MiB"', 'rate = "fast"', 'drill_hours = "25-3"', 'verify_every = "0d"', "x = 1"],
)
def test_what_is_no_schedule_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(Standing, match="proof"):
        load(tmp_path, f"[proof]\n{line}\n")


def test_words_for_numbers() -> None:
    assert parse_hours("1-5") == (1, 5)
    assert parse_period("never") is None
    assert (parse_size("500KiB"), parse_size("1GB")) == (512_000, 10**9)
    for text in ("-1-5", "1", "24-5", "a-b"):
        with pytest.raises(ValueError, match="hours"):
            parse_hours(text)


def test_a_position_survives(tmp_path: Path) -> None:
    file = PositionFile(str(tmp_path / "p.json"))
    subject = Subject("l", "tank/a", "beta", "zr_1", 2**64 - 1)
    wrong = (Difference("a%20b", Wrong.DIFFERS, None, "content", 0),)
    reading = Reading(subject, Way.VERIFY, 5, tally=Tally(1, 2, 1, False, wrong))
    file.store(reading)
    assert file.load() == reading
    file.store(None)
    assert file.load() is None
