"""`zpool status` → Pool. The text is parsed, because OpenZFS before 2.3 prints no JSON.

Tried with OpenZFS 2.3.9; recorded outputs are in tests/unit/test_doctor_zpool.py.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from zrepl_py.adapters.zfs.command_errors import judge_command
from zrepl_py.adapters.zfs.forks import run
from zrepl_py.core.audit.seen import Leaf, Pool
from zrepl_py.model.names import check_dataset_name

LOOK_SECONDS = 20.0
_SCRUBBED = re.compile(r"scrub repaired .* on (.+)\Z")
_DATE = "%a %b %d %H:%M:%S %Y"
_HEADER = "NAME STATE READ WRITE CKSUM"
_MONTHS = re.compile(r"\w{3} +\w{3} +\d+ +[\d:]{8} +\d{4}\Z")


def observe_pool_status(pool: str) -> Pool:
    """One pool. Errors: pool-missing, module-missing, Passing(too-slow) where it hangs."""
    check_dataset_name(pool)
    ended = run(["zpool", "status", "-P", "-p", pool], deadline_seconds=LOOK_SECONDS)
    if ended.code != 0:
        raise judge_command("program", ended, pool)
    return parse_pool_status(pool, ended.out)


def parse_pool_status(name: str, text: str) -> Pool:
    """Output of `zpool status -P -p POOL`, dates in UTC."""
    fields = dict(_fields(text))
    scan = " ".join(fields.get("scan", "").split())
    return Pool(
        name=name,
        state=fields.get("state", "UNKNOWN"),
        leaves=tuple(_leaves(text)),
        errors=fields.get("errors", "not known"),
        scrubbed_at=_parse_scrub(scan),
        scanning=" in progress" in scan,
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """`  pool: tank`, …; what goes on over several lines is joined."""
    key, words = "", ""
    for line in text.splitlines():
        match = re.match(r" *(pool|state|status|action|see|scan|config|errors): ?(.*)", line)
        if match:
            if key:
                yield key, words.strip()
            key, words = match[1], match[2]
        elif key:
            words += f" {line.strip()}"
    if key:
        yield key, words.strip()


def _leaves(text: str) -> Iterator[Leaf]:
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if " ".join(line.split()) == _HEADER), None)
    if start is None:
        return
    rows = []
    for line in lines[start + 1 :]:
        if not line.strip() or line.startswith("errors:"):
            break
        rows.append((len(line.lstrip("\t")) - len(line.strip()), line.split()))
    for place, (depth, words) in enumerate(rows):
        inner = place + 1 < len(rows) and rows[place + 1][0] > depth
        if inner or len(words) < 2:
            continue  # a pool or vdev; `logs`, `cache`, `spares`
        counts = [int(w) for w in words[2:5] if w.isdecimal()]
        read, write, checksum = counts if len(counts) == 3 else (0, 0, 0)
        remark = " ".join(words[5:] if len(counts) == 3 else words[2:])
        yield Leaf(words[0], words[1], read, write, checksum, remark)


def _parse_scrub(scan: str) -> float | None:
    match = _SCRUBBED.match(scan)
    if match is None or not _MONTHS.match(match[1]):
        return None
    try:
        return datetime.strptime(match[1], _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
