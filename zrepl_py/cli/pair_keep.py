"""What a node keeps of another one: its certificate, its address in zr.toml, its policies.

Every file is written whole or not at all, and zr.toml only in a form that the daemon accepts.
A certificate is never replaced unless a person said so.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from zrepl_py.adapters.control import CONTROL_SOCKET, call
from zrepl_py.adapters.files import ensure_directory, sync_directory, write_atomically
from zrepl_py.adapters.peer.certificates import Pin, parse_pin
from zrepl_py.config.node import load_node_config
from zrepl_py.config.peers_text import add_peer, remove_peer
from zrepl_py.config.policies import load_policies, load_policy
from zrepl_py.errors import Refused, Standing, ZrError
from zrepl_py.model.config import NodeConfig

PUBLIC = 0o755
RELOAD_SECONDS = 60.0


def pin_path(config: str, node: NodeConfig, name: str) -> Path:
    """Where the certificate of a peer is, or would be."""
    peer = node.peers.get(name)
    return Path(peer.certificate) if peer else Path(config).parent / "peers" / f"{name}.pem"


def judge_pin(config: str, node: NodeConfig, pin: Pin, *, replace: bool) -> None:
    """May this certificate be believed here? Refused(peer-certificate)."""
    for name in node.peers:
        known = read_pin(pin_path(config, node, name))
        if known is None or known.fingerprint == pin.fingerprint:
            continue
        if name == pin.node.name and not replace:
            raise Refused(
                "peer-certificate",
                f"Another certificate of {name} is trusted here already.",
                f"If {name} was really replaced, say --replace; if not, somebody pretends to be "
                "it.",
            )
        if name != pin.node.name and known.node.uuid == pin.node.uuid:
            raise Refused(
                "peer-certificate",
                f"Node {pin.node.uuid} is known here as {name}, not as {pin.node.name}.",
                f"If it was renamed: zr unpair {name}, then pair again.",
            )


def read_pin(path: Path) -> Pin | None:
    """A certificate that is trusted here, or None. Standing(peer-certificate)."""
    return parse_pin(path.read_text()) if path.exists() else None


def store_pin(config: str, node: NodeConfig, pin: Pin) -> bool:
    """Trust it from now on; False where it was so already. Call judge_pin before."""
    path = pin_path(config, node, pin.node.name)
    known = read_pin(path)
    if known is not None and known.fingerprint == pin.fingerprint:
        return False
    ensure_public_directory(str(path.parent))
    write_atomically(str(path), pin.pem.encode(), mode=0o644)
    return True


def ensure_public_directory(path: str) -> None:
    """The daemon can read there, whatever root's umask is; one that exists keeps its mode."""
    if not os.path.isdir(path):
        ensure_directory(path, PUBLIC)
        os.chmod(path, PUBLIC)


def write_checked(config: str, text: str) -> None:
    """zr.toml gets this text only if the daemon would accept it. Errors: Standing(config)."""
    draft = f"{config}.new"
    write_atomically(draft, text.encode(), mode=0o644)
    try:
        load_node_config(draft)
    except ZrError:
        os.unlink(draft)
        raise
    os.rename(draft, config)
    sync_directory(str(Path(config).parent))


def ensure_peer(config: str, name: str, address: str) -> bool:
    """zr.toml names the peer; an address that is there stays. True where it was added."""
    text = Path(config).read_text()
    wanted = add_peer(text, name, address)
    if wanted != text:
        write_checked(config, wanted)
    return wanted != text


def forget_peer(config: str, node: NodeConfig, name: str) -> list[str]:
    """Forget a peer's certificate and its address; returns what was done."""
    done = []
    path = pin_path(config, node, name)
    if path.exists():
        path.unlink()
        sync_directory(str(path.parent))
        done.append(f"removed {path}")
    text = Path(config).read_text()
    without = remove_peer(text, name)
    if without != text:
        write_checked(config, without)
        done.append(f"took [peers.{name}] out of {config}")
    return done


def policies_for(node: NodeConfig, target: str) -> dict[str, str]:
    """Texts of this node's own policies that name a target, by the policies' names."""
    ours = (p for p in load_policies(node.policy_dir) if p.source == node.name)
    return {p.name: Path(p.origin).read_text() for p in ours if target in p.targets}


def take_policies(node: NodeConfig, source: str, texts: Mapping[str, str]) -> list[str]:
    """Write the policies of a source that this node does not have yet; returns sentences.

    They say what is kept here of that source. One that is here already stays as it is; one that
    does not fit the others is not written.
    """
    here = {policy.name for policy in load_policies(node.policy_dir)}
    said = []
    for name, text in sorted(texts.items()):
        if name in here:
            continue
        try:
            said.append(_take_policy(node, source, text))
        except ZrError as error:
            said.append(f"A policy of {source} was not taken over: {error.message}")
    return said


def _take_policy(node: NodeConfig, source: str, text: str) -> str:
    with TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.toml"
        draft.write_text(text)
        policy = load_policy(str(draft))
        for present in Path(node.policy_dir).glob("*.toml"):
            (Path(folder) / f"here-{present.name}").write_bytes(present.read_bytes())
        load_policies(folder)
    if policy.source != source or node.name not in policy.targets or policy.name[0] == ".":
        raise Refused("no-policy", f"{policy.name!r} is not one that {source} sends here by.")
    path = Path(node.policy_dir) / f"{policy.name}.toml"
    if path.exists():
        raise Refused("exists", f"{path} is another policy.", "Copy it by hand.")
    write_atomically(str(path), text.encode(), mode=0o644)
    return f"Took the policy {policy.name} over from {source}: {path}"


def reload_daemon(node: NodeConfig, timeout_seconds: float = RELOAD_SECONDS) -> str:
    """Let a running daemon read its configuration again; returns what to tell the person."""
    try:
        call(Path(node.run_dir) / CONTROL_SOCKET, "reload", timeout_seconds)
    except Standing as error:
        if error.reason != "daemon-silent":
            raise
        return "The daemon does not run here yet: systemctl start zr"
    except Refused as error:
        if error.reason not in ("bad-call", "restart-needed"):
            raise
        return "Restart the daemon, so that it reads this: systemctl restart zr"
    return "The daemon has read it."
