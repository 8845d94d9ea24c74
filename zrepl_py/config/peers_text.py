"""How does zr.toml learn of a peer, and forget it, without losing what a person wrote there?

Pure text → text. Only whole `[peers.NAME]` tables are added (at the end) or taken out; every other
line stays as it is, comments too. What a person wrote in another form is left to that person.
"""

import re
import tomllib

from zrepl_py.errors import Refused

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def render_key(name: str) -> str:
    """A node's name as a TOML key."""
    return name if _BARE.match(name) else f'"{name}"'


def render_peer(name: str, address: str) -> str:
    """The table of one peer."""
    return f'[peers.{render_key(name)}]\naddress = "{address}"\n'


def add_peer(text: str, name: str, address: str) -> str:
    """The text with the peer's table; unchanged where there is one.

    Refused(config-differs) where peers stand there in a form to which none can be added.
    """
    if name in _peers(text):
        return text
    added = text.rstrip("\n") + "\n\n" + render_peer(name, address)
    try:
        tomllib.loads(added)
    except tomllib.TOMLDecodeError:
        raise Refused(
            "config-differs",
            "The peers stand in zr.toml in a form that zr did not write.",
            f"Add the peer {name} with the address {address} there by hand.",
        ) from None
    return added


def remove_peer(text: str, name: str) -> str:
    """The text without the peer's table; unchanged where there is none.

    Refused(config-differs) where it stands there in a form that zr did not write.
    """
    if name not in _peers(text):
        return text
    header = re.compile(rf'\s*\[\s*peers\s*\.\s*"?{re.escape(name)}"?\s*\]\s*(#.*)?$')
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = header.match(line) is not None
        if not inside:
            kept.append(line)
    without = "".join(kept).rstrip("\n") + "\n"
    if name in _peers(without) or _without(without, name) != _without(text, name):
        raise Refused(
            "config-differs",
            f"The peer {name} stands in zr.toml in a form that zr did not write.",
            "Take it out there by hand.",
        )
    return without


def _peers(text: str) -> dict[str, object]:
    peers = tomllib.loads(text).get("peers", {})
    return peers if isinstance(peers, dict) else {}


def _without(text: str, name: str) -> dict[str, object]:
    """What the file says, this peer left out: taking it out must change nothing else."""
    whole = tomllib.loads(text)
    peers = {key: value for key, value in _peers(text).items() if key != name}
    return {**whole, "peers": peers}
