"""What both ZFS adapters have in common: verbs that are channel programs, and verbs that list.

A channel program looks and acts in one txg, so nothing can happen between a check and the change
(ports/zfs.py). Verbs that list fork `zfs list` or `zfs get`, and are none of a steady cycle's.
Must never build a program's text from arguments, and never force anything.
"""

from collections.abc import Callable, Mapping, Sequence

from zrepl_py.adapters.zfs.begin import Begin
from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.dependents import list_dependents, parse_dependents_answer
from zrepl_py.adapters.zfs.forks import Ended, run
from zrepl_py.adapters.zfs.kstat import read_pool_guid, read_pool_state
from zrepl_py.adapters.zfs.names import by_pool, check_own, dataset_of, one_pool, pool_of
from zrepl_py.adapters.zfs.parse import (
    parse_carried,
    parse_datasets,
    parse_destroy_outcome,
    parse_history,
    parse_snapshot_words,
)
from zrepl_py.adapters.zfs.programs import (
    check_answer,
    parse_snapshot_answer,
    program_text,
    render_property_arguments,
    render_snapshot_arguments,
)
from zrepl_py.adapters.zfs.resume_token import parse_resume_token
from zrepl_py.adapters.zfs.translate import judge_errno
from zrepl_py.errors import Passing, Standing
from zrepl_py.model.history import History, Snapshot
from zrepl_py.model.names import check_dataset_name
from zrepl_py.model.observation import (
    Dataset,
    Dependents,
    DestroyOutcome,
    PoolView,
    ResumePoint,
    SnapshotOutcome,
)

RunProgram = Callable[[str, str, Sequence[str], bool], dict[str, str]]
"""(pool, program's text, arguments, whether it changes something) → its table of words."""

_ENODEV = 19
_SNAPSHOT_TRIES = 20
"""Each waits for a txg of its own."""
_DEPENDENTS_BATCH = 2_000
"""Snapshots of one look: their names fit into a command line."""


class SharedZfs:
    """The verbs of ZfsPort that need no libzfs_core call of their own."""

    def __init__(self, run_program: RunProgram) -> None:
        self._run_program = run_program

    def observe_pool(self, pool: str) -> PoolView:
        """See the port. A suspended pool cannot say its sizes: they are 0 then."""
        health, guid = read_pool_state(pool), read_pool_guid(pool)
        used = available = 0
        if health != "SUSPENDED":
            answer = self._run_program(pool, program_text("observe_pool"), [pool], False)
            used, available = (int(word) for word in answer[pool].split()[1:])
        return PoolView(pool, guid, health, used + available, available)

    def observe_datasets(self, root: str) -> list[Dataset]:
        """See the port. Two forks."""
        what = ["-r", "-t", "filesystem,volume"]
        listed = list_lines(
            ["zfs", "list", "-Hp", *what, "-o", "name,guid,type,encryption,compression,mounted"],
            root,
        )
        own = list_lines(
            ["zfs", "get", "-Hp", *what, "-s", "local", "-o", "name,property,value", "all"], root
        )
        return parse_datasets(listed, own)

    def observe_history(self, dataset: str) -> History:
        """See the port. One fork."""
        columns = "name,guid,createtxg,creation"
        argv = ["zfs", "list", "-Hp", "-d", "1", "-t", "snapshot,bookmark", "-o", columns]
        return parse_history(dataset, list_lines(argv, dataset))

    def observe_properties(self, dataset: str) -> dict[str, str]:
        """See the port. One fork."""
        argv = ["zfs", "get", "-Hp", "-s", "local,received", "-o", "property,value", "all"]
        return parse_carried(list_lines(argv, dataset))

    def observe_origin(self, dataset: str) -> str | None:
        """See the port. One fork."""
        argv = ["zfs", "get", "-Hp", "-o", "value", "origin"]
        origin = list_lines(argv, dataset).rstrip("\n")
        return origin if "@" in origin else None

    def observe_snapshot(self, snapshot: str) -> Snapshot | None:
        """See the port. No fork as root; an ordinary user may not run programs: one fork."""
        dataset, _, name = snapshot.partition("@")
        check_dataset_name(dataset)
        try:
            answer = self._run_program(
                pool_of(dataset), program_text("observe_snapshot"), [snapshot], False
            )
        except Standing as error:
            if error.reason == "pool-missing":
                return None
            if error.reason != "no-rights":
                raise
            return _listed_snapshot(snapshot)
        return parse_snapshot_words(name, answer[snapshot])

    def observe_dependents(self, snapshots: Sequence[str]) -> dict[str, Dependents]:
        """See the port. No fork as root; an ordinary user may not run programs: some forks."""
        found: dict[str, Dependents] = {}
        try:
            for pool, names in by_pool(dict.fromkeys(snapshots)).items():
                for start in range(0, len(names), _DEPENDENTS_BATCH):
                    argv = names[start : start + _DEPENDENTS_BATCH]
                    answer = self._run_program(
                        pool, program_text("observe_dependents"), argv, False
                    )
                    found |= parse_dependents_answer(answer)
        except Standing as error:
            if error.reason != "no-rights":
                raise
            return list_dependents(snapshots)
        return found

    def observe_resume(self, dataset: str) -> ResumePoint | None:
        """See the port. No fork as root; an ordinary user may not run programs: one fork."""
        token = self._resume_token(dataset)
        return parse_resume_token(token).point if token else None

    def _check_continues(self, snapshot: str, begin: Begin) -> None:
        """Refused(base-mismatch) where a resumed stream continues nothing that is there.

        The kernel would call the same a damaged stream.
        """
        if not begin.resuming:
            return
        point = self.observe_resume(dataset_of(snapshot))
        if point is None or (point.to_guid, point.from_guid) != (begin.to_guid, begin.from_guid):
            raise judge_errno("receive", _ENODEV, snapshot)

    def _resume_token(self, dataset: str) -> str | None:
        check_dataset_name(dataset)
        try:
            answer = self._run_program(
                pool_of(dataset), program_text("observe_resume"), [dataset], False
            )
        except Standing as error:
            if error.reason == "pool-missing":
                return None
            if error.reason != "no-rights":
                raise
            return _listed_resume_token(dataset)
        words = answer[dataset].split(" ", 1)
        return words[1] if words[0] == "token" else None

    def snapshot_changed(
        self, datasets: Mapping[str, str | None], name: str
    ) -> dict[str, SnapshotOutcome]:
        """See the port. One channel program, one txg; made again where it has to wait for one."""
        if not datasets:
            return {}
        argv = render_snapshot_arguments(datasets, name)
        pool = one_pool(datasets)
        for _ in range(_SNAPSHOT_TRIES):
            answer = self._run_program(pool, program_text("snapshot_changed"), argv, True)
            outcomes = parse_snapshot_answer(answer, name)
            if outcomes is not None:
                return outcomes
        raise Passing(
            "busy",
            f"Something else takes snapshots in {pool} in every single txg.",
            "Look for a script that takes snapshots without a pause.",
        )

    def destroy_snapshots(self, snapshots: Mapping[str, int]) -> list[DestroyOutcome]:
        """See the port. One channel program, one txg for each pool."""
        check_own(snapshots, "@")
        outcomes = []
        for pool, names in by_pool(snapshots).items():
            argv = [word for name in names for word in (name, str(snapshots[name]))]
            answer = self._run_program(pool, program_text("destroy_snapshots"), argv, True)
            outcomes += [parse_destroy_outcome(name, answer[name]) for name in names]
        return outcomes

    def set_user_properties(self, datasets: Sequence[str], values: Mapping[str, str]) -> None:
        """See the port. One channel program."""
        argv = render_property_arguments(datasets, values)
        if not datasets:
            return
        text = program_text("set_user_properties")
        for dataset, said in self._run_program(pool_of(datasets[0]), text, argv, True).items():
            check_answer({dataset: said}, dataset, "set", "property")

    def abort_receive(self, dataset: str, to_guid: int) -> None:
        """See the port. The token is compared again in the txg in which the partial goes."""
        token = self._resume_token(dataset)
        if token is None or parse_resume_token(token).point.to_guid != to_guid:
            return
        answer = self._run_program(
            pool_of(dataset), program_text("abort_receive"), [dataset, token], True
        )
        if answer.get(dataset) != "none":
            check_answer(answer, dataset, "aborted", "abort")


def list_lines(argv: Sequence[str], name: str) -> str:
    """Run a listing command about `name` (checked, so that it cannot be an option)."""
    check_dataset_name(name)
    ended: Ended = run([*argv, name])
    if ended.code != 0:
        raise judge_command("list", ended, name)
    return ended.out


def _listed_snapshot(snapshot: str) -> Snapshot | None:
    dataset, _, name = snapshot.partition("@")
    columns = "name,guid,createtxg,creation"
    ended = run(["zfs", "list", "-Hp", "-t", "snapshot", "-o", columns, "--", snapshot])
    if ended.code != 0:
        error = judge_command("list", ended, snapshot)
        if error.reason == "dataset-missing":
            return None
        raise error
    return next((s for s in parse_history(dataset, ended.out).snapshots if s.name == name), None)


def _listed_resume_token(dataset: str) -> str | None:
    argv = ["zfs", "get", "-Hp", "-o", "value", "receive_resume_token"]
    try:
        token = list_lines(argv, dataset).strip()
    except Standing as error:
        if error.reason == "dataset-missing":
            return None
        raise
    return None if token in ("", "-") else token
