"""What a sequence needs of a side: a ZfsPort, and the people and programs around it."""

from collections.abc import Mapping
from typing import Any, Protocol

from zrepl_py.ports.zfs import ZfsPort

Operation = dict[str, Any]
Record = dict[str, Any]
"""`outcome` and `seen`, which have to be equal, and for the reader `why` something was refused."""
Witness = tuple[str, str, str, str]
"""About a dataset itself, its versions, their holds, its resume point."""


class Impossible(Exception):
    """The world cannot do that; a real one would say so with a command's exit code."""


class World(Protocol):
    """One side. Names are whole; what cannot be done raises Impossible and changes nothing."""

    root: str
    """The dataset below which the sequence happens; it is not looked at itself."""
    header_bytes: int
    """How much of a stream follows BEGIN before a receiver starts to create anything."""

    @property
    def port(self) -> ZfsPort:
        """What is compared."""

    def witness(self) -> Mapping[str, Witness] | None:
        """Dataset → words that differ whenever something of it is different, so that only what
        they are about has to be observed again; None: observe all."""

    def create(self, name: str, kind: str) -> None:
        """A `filesystem`, `volume` or `encrypted` file system with a key of its own."""

    def destroy(self, name: str) -> None:
        """`zfs destroy -r` of a dataset, `zfs destroy` of a snapshot."""

    def rename(self, old: str, new: str) -> None:
        """`zfs rename`."""

    def clone(self, snapshot: str, name: str) -> None:
        """`zfs clone`."""

    def promote(self, dataset: str) -> None:
        """`zfs promote`."""

    def take(self, snapshot: str) -> None:
        """`zfs snapshot`."""

    def set_property(self, dataset: str, name: str, value: str) -> None:
        """`zfs set`, or `zfs inherit` where the value is empty."""

    def load_key(self, dataset: str, loaded: bool) -> None:
        """`zfs load-key` (the dataset is not mounted), or unmount and `zfs unload-key`."""

    def write(self, dataset: str, path: str, content: bytes) -> None:
        """A file, whole, without fsync; into a volume: at its start."""

    def change_mode(self, dataset: str, path: str, mode: int) -> None:
        """chmod()."""

    def remove(self, dataset: str, path: str) -> None:
        """unlink()."""

    def read(self, snapshot: str) -> dict[str, tuple[int, bytes]]:
        """Path → (mode, content) of all files of a file system's snapshot."""
