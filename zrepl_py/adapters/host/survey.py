"""How much is in the tree that shall be restored, and what of it can this caller not have?

Reads only directories and what stat says. The answer is what a dry run shows, what the progress bar
counts to, and what is compared with the free space.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from zrepl_py.adapters.host.treewalk import Branch, Components, walk_branch
from zrepl_py.errors import ZrError

_BLOCK_BYTES = 512


@dataclass
class Survey:
    """What was seen."""

    files: int = 0
    directories: int = 0
    others: int = 0
    """Symbolic links, pipes, sockets, devices."""
    size_bytes: int = 0
    """Of the files' content, holes included; a file with several names counts once."""
    stored_bytes: int = 0
    """What the content takes on its pool, so at least what it will take about."""
    troubles: list[tuple[Components, ZrError]] = field(default_factory=list)


def survey_tree(branches: Sequence[Branch]) -> Survey:
    """Look at all branches. Errors: those of opening a branch's top."""
    survey = Survey()
    places = [b.at for b in branches]
    for branch in branches:
        several: set[int] = set()
        for folder in walk_branch(
            branch, places, lambda path, error: survey.troubles.append((path, error))
        ):
            survey.directories += 1
            for _, found in folder.entries:
                if stat.S_ISDIR(found.st_mode):
                    continue
                if not stat.S_ISREG(found.st_mode):
                    survey.others += 1
                    continue
                survey.files += 1
                if found.st_nlink > 1:
                    if found.st_ino in several:
                        continue
                    several.add(found.st_ino)
                survey.size_bytes += found.st_size
                survey.stored_bytes += min(found.st_blocks * _BLOCK_BYTES, found.st_size)
    return survey
