"""Has this step been done already, with exactly these ingredients?

A step fills one directory. The directory's name carries the hash of its ingredients and
appears only when the step succeeded, so what is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.errors import BuildFailed

KEPT = 3
"""Results of one step that are kept: branches alternate, running nodes use old images."""

Fill = Callable[["Step"], None]


class Step:
    """What a running step may use: its directory, and commands that are logged."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.log = log

    def command(self, *argv: str | Path, cwd: Path | None = None, **env: str) -> None:
        words = [str(word) for word in argv]
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        with self.log.open("ab") as log:
            log.write(f"+ {' '.join(words)}\n".encode())
            log.flush()
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd or self.folder,
                env=os.environ | {"PATH": path, "LC_ALL": "C"} | env,
            )
        if done.returncode != 0:
            tail = self.log.read_text(errors="replace").splitlines()[-30:]
            raise BuildFailed(
                f"{words[0]} failed (exit {done.returncode}); the whole log is {self.log}\n"
                + "\n".join(tail)
            )


class Cache:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def path(self, name: str, *ingredients: str) -> Path:
        digest = hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:12]
        return self.folder / f"{name}-{digest}"

    def obtain(self, name: str, what: str, fill: Fill, *ingredients: str) -> Path:
        """The step's directory, filled now if it is not there yet."""
        target = self.path(name, *ingredients)
        if target.is_dir():
            os.utime(target)
            return target
        log = self.folder / "logs" / f"{name}.log"
        log.unlink(missing_ok=True)
        fresh = target.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        last = self.timings().get(name)
        print(f"lab: {name}: {what}" + (f" (last time {last:.0f} s)" if last else ""), flush=True)
        began = time.monotonic()
        fill(Step(fresh, log))
        fresh.rename(target)
        took = time.monotonic() - began
        print(f"lab: {name}: done in {took:.0f} s", flush=True)
        self.remember(name, took)
        self.prune(name)
        return target

    def timings(self) -> dict[str, float]:
        try:
            known: dict[str, float] = json.loads((self.folder / "timings.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return known

    def remember(self, name: str, seconds: float) -> None:
        with self.lock:
            text = json.dumps(self.timings() | {name: round(seconds, 1)})
            (self.folder / "timings.json").write_text(text)

    def prune(self, name: str) -> None:
        done = [path for path in self.folder.glob(f"{name}-*") if path.suffix != ".new"]
        done.sort(key=lambda path: path.stat().st_mtime)
        for old in done[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
