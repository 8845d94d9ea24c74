"""Files of zr as they are: who owns them, what the certificates say. Never opens the private key
for anything but comparing its public half, and never shows it."""

import os
import pwd
from pathlib import Path

from cryptography import x509

from zrepl_py.adapters.files import translate_file_error
from zrepl_py.adapters.peer.certificates import parse_pin
from zrepl_py.core.audit.seen import Certificate, File, Room
from zrepl_py.errors import ZrError


def observe_file(path: str) -> File | None:
    """None where there is none. Errors: no-rights, file-failed."""
    try:
        seen = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate_file_error(error, path) from error
    try:
        owner = pwd.getpwuid(seen.st_uid).pw_name
    except KeyError:
        owner = f"uid {seen.st_uid}"
    return File(path, owner, seen.st_mode & 0o7777)


def observe_configuration(config: str, policy_dir: str) -> list[File]:
    """zr.toml, the directory of policies, and each policy, as far as they are there."""
    paths = [config, policy_dir]
    if os.path.isdir(policy_dir):
        paths += sorted(str(path) for path in Path(policy_dir).glob("*.toml"))
    return [file for path in paths if (file := observe_file(path)) is not None]


def observe_certificate(path: str) -> Certificate:
    """What a certificate says of itself; a problem is part of the answer."""
    try:
        pem = Path(path).read_text()
    except FileNotFoundError:
        return Certificate(path, "it does not exist.")
    except (OSError, UnicodeDecodeError) as error:
        return Certificate(path, f"it cannot be read ({getattr(error, 'strerror', error)}).")
    try:
        pin = parse_pin(pem)
    except ZrError as error:
        return Certificate(path, error.message)
    certificate = x509.load_der_x509_certificate(pin.der)
    return Certificate(
        path=path,
        name=pin.node.name,
        uuid=pin.node.uuid,
        fingerprint=pin.fingerprint,
        valid_from=certificate.not_valid_before_utc.timestamp(),
        valid_until=certificate.not_valid_after_utc.timestamp(),
    )


def observe_disk_room(path: str) -> Room:
    """The disk below `path`. Errors: no-rights, file-failed."""
    try:
        seen = os.statvfs(path)
    except OSError as error:
        raise translate_file_error(error, path) from error
    return Room(path, seen.f_bavail * seen.f_frsize, seen.f_blocks * seen.f_frsize, 0)
