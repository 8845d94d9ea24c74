"""Which policy means a dataset, and why; and what was perhaps meant."""

import json
from pathlib import Path

import pytest

from zrepl_py.cli.policy import policy
from zrepl_py.core.explain import explain_dataset, find_nearest
from zrepl_py.model.policy import Policy, Selection

from .cli_support import POLICY, prepare, run

STATION = Policy(
    name="station",
    source="alpha",
    selection=Selection(("tank/audio/**", "tank/svc-*"), ("tank/audio/cache",)),
    every_seconds=60,
)
EXISTING = ("tank", "tank/audio", "tank/audio/news", "tank/audio/cache", "tank/svc-wiki")


@pytest.mark.parametrize(
    ("dataset", "protected", "pattern"),
    [
        ("tank/audio", True, "tank/audio/**"),
        ("tank/audio/news", True, "tank/audio/**"),
        ("tank/svc-wiki", True, "tank/svc-*"),
        ("tank/audio/cache", False, "tank/audio/cache"),
        ("tank", False, ""),
    ],
)
def test_the_pattern_that_decided_is_named(dataset: str, protected: bool, pattern: str) -> None:
    found = explain_dataset(dataset, [STATION], existing=EXISTING)
    assert (found.protected, found.pattern, found.exists) == (protected, pattern, True)
    assert (found.excluding is STATION) == (dataset == "tank/audio/cache")


def test_replicas_of_others_are_never_selected() -> None:
    found = explain_dataset("tank/audio/zr/beta", [STATION], ["tank/audio/zr"])
    assert (found.protected, found.reserved) == (False, "tank/audio/zr")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("tank/audoi", "tank/audio"),
        ("tank/Audio/news", "tank/audio/news"),
        ("news", "tank/audio/news"),
        ("pool/elsewhere/svc-wiki", "tank/svc-wiki"),
    ],
)
def test_names_that_are_near_are_offered(name: str, nearest: str) -> None:
    assert find_nearest(name, EXISTING)[0] == nearest


def test_nothing_is_offered_where_nothing_is_near() -> None:
    assert explain_dataset("qqqq/zzzz", [STATION], existing=EXISTING).nearest == ()


# --- the commands


@pytest.fixture
def config(tmp_path: Path) -> str:
    return prepare(tmp_path)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (
            "tank/audio",
            [
                "is selected by policy station",
                "'tank/audio/**'",
                "every 1m",
                "targets:   beta",
                "on alpha, everything",
                "on beta, all of the last 7d",
                "Europe/Berlin",
            ],
        ),
        ("tank/services/cache", ["NOT protected: exclude = 'tank/services/cache'"]),
        ("tank/other", ["NOT protected: no policy selects it. They name: tank/audio/**"]),
    ],
)
def test_explain_says_all_of_it(config: str, dataset: str, words: list[str]) -> None:
    result = run(policy, "explain", "--config", config, dataset)
    assert result.exit_code == 0
    assert [word for word in words if word not in result.stdout] == []


def test_explain_in_json(config: str) -> None:
    facts = json.loads(run(policy, "explain", "--config", config, "--json", "tank/audio").stdout)
    assert facts["protected"]
    assert facts["policy"]["retention"]["beta"]["keep_within_seconds"] == 604_800
    other = json.loads(run(policy, "explain", "--config", config, "--json", "tank/x").stdout)
    assert (other["protected"], other["policy"]) == (False, None)


@pytest.mark.parametrize("dataset", ["", "a@b", "/tank", "tank//a", "tank/a#b", "x" * 300])
def test_what_is_no_dataset_is_refused(config: str, dataset: str) -> None:
    assert run(policy, "explain", "--config", config, dataset).exit_code == 3


def test_check_notes_a_target_that_is_no_peer(config: str, tmp_path: Path) -> None:
    text = POLICY.replace('targets = ["beta"]', 'targets = ["beta", "gamma"]')
    (tmp_path / "policies" / "station.toml").write_text(text)
    result = run(policy, "check", "--config", config)
    assert "note: target gamma is no peer" in result.stdout
    notes = json.loads(run(policy, "check", "--config", config, "--json").stdout)
    assert any("gamma" in note for note in notes["policies"][0]["notes"])


def test_check_of_no_policies_says_that_nothing_is_protected(tmp_path: Path) -> None:
    result = run(policy, "check", str(tmp_path))
    assert "nothing is protected" in result.stdout
