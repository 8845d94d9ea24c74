"""Who is this node, whom does it trust, and who may touch what belongs to it?"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from zrepl_py.core.audit.finding import Finding, Findings, error, warning
from zrepl_py.core.audit.seen import Allowed, Certificate, File

SOON_SECONDS = 30 * 86_400
NEEDED = frozenset(("create", "mount"))
RECEIVE = frozenset(("receive", "receive:append"))
_OTHERS_WRITE, _OTHERS_READ = 0o022, 0o077
_INIT = "Run `zr init` again: it makes what is missing."


def judge_certificate(own: Certificate, uuid: str, now: float) -> Findings:
    """This node's own. `uuid`: of state.json."""
    if own.problem:
        sentence = f"This node's certificate {own.path}: {own.problem}"
        return [
            error("certificate-broken", own.path, sentence, f"Restore it from a backup. {_INIT}")
        ]
    found = [_judge_dates(own, now)]
    if uuid and own.uuid != uuid:
        found.append(
            error(
                "certificate-node",
                own.path,
                f"{own.path} is of node {own.uuid}, but this node is {uuid}.",
                "Restore both state.json and the certificate from the same backup.",
            )
        )
    return [finding for finding in found if finding]


def judge_pins(pins: Mapping[str, Certificate], own: Certificate, now: float) -> Findings:
    """Those of the peers, by the name that zr.toml gives them."""
    found: list[Finding | None] = []
    for name, pin in pins.items():
        if pin.problem:
            found.append(
                error(
                    "pin-missing",
                    name,
                    f"The certificate of {name}, {pin.path}: {pin.problem}",
                    "Pair the two nodes: zr pair",
                )
            )
            continue
        found.append(_judge_dates(pin, now))
        if pin.fingerprint == own.fingerprint:
            found.append(
                error(
                    "pin-self",
                    name,
                    f"The certificate of {name} is this node's own.",
                    f"Remove {pin.path}, and trust the one of {name}.",
                )
            )
        elif pin.name and pin.name != name:
            found.append(
                warning(
                    "pin-name",
                    name,
                    f"The certificate of {name} says that it is of {pin.name}.",
                    f"If that is another node, remove {pin.path} and trust the right one.",
                )
            )
    return [finding for finding in found if finding]


def _judge_dates(certificate: Certificate, now: float) -> Finding | None:
    """zr's own are valid from 1970 to 9999; another's dates may be checked by TLS libraries."""
    begins, ends = _day(certificate.valid_from), _day(certificate.valid_until)
    if certificate.valid_from <= now <= certificate.valid_until - SOON_SECONDS:
        return None
    return warning(
        "certificate-dates",
        certificate.path,
        f"{certificate.path} is valid from {begins} to {ends}, by its own words.",
        "Pins do not depend on dates, but look whether this machine's clock is right.",
    )


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def judge_users(missing: Sequence[str]) -> Findings:
    """Users that zr's processes run as, and that do not exist."""
    remedy = "systemd-sysusers, with systemd/zr.sysusers.conf installed"
    return [error("user-missing", name, f"There is no user {name}.", remedy) for name in missing]


def judge_key_file(key: File) -> Findings:
    """The private key: its owner's alone."""
    if not key.mode & _OTHERS_READ:
        return []
    return [
        error(
            "key-readable",
            key.path,
            f"Others than {key.owner} can read this node's private key {key.path}.",
            f"chmod 600 {key.path}; if somebody may have read it, make a new one: "
            "docs/runbooks/peer-certificate.md",
        )
    ]


def judge_owner(file: File, user: str) -> Findings:
    """What the daemon must be able to use."""
    if file.owner == user:
        return []
    sentence = f"{file.path} belongs to {file.owner}, but the daemon runs as {user}."
    return [error("wrong-owner", file.path, sentence, f"chown -R {user}: {file.path}")]


def judge_writable(file: File) -> Findings:
    """Configuration: who can write it commands zr."""
    if not file.mode & _OTHERS_WRITE:
        return []
    sentence = f"Others than {file.owner} can write {file.path}."
    return [warning("config-writable", file.path, sentence, f"chmod go-w {file.path}")]


def judge_allowed(allowed: Allowed, user: str, *, append: bool) -> Findings:
    """What the receive worker may do. `append`: this OpenZFS knows `receive:append`."""
    have = allowed.users.get(user, frozenset())
    found: Findings = []
    receive = "receive:append" if append else "receive"
    remedy = f"zfs allow -u {user} create,mount,{receive} {allowed.dataset}"
    lacking = NEEDED - have
    if not have & RECEIVE:
        lacking |= {receive}
    if lacking:
        words = ", ".join(sorted(lacking))
        sentence = f"User {user} may not {words} below {allowed.dataset}: nothing can be received."
        found.append(error("rights-missing", allowed.dataset, sentence, remedy))
    wide = have - NEEDED - ({"receive:append"} if append else RECEIVE)
    if wide:
        words = ",".join(sorted(wide))
        found.append(
            warning(
                "rights-wide",
                allowed.dataset,
                f"User {user} may more than it needs below {allowed.dataset}: {words}.",
                f"zfs unallow -u {user} {words} {allowed.dataset}",
            )
        )
    return found
