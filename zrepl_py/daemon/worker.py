"""Entry of the worker processes: `python -m zrepl_py.daemon.worker
zfs|receive|proof|host|warden …`.

Which question it answers: what is this process, and with which rights does it listen? Started by
systemd/zr-zfs@.service and its siblings, or by the warden, which `zr daemon` starts when it is run
by hand as root.
"""

import argparse
import json
import os
import pwd
import sys
from collections.abc import Sequence

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker.process import WorkerOptions, run_worker
from zrepl_py.adapters.worker.verbs import Scope, Served, WorkerKind
from zrepl_py.adapters.worker.warden import Warden, WorkerSpec
from zrepl_py.config.node import DEFAULT_PATH
from zrepl_py.core.codec import decode
from zrepl_py.errors import ZrError
from zrepl_py.model.names import check_dataset_name


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code of zrepl_py.errors, 0 after a clean end."""
    options = _parser().parse_args(argv)
    try:
        if options.kind == "warden":
            Warden(_parse_specs(options.specs), MachineClock()).run()
            return 0
        scope = Scope(WorkerKind(options.kind), options.pool)
        worker = WorkerOptions(
            scope=scope,
            socket=options.socket,
            allowed_uids=frozenset(options.allow_uid),
            until_stdin_closes=options.until_stdin_closes,
        )
        ended = run_worker(worker, _open(scope.kind, options.adapter, options.config))
    except ZrError as error:
        print(f"zr worker: {error} [{error.reason}]", file=sys.stderr)
        return error.exit_code
    if not ended:
        print("zr worker: a call still hangs in ZFS; it is left behind.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(0)  # Its thread would keep the interpreter from ending.
    return 0


def _open(kind: WorkerKind, adapter: str, config: str) -> Served:
    """What the worker serves. Imported here, because the warden loads no libzfs_core."""
    if kind is WorkerKind.PROOF:
        from zrepl_py.adapters.proof.worker import open_proof

        return open_proof(MachineClock())
    if kind is WorkerKind.HOST:
        from zrepl_py.adapters.hosting.namespaces import check_machines_own
        from zrepl_py.adapters.hosting.serving import CommandMachine, RolesMachine
        from zrepl_py.adapters.hosting.settings import HostSettings

        check_machines_own()
        machine = CommandMachine if adapter == "command" else RolesMachine
        return machine(MachineClock(), HostSettings(config))
    from zrepl_py.adapters.zfs import open_zfs

    return open_zfs(adapter)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m zrepl_py.daemon.worker", allow_abbrev=False)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in WorkerKind:
        worker = kinds.add_parser(kind.value, allow_abbrev=False)
        worker.add_argument("--pool", required=True, type=_parse_pool)
        worker.add_argument("--socket", required=True)
        worker.add_argument("--adapter", choices=("libzfs_core", "command"), default="libzfs_core")
        worker.add_argument(
            "--allow-uid", action="append", type=_parse_uid, default=[], metavar="UID|USER"
        )
        worker.add_argument("--until-stdin-closes", action="store_true")
        worker.add_argument("--config", default=DEFAULT_PATH, help="zr.toml, for the host worker")
    warden = kinds.add_parser("warden", allow_abbrev=False)
    warden.add_argument("--specs", required=True)
    return parser


def _parse_pool(text: str) -> str:
    try:
        check_dataset_name(text)
    except ZrError as error:
        raise argparse.ArgumentTypeError(error.message) from error
    if "/" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is a dataset, not a pool")
    return text


def _parse_uid(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from None


def _parse_specs(text: str) -> list[WorkerSpec]:
    return decode(list[WorkerSpec], json.loads(text))


if __name__ == "__main__":
    sys.exit(main())
