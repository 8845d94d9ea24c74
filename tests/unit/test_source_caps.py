"""The source while beta is away: what waits, what is warned of, what gives way, on the model."""

from typing import Any

from zrepl_py.events import Event
from zrepl_py.model.names import render_cursor
from zrepl_py.model.policy import Keep, Limits

from .test_source_retention import BETA, KEY, Alpha


def away(keep: Keep, limits: Limits, hours: int = 400, *, turned: bool = False) -> Alpha:
    """Beta has the second snapshot, and was never seen since the daemon's start."""
    alpha = Alpha(keep, hours, limits, turned=turned)
    base = alpha.pools.dataset("tank/a").snapshots[1]
    alpha.zfs.bookmark(f"tank/a@{base.name}", f"tank/a#{render_cursor(BETA.short, base.guid)}")
    return alpha


def free_percent(alpha: Alpha, percent: int) -> None:
    """A pool as full as said."""
    pool = alpha.pools.pools["tank"]
    alpha.pools.write("tank/a", "file", b"much" * 5000)
    pool.size_bytes = pool.used_bytes() * 100 // (100 - percent)


def words(alpha: Alpha) -> list[str]:
    return [e.value for e, _ in alpha.told if e.value.startswith("space-")]


def test_what_beta_has_not_stays_and_is_counted() -> None:
    _check_counted(away(Keep(last=5), Limits()))


def test_what_the_founder_has_not_stays_after_a_switchover() -> None:
    _check_counted(away(Keep(last=5), Limits(), turned=True))


def _check_counted(alpha: Alpha) -> None:
    left = alpha.prune()
    assert left[:2] == ["2", "3"], "the first one is beta's too, and no rule wants it"
    assert len(left) >= 399
    facts: dict[str, Any] | None = alpha.source.rooms.describe(KEY, alpha.source.policies[KEY])
    assert facts is not None
    assert facts["waiting"][0]["snapshots"] >= 398
    assert facts["waiting"][0]["target"] == "beta"


def test_it_is_warned_before_anything_goes_then_thinned_but_for_base_and_newest() -> None:
    alpha = away(Keep(last=5), Limits(thin_free_percent=30))
    free_percent(alpha, 33)
    before = alpha.prune()
    assert words(alpha) == ["space-soon"]
    free_percent(alpha, 29)
    left = alpha.prune()
    assert words(alpha) == ["space-soon", "space-thins"]
    assert left[0] == "2", "the last common version"
    assert left[-5:] == alpha.prune()[-5:]
    assert 168 <= len(left) < 168 + 20
    assert len(before) >= 399
    assert alpha.prune() == left, "thinning again changes nothing"


def test_the_last_step_is_a_pause_and_the_base_is_still_there() -> None:
    alpha = away(Keep(last=390, at_least=200), Limits())
    free_percent(alpha, 5)
    left = alpha.prune()
    assert Event.TICK_PAUSED in [event for event, _ in alpha.told]
    assert left[0] == "2"
    assert left[-200:] == [str(n) for n in range(201, 401)]
    assert len(left) <= 200 + 20
    assert alpha.source.rooms.describe(KEY, alpha.source.policies[KEY])["state"] == "dense"  # type: ignore[index]
