"""What fsync promised before a loss of power is in the rescue: the intent logs are taken up before
the snapshot that sets a tail aside (on real ZFS: tests/lab/test_replay_logs.py)."""

from tests.unit.role_engine_support import founded
from zrepl_py.engine.commands import Command
from zrepl_py.model.roles import Order


def test_the_logs_of_a_tail_are_taken_up_before_its_snapshot() -> None:
    site = founded()
    site.alpha.write()
    site.alpha.lose_power()
    site.rest()
    site.beta.order(Order.FORCE)
    site.rest()
    site.alpha.start()
    asked: list[Command] = []
    perform = site.alpha.perform

    def noting(command: Command) -> object:
        asked.append(command)
        return perform(command)

    site.alpha.perform = noting  # type: ignore[method-assign]
    site.rest(300)
    verbs = [c.verb for c in asked]
    taken = [n for n, verb in enumerate(verbs) if verb == "snapshot_tree"]
    assert taken
    for n in taken:
        assert verbs[n - 1] == "replay_logs"
        root = asked[n].args[0]
        inside = {d for d in site.alpha.members.values() if d == root or d.startswith(f"{root}/")}
        assert inside <= set(asked[n - 1].args[0])
