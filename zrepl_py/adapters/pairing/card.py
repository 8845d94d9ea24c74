"""What a node says of itself when it is paired, and what a stranger's card must be like.

Everything in it but the certificate's own bytes is a label; it is believed only after the code has
proven that it arrived as it was sent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zrepl_py import __version__
from zrepl_py.adapters.peer.certificates import Pin, parse_pin
from zrepl_py.errors import Corrupt, Standing

FORMAT = 1
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class Card:
    """One node: its certificate, which has its name and uuid, and where it listens."""

    pin: Pin
    port: int | None
    """Of its daemon; None: it takes no connections."""

    @property
    def name(self) -> str:
        """The node's name, as policies say it."""
        return self.pin.node.name


def render_card(card: Card) -> dict[str, Any]:
    """As it travels."""
    return {
        "format": FORMAT,
        "version": __version__,
        "certificate": card.pin.pem,
        "port": card.port,
    }


def parse_card(fields: Mapping[str, Any]) -> Card:
    """What arrived → Card. Standing(peer-version), Corrupt(protocol)."""
    if fields.get("format") != FORMAT:
        raise Standing(
            "peer-version",
            f"The other node pairs in format {str(fields.get('format'))[:20]!r}, this one in "
            f"{FORMAT}.",
            "Install the same version of zr on both nodes.",
        )
    pem, port = fields.get("certificate"), fields.get("port")
    if not isinstance(pem, str):
        raise Corrupt("protocol", "The other node sent no certificate.")
    if port is not None and not (type(port) is int and 0 < port < 65536):
        raise Corrupt("protocol", "The other node sent a port that is none.")
    try:
        pin = parse_pin(pem)
    except Standing as error:
        raise Corrupt("protocol", f"The other node's certificate: {error.message}") from None
    if not _NODE_NAME.match(pin.node.name):
        raise Corrupt("protocol", "The other node's certificate has no usable name.")
    return Card(pin, port)
