"""What are load balancers told of this node's groups? The roles' words for adapters/health.py, and
when it listens: as long as the service runs, where zr.toml has `health`.

Read without the monitor and without a look at anything: single words, each of which the keeper
changes at once. So a pool or a turn that hangs delays no answer.
"""

from dataclasses import dataclass, field

from zrepl_py.adapters.health import GroupHealth, HealthServer
from zrepl_py.daemon.roles import SERVING, GroupRole, Roles
from zrepl_py.model.config import Endpoint
from zrepl_py.model.host import AddressState, ServiceState
from zrepl_py.model.roles import State
from zrepl_py.ports.clock import ClockPort

STALE_SECONDS = 60.0
"""A group at which nothing was looked for so long: its turns hang, or fail."""
TROUBLED = (State.UNKNOWN, State.DIVERGED, State.FENCED, State.SPLIT, State.FAULTED)
"""States in which a person may be needed, or in which the role is not known yet."""


@dataclass
class HealthDoor:
    """Started and stopped with the service."""

    endpoint: Endpoint | None
    """None: nobody may ask."""
    roles: Roles
    clock: ClockPort
    _server: HealthServer | None = field(default=None, init=False)

    @property
    def port(self) -> int | None:
        """Where it listens; None where it does not."""
        return self._server.port if self._server is not None else None

    def start(self) -> None:
        """Errors: Standing(health-address)."""
        if self.endpoint is not None:
            self._server = HealthServer(self.endpoint, self.tell)

    def stop(self) -> None:
        """No further answers."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def tell(self) -> dict[str, GroupHealth]:
        """Every group of this node, by its policy's name."""
        now = self.clock.monotonic()
        return {role.key[0]: describe_health(role, now) for role in self.roles}


def describe_health(role: GroupRole, monotonic: float) -> GroupHealth:
    """`primary`: it serves, also alone; `standby`: it follows, and is fresh; else the state."""
    state = role.state
    word = "primary" if state in SERVING else str(state)
    return GroupHealth(word, str(role.epoch or ""), _is_healthy(role, state, monotonic))


def _is_healthy(role: GroupRole, state: State, monotonic: float) -> bool:
    if state in TROUBLED or role.error is not None or role.node.blocked is not None:
        return False
    if role.look is not None and monotonic - role.looked_at > STALE_SECONDS:
        return False
    if state not in SERVING:
        return True
    hosting = role.plan.hosting
    running = all(
        role.services.get(service.name) == ServiceState.RUNNING for service in hosting.services
    )
    return running and (hosting.address is None or role.address == AddressState.HERE)
