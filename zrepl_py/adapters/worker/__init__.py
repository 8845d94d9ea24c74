"""ZFS in processes of their own: the daemon asks, a worker with the needed rights does it.

`WorkerZfs` (proxy.py) is the daemon's ZfsPort; `WorkerServer` (server.py) is the worker's side;
`verbs.py` says what may be asked, `framing.py` how it looks on the socket
(docs/formats/worker-rpc.md), `spawn.py` starts workers where systemd does not.
"""

from zrepl_py.adapters.worker.proxy import PoolSockets, WorkerZfs

__all__ = ["PoolSockets", "WorkerZfs"]
