"""Files of the caller's own that may be thrown away at any time: what a look found before.

One directory, 0700: what somebody saw with root's rights is in root's alone, and one that another
could write to is not believed. Whatever is wrong with it, it is as if there were nothing.
"""

import contextlib
import hashlib
import os
import pwd
import stat
from collections.abc import Sequence

from zrepl_py.adapters.files import read_limited, write_atomically
from zrepl_py.errors import ZrError

ROOTS_PLACE = "/var/cache/zr/versions"
MAX_FILES = 1000
MAX_BYTES = 64 << 20


def find_place() -> str | None:
    """The caller's directory for it; None where there is no home."""
    if os.geteuid() == 0:
        return ROOTS_PLACE
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir  # not $HOME: under sudo it may be another's
    except KeyError:
        return None
    return os.path.join(home, ".cache", "zr", "versions") if os.path.isdir(home) else None


class OwnCache:
    """The files of one directory; `words` name one, `ending` its kind."""

    def __init__(self, place: str | None) -> None:
        self._place = place

    def load(self, words: Sequence[str], ending: str) -> bytes | None:
        """What is in it; None where it is not there, or is not to be believed."""
        path = self._path(words, ending)
        if path is None or not self._is_own():
            return None
        try:
            return read_limited(path, MAX_BYTES)
        except ZrError:
            return None

    def save(self, words: Sequence[str], ending: str, content: bytes) -> None:
        """Replace it; silently not where that cannot be."""
        path = self._path(words, ending)
        if path is None or self._place is None:
            return
        with contextlib.suppress(OSError, ZrError):
            os.makedirs(self._place, 0o700, exist_ok=True)
            if self._is_own():
                write_atomically(path, content)
                self._drop_oldest()

    def _path(self, words: Sequence[str], ending: str) -> str | None:
        if self._place is None:
            return None
        whole = "\0".join(words).encode("utf-8", "surrogateescape")
        return os.path.join(self._place, hashlib.sha256(whole).hexdigest()[:32] + ending)

    def _is_own(self) -> bool:
        """Nobody else can have written there."""
        try:
            found = os.lstat(self._place or "")
        except OSError:
            return False
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        return own and not found.st_mode & 0o022

    def _drop_oldest(self) -> None:
        with os.scandir(self._place) as entries:
            files = [(e.stat(follow_symlinks=False).st_mtime_ns, e.path) for e in entries]
        for _, path in sorted(files)[: max(0, len(files) - MAX_FILES)]:
            os.unlink(path)
