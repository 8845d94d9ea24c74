"""Policies: what is understood, and what is refused with file, key, line and the nearest key."""

from pathlib import Path

import pytest

from zrepl_py.config.policies import caution_policy, load_policies, load_policy
from zrepl_py.errors import Standing
from zrepl_py.model.policy import Keep, Limits, Rung, Selection

ROOT = Path(__file__).parents[2]
GOOD = """format = 1
[policy]
name = "station"
source = "alpha"
datasets = ["tank/audio/**"]
every = "1m"
targets = ["beta"]
[retention.alpha]
keep_last = 60
"""


def write(folder: Path, text: str, name: str = "station.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(path: Path) -> str:
    with pytest.raises(Standing) as caught:
        load_policy(str(path))
    assert caught.value.reason == "config"
    return caught.value.message


def test_the_example_of_the_repository_loads() -> None:
    (policy,) = load_policies(str(ROOT / "policies"))
    assert policy.selection == Selection(
        ("tank/audio/**", "tank/services/**"), ("tank/services/cache",)
    )
    assert policy.every_seconds == 60
    assert policy.keep == {"alpha": Keep(60, 172_800), "beta": Keep(None, 604_800)}
    assert policy.limits == Limits(12_000, 10)
    assert policy.timezone == "Europe/Berlin"
    assert caution_policy(policy) == ()


def test_every_rule_of_retention_is_understood(tmp_path: Path) -> None:
    rules = """hourly = 24
yearly = 5
daily = 14
grid = ["24 x 1h", "14x1d"]
keep_matching = ["zr_*_1000_*"]
keep_at_least = 10
keep_within = "2h"
[limits]
max_remove_share = "80%"
"""
    text = GOOD.replace("keep_last = 60", rules).replace("every =", 'timezone = "UTC"\nevery =')
    for zone in ("UTC", "Europe/Berlin"):
        policy = load_policy(str(write(tmp_path, text.replace('"UTC"', f'"{zone}"'))))
        assert policy.keep["alpha"] == Keep(
            None,
            7200,
            grid=(Rung(24, 3600), Rung(14, 86_400)),
            calendar=(("hourly", 24), ("daily", 14), ("yearly", 5)),
            at_least=10,
            matching=("zr_*_1000_*",),
            timezone=zone,
        )
        assert policy.limits.max_remove_percent == 80
        assert caution_policy(policy) == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('grid = ["5 x 30s"]', "cells shorter than every = 1m: it keeps the newest 5"),
        ("daily = 7", "daily is the finest rule: of the snapshots of one day only the last stays"),
    ],
)
def test_what_is_perhaps_not_meant_is_cautioned(tmp_path: Path, rule: str, said: str) -> None:
    policy = load_policy(str(write(tmp_path, GOOD.replace("keep_last = 60", rule))))
    (note,) = caution_policy(policy)
    assert said in note


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    policy = load_policy(str(write(tmp_path, GOOD)))
    assert (policy.limits, policy.timezone) == (Limits(), "UTC")
    assert policy.keep == {"alpha": Keep(60, None)}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("every =", "evry =", "policy.every: is missing"),
        ("every =", "evry =", "line 6: policy.evry: this key is not known; did you mean every."),
        (
            "keep_last",
            "keep_lst",
            "line 9: retention.alpha.keep_lst: this key is not known; did yo",
        ),
        (
            "[retention.alpha]",
            "[retenton.alpha]",
            "retenton: this key is not known; did you mean r",
        ),
        ("keep_last = 60", "keep_last = 0", "line 9: retention.alpha.keep_last: expected a whole"),
        (
            "keep_last = 60",
            "keep_last = true",
            "retention.alpha.keep_last: expected a whole number",
        ),
        ("keep_last = 60", "", "retention.alpha.keep_last: is missing: to keep everything"),
        ("keep_last = 60", "hourly = 0", "retention.alpha.hourly: expected a whole number"),
        ("keep_last = 60", "daily = 20000", "daily: 20000 contradicts max_snapshots = 10000"),
        ("keep_last = 60", "minutely = 60", "minutely: this key is not known; write grid"),
        ("keep_last = 60", 'grid = "1x1h"', "retention.alpha.grid: expected a list of texts"),
        ("keep_last = 60", "grid = []", "retention.alpha.grid: is empty: it would keep nothing"),
        ("keep_last = 60", 'grid = ["1h"]', "grid: '1h' is not like \"24 x 1h\""),
        ("keep_last = 60", 'grid = ["0 x 1h"]', "grid: '0 x 1h' is not like"),
        ("keep_last = 60", 'grid = ["2 x 1y"]', "grid: '1y' is not a duration"),
        ("keep_last = 60", 'grid = ["2 x 1h", "9x60m"]', "grid: has cells of 1h twice"),
        ("keep_last = 60", 'keep_matching = ["zr_*"]', "keep_matching: alone keeps nothing of"),
        ("keep_last = 60", 'keep_matching = ["a@b"]', "keep_matching: 'a@b' can match no snap"),
        ("keep_last = 60", "keep_matching = []", "keep_matching: is empty: it matches nothing"),
        ("keep_last = 60", "keep_at_least = 0", "keep_at_least: expected a whole number"),
        (
            "[retention.alpha]",
            '[limits]\nmax_remove_share = "0%"\n[retention.alpha]',
            "max_remove_share: '0%' is not a share like",
        ),
        ("keep_last = 60", 'keep_within = "2 days"', "'2 days' is not a duration like 5s, 1m"),
        ("keep_last = 60", 'keep_within = "0s"', "'0s' is not a duration"),
        ("keep_last = 60", "keep_last = 20000", "20000 contradicts max_snapshots = 10000"),
        ("[retention.alpha]", "[retention.beeta]", "neither the source nor a target of this pol"),
        ("[retention.alpha]", "[retention.beeta]", "did you mean beta"),
        ("[retention.alpha]", "[retention]", "retention.keep_last: retention is said per node"),
        ('"1m"', "60", "policy.every: expected a text in quotes, found 60"),
        ('"1m"', '"soon"', "line 6: policy.every: 'soon' is not a duration like 5s"),
        ('["tank/audio/**"]', "[]", "policy.datasets: selects nothing"),
        ('["tank/audio/**"]', '"tank"', "policy.datasets: expected a list of texts, found 'tank'"),
        ('["tank/audio/**"]', "[1]", "policy.datasets: expected a list of texts in quotes"),
        ('["tank/audio/**"]', '["tank/**/x"]', "'tank/**/x' is not a dataset pattern"),
        ('["tank/audio/**"]', '["*/audio"]', "'*/audio' does not name its pool"),
        ('["tank/audio/**"]', '["tank/a", "tank/a"]', "policy.datasets: names 'tank/a' twice"),
        ('["beta"]', '["alpha"]', "policy.targets: alpha is the source"),
        ('"alpha"', '""', "policy.source: must not be empty"),
        ('"station"', '"my station"', "policy.name: 'my station' must be of letters"),
        ("format = 1", "format = 2", "format: 2 was written for a newer zr"),
        ("format = 1", "", "format: is missing"),
        ("format = 1", "format = '1'", "format: expected a number"),
        ("format = 1", "format = 0", "format: expected 1, found 0"),
        ("[policy]", "policy = 3\n[x]", "policy: expected a table [policy]"),
        ('every = "1m"', 'every = "1m', "is not valid TOML"),
        ("every", 'timezone = "Europe/Berln"\nevery', "did you mean Europe/Berlin"),
        ("every", 'timezone = "../x"\nevery', "is not a time zone like Europe/Berlin"),
        ("every", 'exclude = ["tank/audio/**"]\nevery', "is also in datasets"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    message = refused(path)
    assert said in message
    assert str(path) in message


@pytest.mark.parametrize("value", ['"10"', '"95%"', '"-1%"', "10"])
def test_a_share_is_a_percentage(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, GOOD + f"[limits]\nmin_free = {value}\n")
    assert "limits.min_free" in refused(path)


def test_all_problems_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("every", "evry"), "a.toml")
    write(tmp_path, "format = 9\nnew = 1\n", "b.toml")
    write(tmp_path, GOOD, "c.toml")
    with pytest.raises(Standing) as caught:
        load_policies(str(tmp_path))
    message = caught.value.message
    assert message.startswith("The configuration has 3 problems:")
    assert "a.toml" in message
    assert "b.toml" in message
    assert "c.toml" not in message
    assert "new:" not in message, "a newer format may know more keys"


def test_two_policies_of_one_source_may_not_share_a_dataset(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "a.toml")
    other = GOOD.replace('"station"', '"other"').replace("tank/audio/**", "tank/audio/*")
    write(tmp_path, other, "b.toml")
    with pytest.raises(Standing) as caught:
        load_policies(str(tmp_path))
    assert f"{tmp_path}/a.toml and {tmp_path}/b.toml: both select" in caught.value.message
    assert "for example tank/audio/x" in caught.value.message
    elsewhere = other.replace('"alpha"', '"beta"').replace('["beta"]', '["alpha"]')
    write(tmp_path, elsewhere, "b.toml")
    assert len(load_policies(str(tmp_path))) == 2
    same_name = elsewhere.replace('"other"', '"station"')
    write(tmp_path, same_name, "b.toml")
    with pytest.raises(Standing, match="both policies are named 'station'"):
        load_policies(str(tmp_path))


def test_only_visible_toml_files_count(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "nonsense", ".station.toml.swp")
    write(tmp_path, "nonsense", ".hidden.toml")
    write(tmp_path, "nonsense", "README")
    assert len(load_policies(str(tmp_path))) == 1
    with pytest.raises(Standing, match="cannot be read: No such file"):
        load_policies(str(tmp_path / "nowhere"))


def test_bytes_that_are_no_text_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    assert "is not text in UTF-8" in refused(tmp_path / "a.toml")


def test_a_cap_below_what_was_promised_is_cautioned(tmp_path: Path) -> None:
    text = GOOD + '[retention.beta]\nkeep_within = "30d"\n'
    (caution,) = caution_policy(load_policy(str(write(tmp_path, text))))
    assert "43201 per dataset, but max_snapshots = 10000" in caution


def test_what_waits_and_what_gives_way_can_be_said(tmp_path: Path) -> None:
    text = '[limits]\nmin_free = "20%"\nkeep_waiting = 500\n'
    policy = load_policy(str(write(tmp_path, GOOD + text)))
    assert (policy.limits.keep_waiting, policy.limits.thin_percent) == (500, 25)
    path = write(tmp_path, GOOD + text + 'thin_free = "40%"\n')
    assert load_policy(str(path)).limits.thin_percent == 40
    off = write(tmp_path, GOOD + text + 'thin_free = "0%"\n')
    assert load_policy(str(off)).limits.thin_percent == 0


def test_thinning_that_would_begin_after_the_pause_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + '[limits]\nthin_free = "10%"\n')
    assert "thin_free: 10% must be more than min_free = 10%" in refused(path)
