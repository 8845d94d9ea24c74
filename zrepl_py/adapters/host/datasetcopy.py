"""Bring a whole dataset, file system or volume, back out of a snapshot, into a new dataset.

`zfs send | zfs receive` on this machine, never forced, never into what exists, never mounted: a
receive that ends early leaves no dataset. What came is proven by its guid, which ZFS gives only to
a stream whose checksums were right. Only for a person at a terminal: the daemon has no such verb.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from zrepl_py.adapters.host.filecopy import Progress
from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.command_streams import receive_by_command, render_send_argv
from zrepl_py.adapters.zfs.forks import Ended, run, start
from zrepl_py.errors import Corrupt, Passing, Refused, Standing
from zrepl_py.model.names import check_dataset_name, join_snapshot
from zrepl_py.model.observation import Kind

_CHUNK_BYTES = 1 << 20
_END_SECONDS = 600.0
_CUT_SECONDS = 30.0
KEPT_PROPERTIES = (
    "acltype",
    "aclinherit",
    "aclmode",
    "xattr",
    "recordsize",
    "compression",
    "atime",
    "relatime",
    "dnodesize",
    "logbias",
    "sync",
    "snapdir",
    "copies",
)
"""Never mountpoint, quotas or reservations: they would shadow or crowd out the living dataset."""
_OF_VOLUMES = frozenset(("compression", "copies", "logbias", "sync"))
_SAFE = {"setuid": "off", "devices": "off"}


@dataclass(frozen=True, slots=True)
class DatasetOrder:
    """One dataset to restore."""

    stored: str
    """The dataset here that has the snapshot; a replica, or the dataset itself."""
    snapshot: str
    guid: int
    kind: Kind
    encrypted: bool
    target: str
    """The new dataset's name."""
    properties: Mapping[str, str]
    foreign: bool = False
    """It came from another node."""
    privileged: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)
    """Properties that it gets in any case."""

    @property
    def source(self) -> str:
        """`tank/audio@zr_…`"""
        return join_snapshot(self.stored, self.snapshot)


def check_target(target: str, reserved: str | None) -> None:
    """Raise unless `target` can become a new dataset. `reserved`: this node's replica parent.

    Errors: Refused(bad-name), Refused(exists), Standing(dataset-missing) for its parent.
    """
    check_dataset_name(target)
    if "/" not in target:
        raise Refused("bad-name", f"{target!r} is a pool, not a new dataset in one.")
    if reserved and (target == reserved or target.startswith(reserved + "/")):
        raise Refused(
            "bad-name",
            f"Below {reserved} are the replicas of other nodes, and nothing else.",
            "Choose another place for --to.",
        )
    if _exists(target):
        raise Refused(
            "exists",
            f"The dataset {target} exists already; nothing is overwritten.",
            "Choose another name for --to.",
        )
    parent = target.rpartition("/")[0]
    if not _exists(parent):
        raise Standing(
            "dataset-missing",
            f"There is no dataset {parent} in which {target} could be made.",
            f"Make it first: zfs create -p {parent}",
        )


def observe_stream_bytes(order: DatasetOrder) -> int:
    """About how many bytes will be copied. Errors: those of `zfs send`."""
    argv = render_send_argv(order.source, None, raw=order.encrypted, resume=None, guids=None)
    ended = run([*argv[:2], "-n", "-P", *argv[2:]])
    if ended.code != 0:
        raise judge_command("send", ended, order.source)
    sizes = [line.split("\t")[-1] for line in (ended.out + ended.err).splitlines()]
    return int(sizes[-1]) if sizes and sizes[-1].isdecimal() else 0


def perform_dataset(order: DatasetOrder, progress: Progress) -> int:
    """Restore it; the number of bytes of its stream. Errors: those of `zfs send` and `receive`,
    Corrupt(wrong-guid)."""
    send = render_send_argv(order.source, None, raw=order.encrypted, resume=None, guids=None)
    count = _pipe(send, render_receive_argv(order), order, progress)
    check_landed(order)
    return count


def check_landed(order: DatasetOrder) -> None:
    """Raise Corrupt(wrong-guid) unless the new dataset has the snapshot that was asked for."""
    landed = join_snapshot(order.target, order.snapshot)
    ended = run(["zfs", "get", "-Hp", "-o", "value", "guid", "--", landed])
    if ended.out.strip() != str(order.guid):
        raise Corrupt(
            "wrong-guid",
            f"{landed} was received, but its guid is {ended.out.strip() or 'nothing'} and not "
            f"{order.guid}.",
            "Do not use it; keep it and report this.",
        )


def render_receive_argv(order: DatasetOrder) -> list[str]:
    """The arguments of `zfs receive`. Never -F; -u: the person mounts it."""
    volume = order.kind is Kind.VOLUME
    wanted = {
        name: order.properties[name]
        for name in KEPT_PROPERTIES
        if name in order.properties and (not volume or name in _OF_VOLUMES)
    }
    if not volume:
        wanted["canmount"] = "noauto"
        if order.foreign and not order.privileged:
            wanted |= _SAFE
    wanted |= order.extra
    options = [w for name, value in wanted.items() for w in ("-o", f"{name}={value}")]
    return ["zfs", "receive", "-u", *options, "--", join_snapshot(order.target, order.snapshot)]


def receive_from(order: DatasetOrder, fd: int) -> None:
    """Receive the stream in pipe `fd`, which is closed, into the new dataset.

    For a stream that another machine made: its BEGIN record is checked before ZFS sees anything of
    it. Errors: those of ZfsPort.receive, Corrupt(wrong-guid).
    """
    try:
        receive_by_command(
            join_snapshot(order.target, order.snapshot),
            fd=fd,
            to_guid=order.guid,
            from_guid=0,
            raw=order.encrypted,
            admit=lambda _: None,
            argv=render_receive_argv(order),
        )
    finally:
        os.close(fd)
    check_landed(order)


def _pipe(send: list[str], receive: list[str], order: DatasetOrder, progress: Progress) -> int:
    from_send, send_end = os.pipe()
    receive_end, to_receive = os.pipe()
    children: list[subprocess.Popen[bytes]] = []
    count = 0
    try:
        try:
            children.append(start(receive, stdin=receive_end, stdout=subprocess.DEVNULL))
            children.append(start(send, stdin=subprocess.DEVNULL, stdout=send_end))
        finally:
            os.close(send_end)
            os.close(receive_end)
        count, whole = _relay(from_send, to_receive, progress)
        os.close(from_send)
        from_send = -1
        # Only a whole stream may reach its end in the receiver: the sender's word comes first.
        sent = _ended(children[1])
        if sent.code != 0 and whole:
            raise judge_command("send", sent, order.source)
        os.close(to_receive)
        to_receive = -1
        received = _ended(children[0])
        if received.code != 0:
            raise judge_command("receive", received, order.target)
    finally:
        # First the pipes: a receive that waits for bytes in the kernel does not even feel SIGKILL.
        # A stream that is cut lacks its end, so nothing of it is kept.
        for fd in (from_send, to_receive):
            if fd >= 0:
                os.close(fd)
        for child in children:
            _end(child)
    return count


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        child.communicate(timeout=_CUT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()


def _relay(source: int, target: int, progress: Progress) -> tuple[int, bool]:
    """(bytes moved, whether the source came to its end and not the reader)."""
    count = 0
    try:
        while moved := os.splice(source, target, _CHUNK_BYTES):
            count += moved
            progress(moved)
    except BrokenPipeError:
        return count, False
    return count, True


def _ended(child: subprocess.Popen[bytes]) -> Ended:
    try:
        words = child.communicate(timeout=_END_SECONDS)[1]
    except subprocess.TimeoutExpired:
        raise Passing(
            "too-slow",
            f"A `zfs` command did not end within {_END_SECONDS:.0f} s.",
            "Look at `zpool status`: the pool may be suspended or very busy.",
        ) from None
    return Ended(child.returncode, "", words.decode("utf-8", "replace"))


def _exists(dataset: str) -> bool:
    ended = run(["zfs", "list", "-H", "-o", "name", "--", dataset])
    if ended.code == 0:
        return True
    error = judge_command("list", ended, dataset)
    if error.reason not in ("dataset-missing", "pool-missing"):
        raise error
    return False
