"""How are services started, stopped, and asked whether they run?

What a command says of its own success is kept for the report and believed by nobody: the state is
read back until it is the one that was wanted, or the limit is over. At the limit of a stop (not
where the stopping fails at once), what belongs to the service is killed, if its keeper can do that.
"""

import json
from collections.abc import Sequence

from zrepl_py.adapters.clock import Deadline
from zrepl_py.adapters.hosting.running import Ran, run_limited
from zrepl_py.errors import Standing
from zrepl_py.model.host import Service, ServiceKind, ServiceOutcome, ServiceState
from zrepl_py.ports.clock import ClockPort

ASK_SECONDS = 10.0
_KILL_SECONDS = 10.0
_STEP_SECONDS = 0.2
_SYSTEMCTL = ("systemctl", "--no-ask-password", "--no-pager")
_UNIT_STATES = {
    "active": ServiceState.RUNNING,
    "reloading": ServiceState.RUNNING,
    "refreshing": ServiceState.RUNNING,
    "activating": ServiceState.CHANGING,
    "deactivating": ServiceState.CHANGING,
    "maintenance": ServiceState.CHANGING,
    "inactive": ServiceState.STOPPED,
    "failed": ServiceState.FAILED,
}
_RUNNING_CONTAINERS = frozenset({"running", "paused"})
_CHANGING_CONTAINERS = frozenset({"restarting", "removing"})
_ENDED_CONTAINERS = frozenset({"created", "exited", "dead"})


def observe(service: Service, clock: ClockPort) -> ServiceState:
    """What the service says of itself. Errors: command-missing."""
    if service.kind is ServiceKind.UNIT:
        return parse_unit(_show(service, clock))
    if service.kind is ServiceKind.COMPOSE:
        listed = (*_compose(service), "ps", "--all", "--format", "json")
        return parse_containers(_run(service, "status", listed, ASK_SECONDS, clock))
    code = _run(service, "status", service.status, ASK_SECONDS, clock).code
    return {0: ServiceState.RUNNING, 3: ServiceState.STOPPED}.get(
        -1 if code is None else code, ServiceState.UNKNOWN
    )


def start(service: Service, clock: ClockPort) -> ServiceOutcome:
    """Running afterwards, if it can be. Errors: command-missing, service-missing."""
    _check_known(service, clock)
    # Of a compose file some containers may run and others not: `up` starts what is missing.
    running = service.kind is not ServiceKind.COMPOSE and observe(service, clock)
    if running is ServiceState.RUNNING:
        return ServiceOutcome(service.name, running, 0, 0.0, "")
    argv = {
        ServiceKind.UNIT: (*_SYSTEMCTL, "start", "--", service.target),
        ServiceKind.COMPOSE: (*_compose(service), "up", "--detach", "--no-build"),
        ServiceKind.COMMAND: service.start,
    }[service.kind]
    runs = (ServiceState.RUNNING,)
    return _act(service, "start", argv, service.start_seconds, runs, clock)


def stop(service: Service, clock: ClockPort) -> ServiceOutcome:
    """Not running afterwards, if it can be; a unit that is not there does not run.

    Errors: command-missing."""
    # Docker is told a little less than the limit: it kills by itself after that.
    patience = str(max(1, service.stop_seconds - 5))
    argv = {
        ServiceKind.UNIT: (*_SYSTEMCTL, "stop", "--", service.target),
        ServiceKind.COMPOSE: (*_compose(service), "stop", "--timeout", patience),
        ServiceKind.COMMAND: service.stop,
    }[service.kind]
    down = (ServiceState.STOPPED, ServiceState.FAILED)
    outcome = _act(service, "stop", argv, service.stop_seconds, down, clock)
    kill = {
        ServiceKind.UNIT: (*_SYSTEMCTL, "kill", "--signal=SIGKILL", "--", service.target),
        ServiceKind.COMPOSE: (*_compose(service), "kill"),
        ServiceKind.COMMAND: (),
    }[service.kind]
    failed_at_once = outcome.code not in (0, None)
    if outcome.state in down or failed_at_once or not kill:
        return outcome
    killed = _act(service, "kill", kill, _KILL_SECONDS, down, clock)
    said = f"{outcome.said}\n{killed.said}".strip()
    seconds = outcome.seconds + killed.seconds
    return ServiceOutcome(service.name, killed.state, outcome.code, seconds, said)


def _act(
    service: Service,
    action: str,
    argv: Sequence[str],
    limit_seconds: float,
    wanted: Sequence[ServiceState],
    clock: ClockPort,
) -> ServiceOutcome:
    began, deadline = clock.monotonic(), Deadline(clock, limit_seconds)
    ran = _run(service, action, argv, limit_seconds, clock)
    while (state := observe(service, clock)) not in wanted:
        # A command that failed leaves nothing to wait for, unless something is on its way.
        hopeless = ran.code not in (0, None) and state is not ServiceState.CHANGING
        if hopeless or deadline.expired():
            break
        clock.sleep(_STEP_SECONDS)
    return ServiceOutcome(service.name, state, ran.code, clock.monotonic() - began, ran.said)


def _check_known(service: Service, clock: ClockPort) -> None:
    if service.kind is not ServiceKind.UNIT:
        return
    state = _properties(_show(service, clock)).get("LoadState", "")
    if state in ("not-found", "masked", "bad-setting", "error"):
        raise Standing(
            "service-missing",
            f"systemd cannot run the unit {service.target}: it is {state}.",
            f"Look at `systemctl status {service.target}`, or correct it in zr.toml.",
        )


def _show(service: Service, clock: ClockPort) -> Ran:
    argv = (*_SYSTEMCTL, "show", "--property=LoadState,ActiveState", "--", service.target)
    return _run(service, "status", argv, ASK_SECONDS, clock)


def parse_unit(ran: Ran) -> ServiceState:
    """What `systemctl show` said."""
    return _UNIT_STATES.get(_properties(ran).get("ActiveState", ""), ServiceState.UNKNOWN)


def _properties(ran: Ran) -> dict[str, str]:
    pairs = (line.partition("=") for line in ran.out.splitlines())
    return {key: value for key, _, value in pairs} if ran.code == 0 else {}


def parse_containers(ran: Ran) -> ServiceState:
    """What `docker compose ps` said: one JSON object per line, or (older) one list."""
    if ran.code != 0:
        return ServiceState.UNKNOWN
    try:
        values = [json.loads(line) for line in ran.out.splitlines() if line.strip()]
        listed = [c for value in values for c in (value if isinstance(value, list) else [value])]
        states = {str(container["State"]) for container in listed}
        failed = any(container.get("ExitCode", 0) != 0 for container in listed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServiceState.UNKNOWN
    known = _RUNNING_CONTAINERS | _CHANGING_CONTAINERS | _ENDED_CONTAINERS
    if not states <= known:
        return ServiceState.UNKNOWN
    if states & _CHANGING_CONTAINERS:
        return ServiceState.CHANGING
    if states & _RUNNING_CONTAINERS:
        return ServiceState.RUNNING
    return ServiceState.FAILED if failed else ServiceState.STOPPED


def _compose(service: Service) -> tuple[str, ...]:
    return ("docker", "compose", "--file", service.target)


def _run(
    service: Service, action: str, argv: Sequence[str], limit_seconds: float, clock: ClockPort
) -> Ran:
    extra = {"ZR_SERVICE": service.name, "ZR_ACTION": action}
    return run_limited(argv, limit_seconds, clock, extra)
