"""Clock, units, and the way that bytes take."""

from collections.abc import Sequence

from zrepl_py.core.audit.finding import Findings, error, note, warning
from zrepl_py.core.audit.seen import Clock, Machine, Unit

AHEAD_SECONDS = 60
MANY_RESTARTS = 5
CALLED = "zr-proof@"
"""Started with its pool's ZFS worker (`Wants=`), enabled or not."""
DAEMON = "zr.service"


def judge_clock(clock: Clock) -> Findings:
    """Schedules do not need the right time; the names of snapshots, which people ask for, do."""
    found: Findings = []
    if clock.synchronised is False:
        found.append(
            warning(
                "clock-unsynchronised",
                "clock",
                "The kernel says that this machine's clock is not synchronised: snapshots may "
                "carry a wrong time.",
                "apt install systemd-timesyncd (or chrony), and see: timedatectl",
            )
        )
    newest = clock.newest_snapshot_at
    if newest is not None and newest - clock.now > AHEAD_SECONDS:
        found.append(
            warning(
                "clock-behind",
                "clock",
                f"The newest snapshot says that it was taken {newest - clock.now:.0f} s from now: "
                "the clock was set back since, or had been wrong.",
                "timedatectl. Nothing is lost: zr orders snapshots by ZFS's own count, not by "
                "time.",
            )
        )
    return found


def judge_units(units: Sequence[Unit] | None, *, answers: bool) -> Findings:
    """`units`: None where no systemd runs. `answers`: the daemon does."""
    if units is None:
        return [
            note(
                "no-systemd",
                "systemd",
                "No systemd runs here: nothing starts zr after a boot.",
                "Let your init start `zr daemon` as root.",
            )
        ]
    by_hand = answers and any(u.name == DAEMON and u.loaded and u.active != "active" for u in units)
    found = [finding for unit in units for finding in _judge_unit(unit, by_hand)]
    if by_hand:
        found.append(
            warning(
                "daemon-by-hand",
                DAEMON,
                f"The daemon answers, but {DAEMON} does not run: it was started by hand.",
                f"Stop that one, then: systemctl enable --now {DAEMON}",
            )
        )
    return found


def _judge_unit(unit: Unit, by_hand: bool) -> Findings:
    name = unit.name
    if not unit.loaded:
        sentence = f"Unit {name} is not installed: nothing starts it after a boot."
        return [error("unit-missing", name, sentence, "make install, then systemctl daemon-reload")]
    found: Findings = []
    if unit.active != "active" and not by_hand:
        found.append(
            error(
                "unit-down",
                name,
                f"Unit {name} is {unit.active}.",
                f"journalctl -u {name} -n 50; then: systemctl start {name}",
            )
        )
    if unit.enabled == "disabled" and not name.startswith(CALLED):
        found.append(
            error(
                "unit-disabled",
                name,
                f"Unit {name} is not enabled: it does not start after a boot.",
                f"systemctl enable {name}",
            )
        )
    if unit.restarts >= MANY_RESTARTS:
        found.append(
            warning(
                "unit-restarts",
                name,
                f"Unit {name} was started again {unit.restarts} times since the boot.",
                f"journalctl -u {name} says why.",
            )
        )
    return found


def judge_byte_path(machine: Machine) -> Findings:
    """Which way streams take, and why."""
    kernel = "has" if machine.kernel_tls else "does not have"
    found = [
        note(
            "byte-path",
            "link",
            "Streams go through TLS 1.3 in the daemon (user space), because this version of zr has "
            f"no other path. The kernel {kernel} TLS on sockets, which is not used.",
        )
    ]
    if machine.aes is False:
        found.append(
            note(
                "no-aes",
                "link",
                "The processor has no AES instructions: encryption on the link costs more.",
            )
        )
    return found
