"""Encrypted snapshots, as they are stored: what of a raw stream counts, where a reading goes on,
and what is named when a block cannot be read."""

from collections.abc import Callable, Mapping, Set

import pytest

from zrepl_py.adapters.zfs.digestsealed import SealedReading
from zrepl_py.adapters.zfs.digestvolume import VolumeReading
from zrepl_py.adapters.zfs.sending import RecordKind, Sending
from zrepl_py.core.proof_compare import compare_records
from zrepl_py.core.proof_digest import Record, name_object, parse_path
from zrepl_py.errors import Standing
from zrepl_py.model.proof import PIECE_BYTES, START, Difference, Position, Side, Wrong

from .stream_support import (
    DNODE,
    END,
    RANGE,
    SEAL,
    SPILL,
    Place,
    make_begin,
    make_dnode,
    make_range,
    make_spill,
    make_write,
    opening,
    pack,
)

BLOCK = 131072


def make_snapshot() -> dict[Place, bytes]:
    """Objects 1, 2, 3 and 40; the second has three pieces with a hole, and a spill block."""
    blocks = {(0, RANGE): make_range(0), (32, RANGE): make_range(32, bytes(36))}
    for number in (1, 2, 3, 40):
        blocks[number, DNODE] = make_dnode(number)
    blocks[1, 0] = make_write(1, 0, b"one")
    for offset in (0, BLOCK, PIECE_BYTES, 8 * PIECE_BYTES):
        blocks[2, offset] = make_write(2, offset, b"%d" % offset)
    blocks[2, SPILL] = make_spill(2, b"attributes")
    blocks[40, 0] = make_write(40, 0, b"forty")
    return blocks


def read(
    blocks: Mapping[Place, bytes],
    broken: Set[Place] = frozenset(),
    after: Position = START,
    opened: list[Place] | None = None,
) -> list[Record]:
    return list(SealedReading("t/c@s", after, opening(blocks, broken, opened)).records())


def find(mine: list[Record], theirs: list[Record]) -> list[Difference]:
    return compare_records([r.line for r in mine], [r.line for r in theirs], None)


WHOLE = read(make_snapshot())


def test_every_object_piece_and_spill_block_has_a_record_in_order() -> None:
    keys = [(b"/".join(r.components).decode(), r.index) for r in WHOLE]
    two = "object-000000000000002"
    assert keys == sorted(keys)
    assert [k for k in keys if k[0].startswith(two)] == [
        (two, 0), (two, 1), (two, 2), (two, 9), (f"{two}/spill", 0),
    ]  # fmt: skip
    assert [r.size_bytes for r in WHOLE if r.components[0] == two.encode()] == [
        0, 2 * BLOCK, BLOCK, BLOCK, 0,
    ]  # fmt: skip
    assert (len(WHOLE), sum(r.is_entry for r in WHOLE)) == (10, 5)


def test_a_reading_goes_on_behind_every_record() -> None:
    opened: list[Place] = []
    for count, record in enumerate(WHOLE, 1):
        path = b"/".join(record.components).decode()
        assert (
            read(make_snapshot(), after=Position(path, record.index + 1), opened=opened)
            == (WHOLE[count:])
        )
    assert len(opened) == len(WHOLE), "nothing was read from the beginning"


def test_a_position_of_another_kind_of_reading_skips_nothing() -> None:
    for path in ("zz/file", "a-7", "object-40", "spill"):
        assert read(make_snapshot(), after=Position(path, 3)) == WHOLE


def test_a_position_whose_object_is_not_here_goes_on_behind_it() -> None:
    missing = Position("object-000000000000007", 1)
    assert read(make_snapshot(), after=missing) == WHOLE[-2:]


@pytest.mark.parametrize(
    ("place", "changed", "named"),
    [
        ((0, RANGE), make_range(0, SEAL[::-1]), "object-000000000000001"),
        ((3, DNODE), make_dnode(3, b"other"), "object-000000000000003"),
        ((2, PIECE_BYTES), make_write(2, PIECE_BYTES, b"0"), "object-000000000000002"),
        ((2, 0), make_write(2, 0, b"0", 4096), "object-000000000000002"),
        ((2, SPILL), make_spill(2, b"Attributes"), "object-000000000000002/spill"),
        ((2, SPILL), make_spill(2, b"attributes", 1024), "object-000000000000002/spill"),
    ],
)
def test_whatever_changes_is_named(place: Place, changed: bytes, named: str) -> None:
    found = find(WHOLE, read({**make_snapshot(), place: changed}))
    assert found[0].path == named
    assert found[0].wrong is Wrong.DIFFERS
    assert name_object(named) == f"object {int(named[7:22])}"
    assert parse_path(named)


@pytest.mark.parametrize("at", range(36))
def test_each_byte_of_a_blocks_seal_counts(at: int) -> None:
    blocks = make_snapshot()
    block = bytearray(blocks[1, 0])
    block[104 + at] ^= 1
    assert len(find(WHOLE, read({**blocks, (1, 0): bytes(block)}))) == 1


def test_a_block_that_is_gone_and_one_too_many_are_found() -> None:
    blocks = make_snapshot()
    del blocks[2, PIECE_BYTES]
    assert find(WHOLE, read(blocks)) == [
        Difference("object-000000000000002", Wrong.DIFFERS, None, "content", PIECE_BYTES)
    ]
    blocks = make_snapshot() | {(50, DNODE): make_dnode(50)}
    assert find(WHOLE, read(blocks)) == [
        Difference("object-000000000000050", Wrong.MISSING, Side.SOURCE)
    ]


def test_what_each_pool_says_of_its_own_does_not_count() -> None:
    """Which snapshot a record is for, the pool's checksums, and what is free."""
    blocks = make_snapshot()
    blocks[3, DNODE] = make_dnode(3, toguid=77)
    write = bytearray(blocks[1, 0])
    write[56:96] = bytes(40)
    blocks[1, 0] = bytes(write)
    blocks[3, 0] = pack(RecordKind.FREE, b"")
    blocks[3, 1] = pack(RecordKind.FREEOBJECTS, b"")
    assert read(blocks) == WHOLE


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ((2, PIECE_BYTES), ("object-000000000000002", 0)),
        ((2, 0), ("object-000000000000002", 0)),
        ((1, 0), ("object-000000000000001", 0)),
        ((2, SPILL), ("object-000000000000002", 8 * PIECE_BYTES)),
        ((40, 0), ("object-000000000000040", 0)),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_is_compared(
    broken: Place, named: tuple[str, int]
) -> None:
    """In its piece, or behind one that is not full."""
    found = find(WHOLE, read(make_snapshot(), {broken}))
    assert [(d.path, d.offset) for d in found if d.wrong is Wrong.UNREADABLE] == [named]
    assert {d.path for d in found} <= {named[0], f"{named[0]}/spill"}


@pytest.mark.parametrize("broken", [(2, 0), (2, PIECE_BYTES), (2, SPILL), (3, DNODE), (40, 0)])
def test_damage_is_told_from_whatever_position_it_is_asked_for(broken: Place) -> None:
    """A page that differs is read once more, from where it began: it must say the same."""
    whole = read(make_snapshot(), {broken})
    for count, record in enumerate(whole):
        if record.is_unreadable:
            break
        path = b"/".join(record.components).decode()
        again = read(make_snapshot(), {broken}, Position(path, record.index + 1))
        assert again == whole[count + 1 :], path


def test_two_damaged_objects_are_two() -> None:
    found = find(WHOLE, read(make_snapshot(), {(1, 0), (40, 0)}))
    assert [d.path for d in found] == ["object-000000000000001", "object-000000000000040"]


def test_a_block_of_objects_that_cannot_be_read_is_damage() -> None:
    broken = {(32, RANGE), (40, DNODE)}
    found = find(WHOLE, read(make_snapshot(), broken))
    assert [(d.path, d.wrong) for d in found] == [
        ("object-000000000000003", Wrong.UNREADABLE),
        ("object-000000000000040", Wrong.MISSING),
    ]
    nothing = read(make_snapshot(), {(0, RANGE), (32, RANGE)})
    assert [r.line for r in nothing] == ["x object-000000000000000 0 EIO"]


def sending_of(*records: bytes) -> Callable[[str, Place | None], Sending]:
    def open_sending(snapshot: str, start: Place | None) -> Sending:
        def send(fd: int) -> None:
            with open(fd, "wb") as pipe:
                pipe.write(make_begin() + b"".join(records) + END)

        return Sending(send, snapshot)

    return open_sending


def test_a_record_that_zr_does_not_know_is_no_proof() -> None:
    unknown = sending_of(make_dnode(1), b"\x0a".ljust(312, b"\0"))
    with pytest.raises(Standing, match="record of type 10"):
        list(SealedReading("t/c@s", START, unknown).records())


def test_a_volumes_bytes_come_out_of_a_plain_stream() -> None:
    """Blocks without compression; what is not sent is zeros; later objects do not matter."""

    def plain(offset: int, octets: bytes) -> bytes:
        record = bytearray(make_write(1, offset, octets, len(octets)))
        record[50] = 0
        return bytes(record)

    records = [
        record.line
        for record in VolumeReading(
            "t/v@s",
            2 * PIECE_BYTES + 512,
            START,
            sending_of(make_dnode(1), plain(PIECE_BYTES, b"x" * 512), make_dnode(2)),
        ).records()
    ]
    assert records[0] == f"v . {2 * PIECE_BYTES + 512}"
    piece = str(PIECE_BYTES)
    places = [line.split(" ")[2:4] for line in records[1:]]
    assert places == [["0", piece], [piece, piece], [str(2 * PIECE_BYTES), "512"]]
    assert len({line.split(" ")[4] for line in records[1:]}) == 3
