"""Is the Debian mirror taken from the host's own apt sources, whatever their format?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import BuildFailed
from tests.lab.build.mirror import VARIABLE, debian_mirror

DEB822 = """\
Types: deb
# http://snapshot.example/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
FOREIGN = "deb [signed-by=/usr/share/keyrings/tool.gpg] https://tool.example/apt bookworm main\n"


@pytest.fixture(autouse=True)
def _without_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def host(
    folder: Path, files: dict[str, str], *, ident: str = "debian", code: str = "bookworm"
) -> Path:
    (folder / "etc/apt/sources.list.d").mkdir(parents=True)
    (folder / "etc/os-release").write_text(
        f'PRETTY_NAME="The Host"\nID={ident}\nVERSION_CODENAME={code}\n'
    )
    for name, text in files.items():
        (folder / "etc/apt" / name).write_text(text)
    return folder


def test_deb822_beside_a_foreign_archive_of_the_same_code_name(tmp_path: Path) -> None:
    files = {"sources.list.d/debian.sources": DEB822, "sources.list.d/tool.list": FOREIGN}
    assert debian_mirror(host(tmp_path, files)) == "http://mirror.example/debian"


def test_one_line_format(tmp_path: Path) -> None:
    text = (
        "# deb http://old.example/debian bookworm main\n"
        "deb http://mirror.example/debian-security bookworm-security main\n"
        "deb [arch=amd64] http://mirror.example/debian/ bookworm main contrib # ours\n"
        "deb-src http://sources.example/debian bookworm main\n"
    )
    files = {"sources.list": text, "sources.list.d/tool.list": FOREIGN}
    assert debian_mirror(host(tmp_path, files)) == "http://mirror.example/debian"


def test_a_disabled_stanza_does_not_count(tmp_path: Path) -> None:
    text = DEB822.replace("Types: deb\n#", "Types: deb\nEnabled: no\n#")
    with pytest.raises(BuildFailed, match=VARIABLE):
        debian_mirror(host(tmp_path, {"sources.list.d/debian.sources": text}))


def test_another_release_asks_for_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = host(tmp_path, {"sources.list.d/x.sources": DEB822}, ident="ubuntu", code="noble")
    with pytest.raises(BuildFailed, match=f"The Host.*{VARIABLE}"):
        debian_mirror(other)
    monkeypatch.setenv(VARIABLE, "http://chosen.example/debian/")
    assert debian_mirror(other) == "http://chosen.example/debian"
