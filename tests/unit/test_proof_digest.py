"""The canonical text of a tree: its order, its form, its positions, its test vectors."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zrepl_py.adapters.host.digesttree import TreeReading
from zrepl_py.core.proof_digest import (
    Record,
    chain,
    digest_values,
    key_of_line,
    make_content,
    make_unreadable,
    parse_path,
    render_path,
)
from zrepl_py.core.proof_page import Reading
from zrepl_py.errors import Corrupt
from zrepl_py.model.proof import NO_CHAIN, PAGE_RECORDS, PIECE_BYTES, START, Position

DOCUMENT = Path(__file__).parents[2] / "docs/formats/digest.md"
NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda n: n not in (b".", b"..") and b"/" not in n and b"\0" not in n
)


def read(top: Path, after: Position = START, *, acls: bool = True) -> list[Record]:
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return list(TreeReading(fd, after, acls=acls).records())
    finally:
        os.close(fd)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "a" / "deep" / "er").mkdir(parents=True)
    (top / "a!").write_bytes(b"sorts behind all of a")
    (top / "a" / "deep" / "er" / "big").write_bytes(os.urandom(2 * PIECE_BYTES + 5))
    os.truncate(top / "a!", 9 << 20)
    (top / "empty").touch()
    os.symlink("nowhere %41 else", top / "link")
    os.mkfifo(top / "pipe")
    os.link(top / "a!", top / "a" / "hard")
    os.close(os.open(os.fsencode(top) + b"/\xff \n%", os.O_CREAT | os.O_WRONLY))
    read(top)  # what is read here for the first time gets another time of access
    return top


def test_one_order_whatever_the_file_system_says(tree: Path) -> None:
    records = read(tree)
    keys = [(r.components, r.index) for r in records]
    assert keys == sorted(keys)
    assert [key_of_line(r.line) for r in records] == keys
    names = [render_path(r.components) for r in records if r.is_entry]
    assert names == [
        ".", "a", "a/deep", "a/deep/er", "a/deep/er/big", "a/hard", "a!", "empty", "link", "pipe",
        "%FF%20%0A%25",
    ]  # fmt: skip
    hard, other = (r.line.split()[7] for r in records if r.line.startswith(("e a/hard", "e a!")))
    assert hard == other
    assert next(r for r in records if r.components == (b"link",)).line.split()[13] == (
        "nowhere%20%2541%20else"
    )


def test_a_reading_goes_on_from_every_position(tree: Path) -> None:
    whole = read(tree)
    for number, record in enumerate(whole):
        after = Position(render_path(record.components), record.index + 1)
        assert read(tree, after) == whole[number + 1 :], after


def test_a_position_at_a_path_that_is_not_there_goes_on_behind_it(tree: Path) -> None:
    whole = read(tree)
    for path in ((b"a", b"never"), (b"a", b"deep", b"zzz", b"q"), (b"empty", b"x"), (b"zz",)):
        later = [r for r in whole if r.components > path]
        assert read(tree, Position(render_path(path), 1)) == later, path


def test_what_counts_and_what_does_not(tree: Path) -> None:
    before = read(tree)
    with open(tree / "a!", "r+b") as file:  # the same bytes, but no hole any more
        file.write(b"sorts behind all of a")
        file.seek(8 << 20)
        file.write(bytes(1 << 20))
    content = [r.line for r in read(tree) if r.line.startswith("c a!")]
    assert content == [r.line for r in before if r.line.startswith("c a!")]
    os.chmod(tree / "empty", 0o600)
    os.setxattr(tree / "pipe", "trusted.x", b"1") if os.geteuid() == 0 else None
    changed = {r.components for r in read(tree) if r not in before and r.is_entry}
    assert (b"empty",) in changed
    assert (b"link",) not in changed


def test_pages_end_at_the_same_places_and_the_digest_is_one(tree: Path) -> None:
    for number in range(PAGE_RECORDS + 10):
        (tree / "a" / f"f{number}").touch()
    read(tree)
    whole = read(tree)
    digest = NO_CHAIN
    for record in whole:
        digest = chain(digest, record.line)
    at, pages, ended = START, [], False
    while not ended:  # each page by a reading of its own
        page = Reading(iter(read(tree, at)), at, True).next_page(listed=True)
        pages.append(page)
        at, ended = page.next, page.ended
    assert at.chain == digest
    assert [line for page in pages for line in page.records] == [r.line for r in whole]
    going = Reading(iter(whole), START, True)
    assert [going.next_page(listed=True) for _ in pages] == pages


@given(st.lists(NAMES, max_size=4).map(tuple))
def test_paths_are_plain_text_and_come_back(components: tuple[bytes, ...]) -> None:
    text = render_path(components)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert parse_path(text) == components


@pytest.mark.parametrize("path", ["", "/", "a//b", "../x", "a/..", "a%2fb", "a%00", "%41", "a/."])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(Corrupt):
        parse_path(path)


@pytest.mark.parametrize("line", ["", "e", "c a", "q a 0", "c a x 7 ff", "x a"])
def test_lines_that_are_none(line: str) -> None:
    with pytest.raises(Corrupt):
        key_of_line(line)


def test_values_are_told_apart_by_their_lengths() -> None:
    assert digest_values([]) == "-"
    both = [(b"a", b"1"), (b"b", b"2")]
    assert digest_values(both) == digest_values(reversed(both))
    assert digest_values([(b"a", b"1b")]) != digest_values([(b"a1", b"b")])


def test_an_unreadable_piece_stands_where_its_content_would() -> None:
    good, bad = make_content((b"f",), 3, "0" * 64, 5), make_unreadable((b"f",), 3, "EIO")
    assert key_of_line(good.line) == key_of_line(bad.line) == ((b"f",), 3)
    assert key_of_line(make_unreadable((b"f",), 0, "EIO").line) == ((b"f",), 0)


def test_the_documents_vectors() -> None:
    text = DOCUMENT.read_text()
    rows = re.findall(r"^(?:[ecvx] .*)\n→ ([0-9a-f]{64})$", text, re.MULTILINE)
    lines = re.findall(r"^([ecvx] .*)\n→ [0-9a-f]{64}$", text, re.MULTILINE)
    assert len(lines) >= 6
    digest = NO_CHAIN
    for line, expected in zip(lines, rows, strict=True):
        key_of_line(line)
        digest = chain(digest, line)
        assert digest == expected, line
    assert f"`{digest_values([(b'user.a', b'1'), (b'user.b', b'')])}`" in text
