"""/etc/zr/zr.toml → NodeConfig. docs/formats/node-config.md is the specification.

Raises Standing(config) with every problem found. Reads one file and changes nothing; it neither
opens the keys that the file names nor looks whether pools exist.
"""

import os
from pathlib import Path

from zrepl_py.config.reading import Problems, Reader, open_reader
from zrepl_py.config.roles import read_roles
from zrepl_py.config.values import (
    parse_duration,
    parse_endpoint,
    parse_hours,
    parse_period,
    parse_size,
)
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.config import (
    Endpoint,
    LinkLimits,
    NodeConfig,
    PeerConfig,
    ProofLimits,
    Workers,
)
from zrepl_py.model.names import check_dataset_name

FORMAT = 1
DEFAULT_PATH = "/etc/zr/zr.toml"
_NOWHERE = Endpoint("", 0)


def load_node_config(path: str = DEFAULT_PATH) -> NodeConfig:
    """The settings of this node; raises Standing(config) listing all problems."""
    problems = Problems()
    reader = open_reader(Path(path), FORMAT, problems)
    config = _read(reader) if reader is not None else None
    problems.raise_any(*_missing_remedy(path))
    if config is None:
        raise Standing("config", f"{path} holds no settings.")
    return config


def _missing_remedy(path: str) -> tuple[str, ...]:
    """What to do where there is no such file; nothing where that is not the trouble."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return ("Run `zr init` first, or say where it is with --config.",)
    except OSError:
        return ()
    return ()


def _read(reader: Reader) -> NodeConfig:
    usual = NodeConfig(FORMAT, "", ())
    node = reader.sub("node", required=True)
    pools = _read_pools(node)
    name = _read_node_name(node, "name", node.text_of("name"))
    parent = _read_parent(node, pools)
    rescan = node.parsed("rescan", parse_duration, usual.rescan_seconds)
    listen = node.parsed("listen", parse_endpoint, _NOWHERE)
    health = node.parsed("health", parse_endpoint, _NOWHERE)
    paths = reader.sub("paths")
    run_dir = _read_path(paths, "run", usual.run_dir)
    config = NodeConfig(
        format=FORMAT,
        name=name,
        pools=pools,
        listen=listen if node.has("listen") else None,
        replica_parent=parent,
        peers=_read_peers(reader, name),
        workers=_read_workers(reader, pools, run_dir),
        state_dir=_read_path(paths, "state", usual.state_dir),
        run_dir=run_dir,
        policy_dir=_read_path(paths, "policies", usual.policy_dir),
        key=_read_path(paths, "key", usual.key),
        certificate=_read_path(paths, "certificate", usual.certificate),
        rescan_seconds=rescan,
        link=_read_link(reader.sub("link")),
        proof=_read_proof(reader.sub("proof")),
        health=health if node.has("health") else None,
        roles=read_roles(reader.sub("roles")),
        origin=reader.origin,
    )
    for table in (node, paths, reader):
        table.finish()
    return config


def _read_node_name(reader: Reader, key: str, name: str) -> str:
    """A node's name becomes a component of its replicas' names."""
    if name and ("/" in name or " " in name or not _is_dataset_name(name)):
        reader.problem(key, f"{name!r} must be of letters, digits, - _ . and :")
    return name


def _read_pools(node: Reader) -> tuple[str, ...]:
    pools = node.texts("pools")
    if not pools and node.table.get("pools") == []:
        node.problem("pools", "names no pool")
    for pool in pools:
        if "/" in pool or not _is_dataset_name(pool):
            node.problem("pools", f"{pool!r} is not a pool's name")
    return pools


def _read_parent(node: Reader, pools: tuple[str, ...]) -> str | None:
    if not node.has("replicas"):
        return None
    parent = node.text_of("replicas")
    if not parent:
        return None
    if "/" not in parent or not _is_dataset_name(parent):
        node.problem("replicas", f"{parent!r} is not a dataset below a pool, like back/zr")
    elif parent.split("/")[0] not in pools:
        node.problem("replicas", f"{parent!r} is in none of the pools of this node")
    return parent


def _read_peers(reader: Reader, own_name: str) -> dict[str, PeerConfig]:
    peers: dict[str, PeerConfig] = {}
    outer = reader.sub("peers")
    for name in outer.table:
        inner = outer.sub(name)
        _read_node_name(outer, name, name)
        if name == own_name:
            outer.problem(name, "is this node itself")
        if not inner.has("address"):
            inner.problem("address", 'is missing; expected one like "10.0.0.2:7676"')
        endpoint = inner.parsed("address", parse_endpoint, _NOWHERE)
        certificate = _read_path(inner, "certificate", f"/etc/zr/peers/{name}.pem")
        inner.finish()
        peers[name] = PeerConfig(name, endpoint, certificate)
    return peers


def _read_workers(reader: Reader, pools: tuple[str, ...], run_dir: str) -> dict[str, Workers]:
    outer = reader.sub("workers")
    for pool in outer.table.keys() - set(pools):
        outer.problem(pool, "is none of the pools of this node")
    workers: dict[str, Workers] = {}
    for pool in pools:
        inner = outer.sub(pool)
        zfs = _read_path(inner, "zfs", f"{run_dir}/zfs/{pool}.sock")
        receive = _read_path(inner, "receive", f"{run_dir}/receive/{pool}.sock")
        proof = _read_path(inner, "proof", f"{run_dir}/proof/{pool}.sock")
        host = _read_path(inner, "host", f"{run_dir}/host/{pool}.sock")
        inner.finish()
        workers[pool] = Workers(zfs, receive, proof, host)
    return workers


def _read_link(reader: Reader) -> LinkLimits:
    usual = LinkLimits()
    limits = LinkLimits(
        streams=reader.number("streams", usual.streams, 1, 64),
        connect_seconds=reader.parsed("connect_timeout", parse_duration, usual.connect_seconds),
        stall_seconds=reader.parsed("stall_timeout", parse_duration, usual.stall_seconds),
    )
    reader.finish()
    return limits


def _read_proof(reader: Reader) -> ProofLimits:
    usual = ProofLimits()
    begin, end = reader.parsed("drill_hours", parse_hours, (usual.begin_hour, usual.end_hour))
    limits = ProofLimits(
        verify_seconds=reader.parsed("verify_every", parse_period, usual.verify_seconds),
        drill_seconds=reader.parsed("drill_every", parse_period, usual.drill_seconds),
        begin_hour=begin,
        end_hour=end,
        rate_bytes=reader.parsed("rate", parse_size, usual.rate_bytes),
    )
    reader.finish()
    return limits


def _read_path(reader: Reader, key: str, default: str) -> str:
    path = reader.text_of(key, default)
    if path and (not path.startswith("/") or "\0" in path):
        reader.problem(key, f"{path!r} is not an absolute path")
    return path


def _is_dataset_name(name: str) -> bool:
    try:
        check_dataset_name(name)
    except Refused:
        return False
    return True
