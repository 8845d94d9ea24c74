"""What `zr verify` and `zr drill` share: ask, wait with a bar, print what came of it.

The daemon does the work: a Ctrl-C ends the waiting and the work. What it read of a comparison is
remembered, and the next one goes on from there.
"""

import shutil
import sys
from typing import Any

import click

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.cli.asking import ask_daemon
from zrepl_py.cli.progress import BAR_CELLS, Rate
from zrepl_py.cli.words import count, render_json, render_size, render_span
from zrepl_py.core.proof_digest import name_object, parse_path
from zrepl_py.core.restoring import printable
from zrepl_py.errors import KINDS, Bug, Corrupt, Standing, ZrError

FORMAT = 1
POLL_SECONDS = 0.5
LISTED = 20
OPEN = ("waiting", "running")
WRONG = {"unreadable": "cannot be read", "missing": "is missing", "differs": "differs"}


def prove(
    config: str,
    way: str,
    datasets: tuple[str, ...],
    snapshot: str | None,
    *,
    background: bool,
    as_json: bool,
) -> None:
    """Let the daemon prove these copies; say what came of it.

    Errors: Corrupt(copy-damaged), Standing(copy-unproven), and what stood against the first that
    failed.
    """
    begun = ask_daemon(config, "proof_begin", way=way, datasets=list(datasets), snapshot=snapshot)
    jobs: list[str] = begun["jobs"]
    if background:
        said = f"Asked for: {count(len(jobs), 'copy')}. `zr status` shows the last proofs."
        click.echo(render_json({"format": FORMAT, "jobs": jobs}) if as_json else said)
        return
    seen = _wait(config, jobs, quiet=as_json)
    if as_json:
        click.echo(render_json({"format": FORMAT, "copies": [_strip(job) for job in seen]}))
    raise_outcome(seen)


def _wait(config: str, jobs: list[str], *, quiet: bool) -> list[dict[str, Any]]:
    clock, live, told = MachineClock(), sys.stderr.isatty() and not quiet, set()
    rate = Rate()
    try:
        while True:
            seen: list[dict[str, Any]] = ask_daemon(config, "proof_look", jobs=jobs)
            for job in seen:
                if job["state"] not in OPEN and job["id"] not in told:
                    told.add(job["id"])
                    _clear(live=live)
                    if not quiet:
                        _tell(job)
            if all(job["state"] not in OPEN for job in seen):
                return seen
            if live:
                _draw(seen, rate.add(clock.monotonic(), sum(_done_bytes(job) for job in seen)))
            clock.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        _clear(live=live)
        ask_daemon(config, "proof_end", jobs=jobs)
        raise
    finally:
        _clear(live=live)


def _clear(*, live: bool) -> None:
    if live:
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def _done_bytes(job: dict[str, Any]) -> int:
    return int(job["size_bytes"]) + int(job["restored_bytes"])


def _draw(seen: list[dict[str, Any]], rate: float) -> None:
    job = next((j for j in seen if j["state"] == "running"), None)
    ended = sum(j["state"] not in OPEN for j in seen)
    line = "waiting for an earlier proof"
    if job is not None:
        total, done = job["total_bytes"], job["size_bytes"]
        share = min(0.99, done / total) if total else 0.0
        full = round(share * BAR_CELLS)
        word = "restoring" if not done and job["restored_bytes"] else "comparing"
        left = f", about {render_span((total - done) / rate)} left" if rate > 0 and total else ""
        line = (
            f"[{'#' * full}{'-' * (BAR_CELLS - full)}] {share:4.0%}  {word} {job['dataset']}, "
            f"{render_size(_done_bytes(job))}, {render_size(rate)}/s{left}  {ended}/{len(seen)}"
        )
    width = shutil.get_terminal_size().columns - 1
    sys.stderr.write(f"\r{line[:width]}\033[K")
    sys.stderr.flush()


def _tell(job: dict[str, Any]) -> None:
    """One copy, in a line; and what is wrong with it, path by path."""
    where = f"{job['dataset']} → {job['target']}"
    if job["error"]:
        click.echo(f"{where}: NOT compared: {job['error']['message']}")
        return
    proof = job["proof"]
    click.echo(f"{where}: {render_outcome(proof)}")
    for difference in proof["differences"][:LISTED]:
        sealed = proof["subject"]["raw"]
        click.echo(f"  {render_difference(difference, job['target'], sealed=sealed)}")
    if proof["wrong"] > LISTED:
        click.echo(f"  … {proof['wrong'] - LISTED} more; --json has up to a thousand")


def render_outcome(proof: dict[str, Any]) -> str:
    """What came of one proof, in a sentence's half."""
    subject = proof["subject"]
    read = f"{proof['entries']:,} entries, {render_size(proof['size_bytes'])}"
    if subject["raw"]:
        read = f"{proof['entries']:,} objects, {render_size(proof['size_bytes'])}, as encrypted"
    elif subject["volume"]:
        read = render_size(proof["size_bytes"])
    rto = proof["restore_seconds"]
    restored = "" if rto is None else f"restored in {render_span(rto)}, "
    less = ", access control lists left out" if "acls" in proof["left_out"] else ""
    words = {
        "equal": f"{restored}equal ({read}{less}, {subject['snapshot']})",
        "uncomparable": f"{restored}UNPROVEN: {proof['why']}",
    }
    wrong = f"{restored}{proof['verdict'].upper()}: {count(proof['wrong'], 'path')} ({read} read)"
    return words.get(proof["verdict"], wrong)


def render_difference(difference: dict[str, Any], target: str, *, sealed: bool = False) -> str:
    """One path, and what is wrong with it where. `sealed`: it is a path of name_object."""
    path = name_object(difference["path"]) if sealed else render_path(difference["path"])
    side = {"source": " on this node", "target": f" on {target}"}.get(difference["side"], "")
    word = WRONG[difference["wrong"]]
    what = f": {difference['what']}" if difference["what"] else ""
    offset = difference["offset"]
    at = f" from byte {offset:,} on" if offset else ""
    return f"{path} {word}{side}{what}{at}"


def render_path(path: str) -> str:
    """A digest's path, as people read it."""
    octets = b"/".join(parse_path(path))
    return printable(octets.decode("utf-8", "surrogateescape")) or "."


def _strip(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key not in ("id", "total_bytes")}


def raise_outcome(seen: list[dict[str, Any]]) -> None:
    """The worst that came of any. Errors: see prove."""
    proofs = [job["proof"] for job in seen if job["proof"]]
    bad = [p for p in proofs if p["verdict"] in ("damaged", "different")]
    if bad:
        names = ", ".join(sorted(p["subject"]["dataset"] for p in bad))
        raise Corrupt(
            "copy-damaged",
            f"{count(len(bad), 'copy')} did not stand the comparison: {names}.",
            "docs/howto/verify.md says what to do; keep both sides as they are until then.",
        )
    failed = [job["error"] for job in seen if job["error"]]
    if failed:
        raise make_error(failed[0])
    open_ = [p for p in proofs if p["verdict"] == "uncomparable"]
    if open_:
        names = ", ".join(sorted(p["subject"]["dataset"] for p in open_))
        raise Standing(
            "copy-unproven",
            f"{count(len(open_), 'copy')} could not be compared by content: {names}.",
            "Load that key for the time of it, where the copy is read: zfs load-key.",
        )


def make_error(failure: dict[str, str]) -> ZrError:
    """What the daemon answered, as an error again."""
    kind = KINDS.get(failure["kind"], Bug)
    return kind(failure["reason"], failure["message"], failure["remedy"])
