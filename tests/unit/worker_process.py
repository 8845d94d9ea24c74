"""A whole worker process with a small ZFS: `python -m tests.unit.worker_process KIND SOCKET`.

Not a test: test_worker_process.py starts it. `KIND` is `worker`, or `fails` (ends at once).
"""

import sys

from tests.unit.worker_support import SmallZfs
from zrepl_py.adapters.worker.process import WorkerOptions, run_worker
from zrepl_py.adapters.worker.verbs import Scope, WorkerKind
from zrepl_py.errors import ZrError


def main() -> int:
    kind, socket, *rest = sys.argv[1:]
    if kind == "fails":
        return 7
    options = WorkerOptions(
        scope=Scope(WorkerKind.ZFS, "tank"),
        socket=socket,
        until_stdin_closes=bool(rest),
        finish_seconds=1.0,
    )
    try:
        return 0 if run_worker(options, SmallZfs()) else 1
    except ZrError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
