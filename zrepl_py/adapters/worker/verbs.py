"""What may be asked of a worker, and what its arguments may name. Derived from the hints of
ZfsPort, ProofPort, HostPort and DatasetPort.

Invariants: a verb that the kind of worker does not list is refused; so is every name outside the
worker's own pool. An argument is taken for a name unless it is listed as a plain value here, so a
new one is refused rather than let through.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_type_hints

from zrepl_py.core.codec import decode
from zrepl_py.errors import Corrupt, Refused
from zrepl_py.model.names import check_dataset_name
from zrepl_py.model.proof import ScratchOrder
from zrepl_py.model.tree import GATE_PROPERTIES
from zrepl_py.ports.datasets import DatasetPort
from zrepl_py.ports.host import HostPort
from zrepl_py.ports.proof import ProofPort
from zrepl_py.ports.zfs import ZfsPort

FORMAT = 1
COUNTERS = "observe_counters"
_VERSION_NAME = re.compile(r"[A-Za-z0-9_.: -]+\Z")
_PLAIN = frozenset({"raw", "resume", "to_guid", "from_guid"})
_PLAIN |= {"guid", "after", "form", "acls", "listed", "mark"}
_PLAIN |= {"processes", "patience_seconds", "readonly", "text", "group", "service"}
_VERSION_NAMES = frozenset({"name", "tag"})
"""Names of a snapshot after its @, and of a hold: no dataset in them."""


class WorkerKind(StrEnum):
    """The kinds of worker that touch ZFS."""

    ZFS = "zfs"
    RECEIVE = "receive"
    PROOF = "proof"
    """Reads snapshots whole, slowly; a process of its own, so that no tick waits for it."""
    HOST = "host"
    """All that a change of roles does: mounts, renames, clones, ends programs, runs services; root
    in the machine's own namespaces."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One method of ZfsPort, as both sides of the socket see it."""

    name: str
    parameters: Mapping[str, Any]
    """Name → type hint, without `self` and without `fd`."""
    signature: inspect.Signature
    takes_fd: bool
    returns: Any


def _verb(name: str, function: Any) -> Verb:
    hints = get_type_hints(function)
    signature = inspect.signature(function)
    own = [p for p in signature.parameters if p not in ("self", "fd")]
    return Verb(
        name=name,
        parameters={p: hints[p] for p in own},
        signature=signature,
        takes_fd="fd" in signature.parameters,
        returns=hints["return"],
    )


def _verbs_of(port: type) -> dict[str, Verb]:
    return {
        name: _verb(name, member)
        for name, member in vars(port).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


VERBS: Mapping[str, Verb] = {
    **_verbs_of(ZfsPort),
    **_verbs_of(ProofPort),
    **_verbs_of(HostPort),
    **_verbs_of(DatasetPort),
}
Served = ZfsPort | ProofPort | HostPort | DatasetPort
"""What stands behind a worker; of a host worker, something that is both of its ports."""

ALLOWED: Mapping[WorkerKind, frozenset[str]] = {
    WorkerKind.ZFS: frozenset(_verbs_of(ZfsPort)) - {"receive"},
    WorkerKind.PROOF: frozenset(_verbs_of(ProofPort)),
    WorkerKind.HOST: frozenset(_verbs_of(HostPort)) | frozenset(_verbs_of(DatasetPort)),
    # Not abort_receive: the delegated user would need `destroy` for it, and shall not have that.
    WorkerKind.RECEIVE: frozenset({"receive"}),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What one worker serves."""

    kind: WorkerKind
    pool: str

    def parse_call(self, name: str, args: Any, *, has_fd: bool) -> dict[str, Any]:
        """JSON arguments → arguments for the port, or Refused(worker-forbidden)/Corrupt(malformed).

        Checks the verb, the types, every name, and that exactly the verbs with a descriptor
        have one.
        """
        verb = VERBS.get(name)
        if verb is None or name not in ALLOWED[self.kind]:
            raise _forbidden(f"A {self.kind} worker does not serve {name!r}.")
        if not isinstance(args, dict) or args.keys() != verb.parameters.keys():
            raise Corrupt("malformed", f"The arguments of {name} do not fit.")
        if has_fd != verb.takes_fd:
            raise Corrupt("malformed", f"{name} comes with the wrong number of descriptors.")
        decoded = {p: decode(hint, args[p]) for p, hint in verb.parameters.items()}
        for parameter, value in decoded.items():
            self._check_argument(name, parameter, value)
        return decoded

    def _check_argument(self, verb: str, parameter: str, value: Any) -> None:
        if parameter in _PLAIN or value is None:
            return
        if isinstance(value, ScratchOrder):
            self.check_name(f"{value.dataset}@{value.snapshot}")
            return
        if parameter in _VERSION_NAMES:
            _check_version_name(value)
        elif parameter == "values":
            _check_properties(value, gate=verb == "set_gate")
        elif isinstance(value, str):
            self.check_name(value)
        elif isinstance(value, Mapping):
            for name, since in value.items():
                self.check_name(name)
                if verb == "snapshot_changed" and since is not None:
                    _check_version_name(since)
        else:
            for name in value:
                self.check_name(name)

    def check_name(self, name: str) -> None:
        """A dataset, snapshot or bookmark of this worker's pool, else Refused."""
        parts = re.split("[@#]", name, maxsplit=1)
        check_dataset_name(parts[0])
        if len(parts) == 2:
            _check_version_name(parts[1])
        if parts[0].split("/", 1)[0] != self.pool:
            raise _forbidden(f"{name!r} is not of the pool {self.pool!r} of this worker.")


def pool_of(name: str) -> str:
    """`tank/a@s` → `tank`."""
    return re.split("[/@#]", name, maxsplit=1)[0]


def _check_version_name(name: str) -> None:
    if not _VERSION_NAME.match(name):
        raise _forbidden(f"{name!r} is not a valid name of a snapshot, bookmark or hold.")


def _check_properties(values: Mapping[str, str], *, gate: bool) -> None:
    for key in values:
        if not (key in GATE_PROPERTIES if gate else key.startswith("zr:")):
            raise _forbidden(f"The property {key!r} is none that zr sets.")


def _forbidden(message: str) -> Refused:
    return Refused("worker-forbidden", message, "This is a fault in zr; please report it.")
