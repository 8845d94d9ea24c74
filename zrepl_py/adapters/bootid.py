"""Which start of this machine is it? The kernel draws a new id at each."""

from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """Of this running kernel; another one after each start of the machine. Raises OSError."""
    return _BOOT.read_text(encoding="ascii").strip()
