"""Which releases are known to be bad, and do the parts fit together?

The list of OpenZFS faults is of research on the field's scars, and of what was tried in the lab.
"""

import re

from zrepl_py.core.audit.finding import Finding, Findings, error, note, warning
from zrepl_py.core.audit.seen import Versions

Version = tuple[int, int, int]
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_TRIED = (2, 3)
_UPDATE = "Update OpenZFS (zfsutils-linux and zfs-dkms of the same release), then reboot."


def parse_version(text: str) -> Version | None:
    """`2.3.9-0+deb13u1` → (2, 3, 9); None where it says no version."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def judge_versions(seen: Versions, *, encrypted: bool) -> Findings:
    """`encrypted`: some dataset in zr's pools is encrypted."""
    found: Findings = []
    if not seen.kernel:
        found.append(
            error(
                "zfs-not-loaded",
                "OpenZFS",
                "OpenZFS is not loaded in this kernel.",
                "modprobe zfs; where that fails: apt install zfs-dkms, for this kernel.",
            )
        )
    if not seen.binding:
        found.append(
            error(
                "binding-missing",
                "libzfs_core",
                "Python cannot see libzfs_core, which the workers use.",
                "apt install python3-pyzfs; zr's virtual environment needs --system-site-packages.",
            )
        )
    kernel, userland = parse_version(seen.kernel), parse_version(seen.userland)
    if kernel and userland and seen.kernel != seen.userland:
        found.append(
            warning(
                "zfs-versions-differ",
                "OpenZFS",
                f"The kernel's module is {seen.kernel}, the commands are {seen.userland}.",
                "Reboot into the installed module, or install both of one release.",
            )
        )
    if kernel:
        found += _judge_release(seen.kernel, kernel, encrypted)
    if seen.daemon is not None and seen.daemon != seen.zr:
        found.append(
            warning(
                "daemon-version",
                "zr",
                f"The running daemon is zr {seen.daemon}, but {seen.zr} is installed.",
                "systemctl restart 'zr-zfs@*' 'zr-receive@*' 'zr-proof@*' 'zr-host@*' zr",
            )
        )
    return found


def _judge_release(shown: str, kernel: Version, encrypted: bool) -> Findings:
    found: Findings = []
    if kernel < (2, 2, 0):
        found.append(
            error("zfs-too-old", "OpenZFS", f"OpenZFS {shown}: zr needs 2.2 or newer.", _UPDATE)
        )
    if kernel < (2, 1, 14) or (2, 2, 0) <= kernel < (2, 2, 2):
        found.append(_zeroed_files(shown))
    if encrypted and (kernel < (2, 2, 8) or (2, 3, 0) <= kernel < (2, 3, 3)):
        found.append(
            warning(
                "zfs-encrypted-send",
                "OpenZFS",
                f"OpenZFS {shown}: a send of an encrypted dataset that is not raw can spoil what "
                "the source reads afterwards (openzfs #12014). zr sends encrypted datasets raw "
                "only; other tools may not.",
                f"Send encrypted datasets by hand only with -w. {_UPDATE}",
            )
        )
    if kernel >= (2, 3, 0):
        found.append(
            note(
                "zfs-embedded-send",
                "OpenZFS",
                f"OpenZFS {shown}: `zfs send -e`, and `zfs send -w` of a dataset that is not "
                "encrypted, silently lose long symbolic links and compressible attributes (tried "
                "with 2.3.9; openzfs #18239). zr does neither.",
                "Do not do it by hand, nor let another tool.",
            )
        )
    else:
        found.append(
            note(
                "zfs-no-append",
                "OpenZFS",
                f"OpenZFS {shown} knows no `receive:append`: the receive worker's user could force "
                "a receive. zr never does.",
                "OpenZFS 2.3 or newer; then: zfs allow, see docs/design/processes.md.",
            )
        )
    if kernel[:2] != _TRIED:
        found.append(
            note("zfs-untried", "OpenZFS", f"OpenZFS {shown}: zr was tried with 2.3 only.")
        )
    return found


def _zeroed_files(shown: str) -> Finding:
    return error(
        "zfs-zeroed-files",
        "OpenZFS",
        f"OpenZFS {shown}: files that are copied right after they were written can get holes of "
        "zeros, on every copy that is made of them (openzfs #15526; mended in 2.1.14 and 2.2.2).",
        _UPDATE,
    )
