"""What a deliberate bug is: a text in one function of the production code, and another."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In `function` of `module`, `old` (there exactly once) becomes `new`."""

    name: str
    module: str
    function: str
    old: str
    new: str
    test: str = ""
    """`module::function` of the test that must notice; empty: the simulator must."""
    roles: bool = False
    """The simulator's stories with roles must."""
