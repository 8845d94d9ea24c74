"""Conformance kit of PeerPort. Which question: can a source believe what this link tells it?

The target's side is in each case the production's (daemon/replicas.py) on a model pool; what is
checked is that everything arrives there and comes back as it is, or as Passing with an outcome that
a look clears up. Each `check_` function takes a PeerCase and fails with AssertionError.
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

from zrepl_py.errors import Passing, Refused, Standing, ZrError
from zrepl_py.model.history import Snapshot
from zrepl_py.model.names import Epoch, TickName, render_tick
from zrepl_py.model.plan import Resume, SendFull, SendIncrement
from zrepl_py.model.receipt import Holding, Receipt
from zrepl_py.model.site import Lane, Manifest, Node
from zrepl_py.ports.journal import Json
from zrepl_py.ports.peer import PeerPort
from zrepl_py.testing.model_zfs import ModelZfs

DATASET = "tank/a"
BIG_BYTES = 3_000_000


class PeerCase(Protocol):
    """A source with `tank/a` in `source`, and a target that keeps its replicas below `back/zr`."""

    @property
    def peer(self) -> PeerPort:
        """What is tested."""

    @property
    def source(self) -> ModelZfs:
        """The source's ZFS."""

    @property
    def target(self) -> ModelZfs:
        """The target's ZFS."""

    @property
    def source_node(self) -> Node:
        """The source."""

    @property
    def lane(self) -> Lane:
        """The lane of `tank/a`."""

    def journalled(self, kind: str) -> list[dict[str, Json]]:
        """What the target's journal has."""

    def cut_next_stream(self) -> None:
        """The next stream is cut somewhere in the middle."""

    def lose_next_answer(self) -> None:
        """The target does what it is asked next, and its answer is lost."""

    def silence(self) -> None:
        """From now on nothing gets through."""


def check_nothing_is_there_at_first(case: PeerCase) -> None:
    """A lane that never sent has no replica; asking makes none."""
    view = case.peer.observe_replica(case.lane)
    assert (view.exists, view.history.snapshots, view.resume) == (False, (), None)
    assert [d.name for d in case.target.observe_datasets("back/zr")] == ["back/zr"]


def check_streams_arrive_whole(case: PeerCase) -> None:
    """A full stream, then an increment: committed as the pool shows it, with the contents."""
    first = _take(case, 1, big=b"1")
    full = case.peer.transfer(case.lane, SendFull(first))
    assert full.guid == first.guid
    second = _take(case, 2, small=b"2")
    increment = case.peer.transfer(case.lane, SendIncrement(first, second))
    history = case.peer.observe_replica(case.lane).history
    assert [s.guid for s in history.snapshots] == [first.guid, second.guid]
    assert [s.createtxg for s in history.snapshots] == [full.createtxg, increment.createtxg]
    assert _contents(case.target, _replica(case)) == _contents(case.source, DATASET)
    assert [r["guid"] for r in case.journalled("received")] == [first.guid, second.guid]


def check_a_cut_stream_is_resumed(case: PeerCase) -> None:
    """A cut is Passing; a look shows where it stopped; the rest completes it."""
    first = _take(case, 1, big=b"1")
    case.cut_next_stream()
    _refused(Passing, "", lambda: case.peer.transfer(case.lane, SendFull(first)))
    point = case.peer.observe_replica(case.lane).resume
    assert point is not None
    assert (point.to_guid, point.from_guid) == (first.guid, 0)
    step = Resume(None, first, point.object, point.offset)
    assert case.peer.transfer(case.lane, step).guid == first.guid
    assert case.peer.observe_replica(case.lane).resume is None
    assert _contents(case.target, _replica(case)) == _contents(case.source, DATASET)


def check_a_partial_is_aborted_by_its_guid(case: PeerCase) -> None:
    """Only the partial that is named; where there is none, nothing happens."""
    first = _take(case, 1, big=b"1")
    case.cut_next_stream()
    _refused(Passing, "", lambda: case.peer.transfer(case.lane, SendFull(first)))
    case.peer.abort_partial(case.lane, first.guid + 1)
    assert case.peer.observe_replica(case.lane).resume is not None
    case.peer.abort_partial(case.lane, first.guid)
    assert case.peer.observe_replica(case.lane).resume is None
    case.peer.abort_partial(case.lane, first.guid)
    assert case.peer.transfer(case.lane, SendFull(first)).guid == first.guid


def check_the_targets_errors_arrive_as_themselves(case: PeerCase) -> None:
    """Kind and reason of what the other side raised."""
    first = _take(case, 1)
    second = _take(case, 2, small=b"2")
    case.peer.transfer(case.lane, SendFull(first))
    third = _take(case, 3, small=b"3")
    step = SendIncrement(second, third)
    _refused(Refused, "base-mismatch", lambda: case.peer.transfer(case.lane, step))
    _refused(Standing, "snapshot-missing", lambda: case.peer.hold_base(case.lane, third.guid))
    again = SendFull(first)
    _refused(Refused, "target-exists", lambda: case.peer.transfer(case.lane, again))


def check_the_sources_own_errors_too(case: PeerCase) -> None:
    """A snapshot that is gone here is no fault of the link; nothing is left over there."""
    first = _take(case, 1)
    case.source.destroy_snapshots({f"{DATASET}@{first.name}": first.guid})
    _take(case, 2)
    _refused(Standing, "snapshot-missing", lambda: case.peer.transfer(case.lane, SendFull(first)))
    view = case.peer.observe_replica(case.lane)
    assert (view.history.snapshots, view.resume) == ((), None)


def check_ticks_are_journalled(case: PeerCase) -> None:
    """When `tell_manifest` returns, the target's journal has it; told again, it has it once."""
    manifest = Manifest("home/tank", 7, "1-9f3a21cc", 1_795_000_000, {DATASET: 2**64 - 1})
    case.peer.tell_manifest(manifest)
    case.peer.tell_manifest(manifest)
    records = case.journalled("manifest")
    assert len(records) == 1
    told = records[0]["manifest"]
    assert isinstance(told, dict)
    assert (told["seq"], told["members"]) == (7, {DATASET: 2**64 - 1})


def check_receipts_are_journalled_where_they_are_true(case: PeerCase) -> None:
    """When `tell_receipt` returns, the target's journal has it; it refuses what is not there."""
    first, second = _take(case, 1, small=b"1"), _take(case, 2, small=b"2")
    case.peer.transfer(case.lane, SendFull(first))
    case.peer.tell_receipt(_receipt(case, first))
    _refused(Refused, "receipt-false", lambda: case.peer.tell_receipt(_receipt(case, second)))
    case.lose_next_answer()
    _refused(Passing, "peer-silent", lambda: case.peer.tell_receipt(_receipt(case, first)))
    told = [str(record["receipt"]) for record in case.journalled("receipt")]
    assert [str(first.guid) in receipt for receipt in told] == [True, True]
    assert not any(str(second.guid) in receipt for receipt in told)


def check_properties_are_stored(case: PeerCase) -> None:
    """All that are named, and no others."""
    first = _take(case, 1)
    case.peer.transfer(case.lane, SendFull(first))
    for properties in ({"recordsize": "65536", "compression": "zstd"}, {"compression": "off"}, {}):
        case.peer.tell_properties(case.lane, properties)
        stored = case.target.pools.dataset(_replica(case)).local
        shown = {k[8:]: v for k, v in stored.items() if k.startswith("zr:orig:")}
        assert shown == properties


def check_the_base_is_held(case: PeerCase) -> None:
    """The one that is named and the newest are held there, no other."""
    taken = [_take(case, n, small=bytes([n])) for n in (1, 2, 3)]
    case.peer.transfer(case.lane, SendFull(taken[0]))
    case.peer.transfer(case.lane, SendIncrement(taken[0], taken[1]))
    case.peer.transfer(case.lane, SendIncrement(taken[1], taken[2]))
    for base in (taken[0], taken[2]):
        case.peer.hold_base(case.lane, base.guid)
        assert case.peer.observe_replica(case.lane).held == {base.guid, taken[2].guid}


def check_a_lost_answer_is_an_unknown_outcome(case: PeerCase) -> None:
    """Passing(peer-silent), though it was done: a look shows it."""
    first = _take(case, 1)
    case.lose_next_answer()
    _refused(Passing, "peer-silent", lambda: case.peer.transfer(case.lane, SendFull(first)))
    seen = case.peer.observe_replica(case.lane).history
    assert [s.guid for s in seen.snapshots] == [first.guid]


def check_silence_ends_every_call(case: PeerCase) -> None:
    """No call waits for ever."""
    first = _take(case, 1)
    case.silence()
    manifest = Manifest("home/tank", 1, "1-9f3a21cc", 1_795_000_000, {})
    calls: tuple[Callable[[], object], ...] = (
        lambda: case.peer.observe_replica(case.lane),
        lambda: case.peer.transfer(case.lane, SendFull(first)),
        lambda: case.peer.abort_partial(case.lane, first.guid),
        lambda: case.peer.hold_base(case.lane, first.guid),
        lambda: case.peer.tell_manifest(manifest),
        lambda: case.peer.tell_receipt(_receipt(case, first)),
        lambda: case.peer.tell_properties(case.lane, {}),
    )
    for call in calls:
        _refused(Passing, "peer-silent", call)


PEER_CHECKS: tuple[Callable[[PeerCase], None], ...] = (
    check_nothing_is_there_at_first,
    check_streams_arrive_whole,
    check_a_cut_stream_is_resumed,
    check_a_partial_is_aborted_by_its_guid,
    check_the_targets_errors_arrive_as_themselves,
    check_the_sources_own_errors_too,
    check_ticks_are_journalled,
    check_receipts_are_journalled_where_they_are_true,
    check_properties_are_stored,
    check_the_base_is_held,
    check_a_lost_answer_is_an_unknown_outcome,
    check_silence_ends_every_call,
)


def _take(case: PeerCase, seq: int, *, big: bytes = b"", small: bytes = b"") -> Snapshot:
    if big:
        case.source.pools.write(DATASET, "big", Random(big).randbytes(BIG_BYTES))
    if small:
        case.source.pools.write(DATASET, "small", small)
    name = render_tick(TickName(Epoch(1, "9f3a21cc"), seq, 1_795_000_000 + seq))
    case.source.snapshot_changed({DATASET: None}, name)
    taken = case.source.observe_snapshot(f"{DATASET}@{name}")
    assert taken is not None
    return taken


def _receipt(case: PeerCase, snapshot: Snapshot) -> Receipt:
    held = Holding(case.lane.uuid, DATASET, snapshot.guid, snapshot.name)
    source, target = case.source_node, case.lane.target
    ticks = {"home/tank": 1}
    return Receipt(
        1, source.uuid, source.name, target.uuid, target.name, "1-9f3a21cc", 1, 2, ticks, (held,)
    )


def _replica(case: PeerCase) -> str:
    (found,) = (
        d.name
        for d in case.target.observe_datasets("back/zr")
        if case.target.observe_history(d.name).snapshots
    )
    return found


def _contents(zfs: ModelZfs, dataset: str) -> dict[str, bytes]:
    return {path: file.content for path, file in zfs.pools.dataset(dataset).files.items()}


def _refused(kind: type[ZrError], reason: str, call: Callable[[], object]) -> None:
    raised: ZrError | None = None
    try:
        call()
    except kind as error:
        raised = error
    assert raised is not None, f"{kind.__name__} was expected"
    assert reason in ("", raised.reason), f"{raised.reason} instead of {reason}"
