"""Bytes that went out, by lane: streams that are cut count, and none counts twice."""

from zrepl_py.daemon.progress import Progress
from zrepl_py.model.site import Lane, Node

LANE = Lane("lane", "tank/a", Node("u", "beta"), False)


def test_streams_add_up_whatever_their_sizes() -> None:
    progress = Progress()
    assert progress.sent_bytes("lane") == 0
    for size in (0, 100, 250, 0, 400, 0, 30):  # the second one is larger from its first chunk on
        progress.count(LANE, size)
    assert progress.sent_bytes("lane") == 250 + 400 + 30
