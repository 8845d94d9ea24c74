"""Does a node serve a group whole: datasets, services, address? For whoever waits for that: on the
node itself, or on the one that has handed it over. Pure.
"""

from collections.abc import Iterator

from zrepl_py.cli.role_say import SERVING, Facts, find_down, render_unserved
from zrepl_py.errors import Standing


def is_served(role: Facts) -> bool:
    """Open, with services and address; or not the primary after all; or a service has failed."""
    state: str = role["state"]
    if state not in SERVING:
        return state != "promoting"
    down = find_down(role)
    failed = any(state == "failed" for state in down.values())
    return failed or (not down and role.get("address") in (None, "here"))


def see_there(role: Facts) -> Facts:
    """The group as the other node says it has it; its state is "" where it does not answer."""
    return {
        "group": role["group"],
        "here": role["peer"],
        "state": role.get("peer_state") or "",
        "services": role.get("peer_services") or {},
        "address": role.get("peer_address"),
        "ip": role.get("ip"),
        "mountpoints": role.get("mountpoints"),
    }


def check_served(role: Facts) -> None:
    """Of a node that is the primary. Errors: Standing(service-down)."""
    if find_down(role):
        raise Standing(
            "service-down",
            f"{role['here']} is the primary of {role['group']}, and its datasets are open. "
            + " ".join(render_unserved(role)),
            f"Mend the service on {role['here']}, or start it by hand there: the datasets are "
            "ready for it.",
        )


def render_served(role: Facts) -> Iterator[str]:
    """Sentences of what is there."""
    if role.get("services"):
        yield f"Running: {', '.join(role['services'])}."
    if role.get("address") == "here":
        ip = f" {role['ip']}" if role.get("ip") else ""
        yield f"The address{ip} is on {role['here']}."
    if role.get("mountpoints"):
        yield f"The files are in {', '.join(role['mountpoints'])}."
