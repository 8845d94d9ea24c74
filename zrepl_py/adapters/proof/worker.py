"""ProofPort on this machine: what the proof worker does when it is asked. Runs as root."""

import os

from zrepl_py.adapters.host.idle import yield_to_others
from zrepl_py.adapters.host.privatemount import ensure_own_namespace
from zrepl_py.adapters.proof.readings import Readings, observe_values
from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.command_streams import receive_by_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.adapters.zfs.scratch import SCRATCH_PROPERTY, destroy_scratch
from zrepl_py.errors import Corrupt, Refused
from zrepl_py.model.names import SCRATCH_PREFIX, join_snapshot
from zrepl_py.model.proof import SCRATCH_PROPERTIES, Form, Page, Position, ScratchOrder
from zrepl_py.ports.clock import ClockPort

_PARENT_OPTIONS = ("mountpoint=none", "canmount=off", "readonly=on", "atime=off", "exec=off")
_ALWAYS = {"readonly": "on"}
_NEVER_MOUNTED = {"canmount": "off", "mountpoint": "none", "exec": "off"}
_NO_DEVICE = {"volmode": "none"}
"""Of a volume: whoever is told of its device would have it open when it is to be destroyed."""


def scratch_parent(pool: str) -> str:
    """Where the drills of a pool have their scratch datasets; no policy selects it."""
    return f"{pool}/{SCRATCH_PREFIX}drills"


def open_proof(clock: ClockPort) -> "LocalProof":
    """What the proof worker serves. Call it before the process has threads: what it mounts is for
    itself alone; and it gives way to everybody, as far as the system lets it."""
    ensure_own_namespace()
    yield_to_others()
    return LocalProof(clock)


class LocalProof:
    """Implements ProofPort."""

    def __init__(self, clock: ClockPort) -> None:
        self._readings = Readings(clock)

    def read_page(
        self, snapshot: str, guid: int, after: Position, form: Form, acls: bool, listed: bool
    ) -> Page:
        """See ProofPort."""
        return self._readings.read_page(snapshot, guid, after, form=form, acls=acls, listed=listed)

    def let_go(self, snapshot: str) -> None:
        """See ProofPort."""
        self._readings.let_go(snapshot)

    def observe_bytes(self, snapshot: str) -> int:
        """See ProofPort."""
        value = observe_values(snapshot, ("logicalreferenced",))["logicalreferenced"]
        return int(value) if value.isdecimal() else 0

    def observe_scratch_properties(self, dataset: str) -> dict[str, str]:
        """See ProofPort."""
        seen = observe_values(dataset, tuple(SCRATCH_PROPERTIES))
        return {n: v for n, v in seen.items() if v in SCRATCH_PROPERTIES[n]}

    def observe_scratch(self, pool: str) -> dict[str, str]:
        """See ProofPort."""
        parent = scratch_parent(pool)
        argv = ["zfs", "get", "-Hp", "-d1", "-t", "filesystem,volume", "-o", "name,value,source"]
        ended = run([*argv, SCRATCH_PROPERTY, "--", parent])
        if ended.code != 0:
            error = judge_command("list", ended, parent)
            if error.reason in ("dataset-missing", "pool-missing"):
                return {}
            raise error
        marks = {}
        for line in ended.out.splitlines():
            name, value, source = line.split("\t")
            if name != parent:
                # A received mark is one that this node set with -o, or nobody's: see destroy.
                marks[name] = value if source == "local" else ""
        return marks

    def receive_scratch(self, pool: str, order: ScratchOrder, fd: int) -> None:
        """See ProofPort."""
        try:
            check_scratch_name(pool, order.dataset)
            self._ensure_parent(pool)
            landed = join_snapshot(order.dataset, order.snapshot)
            receive_by_command(
                landed,
                fd=fd,
                to_guid=order.guid,
                from_guid=0,
                raw=order.raw,
                admit=lambda _: None,
                argv=["zfs", "receive", "-u", *_options(order), "--", landed],
            )
        finally:
            os.close(fd)
        guid = observe_values(landed, ("guid",))["guid"]
        if guid != str(order.guid):
            raise Corrupt(
                "wrong-guid",
                f"{landed} was received, but its guid is {guid} and not {order.guid}.",
                "Do not use it; keep it and report this.",
            )

    def destroy_scratch(self, dataset: str, mark: str) -> None:
        """See ProofPort."""
        pool = dataset.partition("/")[0]
        check_scratch_name(pool, dataset)
        self._readings.let_go_below(dataset)
        destroy_scratch(dataset, mark)

    def _ensure_parent(self, pool: str) -> None:
        parent = scratch_parent(pool)
        options = [word for option in _PARENT_OPTIONS for word in ("-o", option)]
        ended = run(["zfs", "create", "-p", *options, parent])
        if ended.code != 0:
            raise judge_command("create", ended, parent)


def check_scratch_name(pool: str, dataset: str) -> None:
    """Refused(not-scratch) unless the name is one of a drill's scratch dataset in this pool."""
    parent, _, name = dataset.rpartition("/")
    if parent != scratch_parent(pool) or not name.startswith(SCRATCH_PREFIX):
        raise Refused("not-scratch", f"{dataset} is not a scratch dataset of a drill.")


def _options(order: ScratchOrder) -> list[str]:
    wanted = {SCRATCH_PROPERTY: order.mark, **_ALWAYS}
    wanted |= _NO_DEVICE if order.volume else _NEVER_MOUNTED
    for name, value in order.properties.items():
        if value not in SCRATCH_PROPERTIES.get(name, ()):
            raise Refused("bad-value", f"A scratch dataset gets no {name}={value}.")
        if not order.volume or name == "compression":
            wanted[name] = value
    return [word for name, value in wanted.items() for word in ("-o", f"{name}={value}")]
