"""Do two nodes fit? A pure rule over the two Hellos; both sides apply it."""

import re

from zrepl_py.errors import Refused, Standing
from zrepl_py.model.wire import PROTOCOL, Hello

LEAST_ZFS = (2, 2)
ROLES = "roles"
"""Feature of a node whose zr.toml has [roles]."""


def judge_hello(mine: Hello, theirs: Hello, proven: str) -> None:
    """Return when the two may talk. `proven` is the node uuid of the peer's certificate.

    Standing(peer-certificate): it says it is another node than it proved.
    Standing(peer-version): protocol, stream flags, or an OpenZFS older than 2.2 on either side.
    Refused(peer-epoch): the two do not agree on who was promoted last, and not both have roles.
    """
    if theirs.node != proven:
        raise Standing(
            "peer-certificate",
            f"The peer says that it is node {theirs.node[:60]!r}, but has proven to be {proven}.",
            "Pair the two nodes again: `zr pair`, with --replace where one was really replaced.",
        )
    if theirs.protocol != PROTOCOL:
        raise Standing(
            "peer-version",
            f"The peer speaks protocol {theirs.protocol}, this node speaks {PROTOCOL}.",
            "Install the same version of zr on both nodes.",
        )
    for hello in (mine, theirs):
        version = re.search(r"(\d{1,4})\.(\d{1,4})", hello.zfs)
        if version is None or (int(version[1]), int(version[2])) < LEAST_ZFS:
            raise Standing(
                "peer-version",
                f"Node {hello.name[:60]!r} has OpenZFS {hello.zfs[:60]!r}, older than 2.2.",
                "Update OpenZFS there.",
            )
    if set(mine.stream_flags) != set(theirs.stream_flags):
        raise Standing(
            "peer-version",
            "The two nodes use different stream flags.",
            "Install the same version of zr on both nodes.",
        )
    # Where both have roles each group's handshake finds that out (core/handshake.judge_group), and
    # each stream is checked by itself: an overtaken node must be able to hear that it is.
    roles = ROLES in mine.features and ROLES in theirs.features
    if mine.epoch != theirs.epoch and not roles:
        raise Refused(
            "peer-epoch",
            f"This node is in epoch {mine.epoch}, the peer in {theirs.epoch[:60]!r}.",
            "Look at `zr status` on both nodes to see which one was promoted last.",
        )
