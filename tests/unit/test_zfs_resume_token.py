"""Resume tokens: one that a kernel made, and that rendering and parsing are inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zrepl_py.adapters.zfs.resume_token import (
    ResumeToken,
    fletcher4,
    parse_resume_token,
    parse_token_fields,
    render_resume_token,
)
from zrepl_py.errors import Corrupt
from zrepl_py.model.observation import ResumePoint

# OpenZFS 2.3.9; `zfs send -nvt` said: object = 0x2, offset = 0x240000, bytes = 0x262128,
# toguid = 0xafe9d9f2cdbdc923, toname = back/t@a, compressok = 1.
RECORDED = (
    "1-a91819951-d8-789c636064000310a500c4ec50360710e72765a52697303030419460caa7a515a796806454e0f26c"
    "48f2499525a9c5405a43510dabfe92fcf4d2cc140606e5937bcf7ebaf972bd06923c27583e2f313715684e6272b67e"
    "89432203923bb81910ee4ececf2d284a2d2ececf668003003c211ae5"
)

U64 = st.integers(0, 2**64 - 1)
POINTS = st.builds(
    ResumePoint,
    to_guid=st.integers(1, 2**64 - 1),
    from_guid=U64,
    object=U64,
    offset=U64,
    bytes_received=U64,
    raw=st.booleans(),
)
NAMES = st.from_regex(r"[a-z][a-zA-Z0-9_.: /-]{0,100}@[a-z0-9_]{1,50}", fullmatch=True)
TOKENS = st.builds(ResumeToken, POINTS, NAMES, st.booleans(), st.booleans(), st.booleans())


def test_a_token_of_the_kernel() -> None:
    token = parse_resume_token(RECORDED)
    assert token.point == ResumePoint(0xAFE9D9F2CDBDC923, 0, 2, 0x240000, 0x262128, False)
    assert (token.to_name, token.compressed, token.large_blocks) == ("back/t@a", True, False)
    assert parse_token_fields(RECORDED)["compressok"] is None


@given(TOKENS)
def test_parse_undoes_render(token: ResumeToken) -> None:
    assert parse_resume_token(render_resume_token(token)) == token


@given(st.text() | st.text("0123456789abcdef-", max_size=80))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Corrupt, match="resume token"):
        parse_resume_token(text)


@given(st.integers(0, len(RECORDED) - 1), st.sampled_from("0123456789abcdef-"))
def test_a_changed_character_never_changes_the_meaning(at: int, character: str) -> None:
    changed = RECORDED[:at] + character + RECORDED[at + 1 :]
    try:
        token = parse_resume_token(changed)
    except Corrupt:
        return
    assert token == parse_resume_token(RECORDED)


def test_a_bomb_is_not_unpacked() -> None:
    import zlib

    packed = zlib.compress(bytes(10_000_000))
    with pytest.raises(Corrupt):
        parse_resume_token(f"1-{fletcher4(packed):x}-{100:x}-{packed.hex()}")
    with pytest.raises(Corrupt):
        parse_resume_token(f"1-{fletcher4(packed):x}-{10_000_000:x}-{packed.hex()}")
