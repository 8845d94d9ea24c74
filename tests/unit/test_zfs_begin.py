"""BEGIN records: what is let through, what is not."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zrepl_py.adapters.zfs.begin import (
    BEGIN_BYTES,
    COMPRESSED,
    EMBED_DATA,
    LARGE_BLOCKS,
    RAW,
    RESUMING,
    Begin,
    check_begin,
    is_end_record,
    parse_begin,
    render_begin,
)
from zrepl_py.errors import Refused

GOOD = Begin("tank/a@zr_1", 7, 5, LARGE_BLOCKS | COMPRESSED, 0, 2, 1_700_000_000, 0)


def check(begin: Begin, **changed: int) -> None:
    check_begin(begin, **{"to_guid": 7, "from_guid": 5, "raw": False, **changed})  # type: ignore[arg-type]


def test_the_announced_stream_passes() -> None:
    check(GOOD)
    check(replace(GOOD, objset_type=3))
    check(replace(GOOD, features=GOOD.features | RESUMING, payload_bytes=96))
    check(replace(GOOD, features=GOOD.features | RAW), raw=True)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, to_guid=8),
        replace(GOOD, from_guid=0),
        replace(GOOD, header_type=2),
        replace(GOOD, features=GOOD.features | RAW),
        replace(GOOD, features=GOOD.features | EMBED_DATA),
        replace(GOOD, features=GOOD.features | 1),
        replace(GOOD, features=GOOD.features | 1 << 21),
        replace(GOOD, features=GOOD.features | 1 << 40),
        replace(GOOD, flags=1),
        replace(GOOD, objset_type=1),
        replace(GOOD, payload_bytes=1 << 30),
    ],
)
def test_another_stream_is_refused(wrong: Begin) -> None:
    with pytest.raises(Refused) as caught:
        check(wrong)
    assert caught.value.reason == "unexpected-stream"


BEGINS = st.builds(
    Begin,
    to_name=st.text("abc/@ :", max_size=200),
    to_guid=st.integers(0, 2**64 - 1),
    from_guid=st.integers(0, 2**64 - 1),
    features=st.integers(0, 2**56 - 1),
    flags=st.integers(0, 2**32 - 1),
    objset_type=st.integers(0, 2**32 - 1),
    created_at=st.integers(0, 2**64 - 1),
    payload_bytes=st.integers(0, 2**32 - 1),
    header_type=st.integers(0, 3),
)


@given(BEGINS)
def test_parse_undoes_render(begin: Begin) -> None:
    record = render_begin(begin)
    assert len(record) == BEGIN_BYTES
    assert parse_begin(record) == begin


def test_the_other_byte_order() -> None:
    fields = struct.unpack_from("<IIQQQIIQQ", render_begin(GOOD))
    name = GOOD.to_name.encode().ljust(256, b"\0")
    assert parse_begin(struct.pack(">IIQQQIIQQ256s", *fields, name).ljust(312, b"\0")) == GOOD


@given(st.binary(min_size=BEGIN_BYTES, max_size=BEGIN_BYTES))
def test_noise_is_refused(record: bytes) -> None:
    with pytest.raises(Refused):
        parse_begin(record)


def test_an_end_record() -> None:
    end = struct.pack("<II4QQ", 5, 0, 1, 2, 3, 4, 7).ljust(312, b"\0")
    assert is_end_record(end, 7)
    assert not is_end_record(end, 8)
    assert not is_end_record(end[1:], 7)
    assert not is_end_record(render_begin(GOOD), 7)
