"""Do both ends have the same code, and did both cards arrive as they were sent?

SPAKE2 (a balanced PAKE, the package `spake2`) with both cards as identities: who listens, or stands
between, learns nothing that could be tried offline, and has one guess per conversation. Both ends
then confirm; nothing is believed before. After it, `Sealed` carries what only the two may read.

The side on which the code is typed is the guest (A), the one that shows it the host (B).
"""

import hashlib
import hmac
import json
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from zrepl_py.adapters.pairing.talk import LINE_BYTES, Talk
from zrepl_py.errors import Corrupt, Refused, ZrError

GUEST, HOST = "guest", "host"
OTHER = {GUEST: HOST, HOST: GUEST}
_ELEMENT_BYTES = 33
"""Of a SPAKE2 message: the side's letter and a point of edwards25519."""


def prove(
    talk: Talk, side: str, code: str, guest_card: bytes, host_card: bytes, tries_left: int = 0
) -> "Sealed":
    """Both cards are the lines as they travelled; `tries_left`: what the host says to a guest whose
    code is wrong. Refused(wrong-code), on the guest Refused(pairing-over) where that was the last
    try, Corrupt(protocol)."""
    exchange = _exchange(side, code, guest_card, host_card)
    mine: bytes = exchange.start()
    if side == GUEST:
        talk.say({"pake": mine.hex()})
    theirs = _hear_hex(talk, "pake")
    if side == HOST:
        talk.say({"pake": mine.hex()})
    key = _finish(exchange, theirs)
    guest_said, host_said = (mine, theirs) if side == GUEST else (theirs, mine)
    transcript = hashlib.sha256()
    for part in (guest_card, host_card, guest_said, host_said):
        transcript.update(hashlib.sha256(part).digest())
    keys = _Keys(key, transcript.digest())
    if side == GUEST:
        talk.say({"confirm": keys.derive("confirm", GUEST).hex()})
    confirmed = _hear_hex(talk, "confirm")
    if not hmac.compare_digest(confirmed, keys.derive("confirm", OTHER[side])):
        if side == HOST:
            talk.say({"failure": "wrong-code", "tries_left": tries_left})
        raise _wrong_code(None)
    if side == HOST:
        talk.say({"confirm": keys.derive("confirm", HOST).hex()})
    return Sealed(talk, keys, side)


class Sealed:
    """What the two say after the proof: encrypted, in order, each direction with a key."""

    def __init__(self, talk: Talk, keys: "_Keys", side: str) -> None:
        self._talk = talk
        self._mine = ChaCha20Poly1305(keys.derive("seal", side))
        self._theirs = ChaCha20Poly1305(keys.derive("seal", OTHER[side]))
        self._said = self._heard = 0

    def say(self, message: dict[str, Any]) -> None:
        """Send one message. Passing(peer-silent)."""
        nonce, text = self._said.to_bytes(12, "big"), json.dumps(message).encode()
        sealed = self._mine.encrypt(nonce, text, b"")
        self._said += 1
        self._talk.say({"sealed": sealed.hex()})

    def hear(self) -> dict[str, Any]:
        """The next message. Passing(peer-silent), Corrupt(protocol)."""
        sealed = _hear_hex(self._talk, "sealed", LINE_BYTES)
        try:
            text = self._theirs.decrypt(self._heard.to_bytes(12, "big"), sealed, b"")
            message = json.loads(text)
        except (InvalidTag, ValueError):
            raise Corrupt("protocol", "A message was changed on its way.") from None
        self._heard += 1
        if not isinstance(message, dict):
            raise Corrupt("protocol", "The other node sent what is no JSON object.")
        return message


class _Keys:
    def __init__(self, key: bytes, transcript: bytes) -> None:
        self._key, self._transcript = key, transcript

    def derive(self, purpose: str, side: str) -> bytes:
        label = f"zr pair 1 {purpose} {side}".encode()
        return hmac.new(self._key, label + self._transcript, hashlib.sha256).digest()


def _exchange(side: str, code: str, guest_card: bytes, host_card: bytes) -> Any:
    # Loaded here, because only `zr pair` needs it: everything else works without the package.
    from spake2 import SPAKE2_A, SPAKE2_B

    kind = SPAKE2_A if side == GUEST else SPAKE2_B
    return kind(code.encode(), idA=guest_card, idB=host_card)


def _finish(exchange: Any, theirs: bytes) -> bytes:
    from spake2 import SPAKEError

    if len(theirs) != _ELEMENT_BYTES:
        raise Corrupt("protocol", "The other node sent what is no part of a pairing.")
    try:
        key: bytes = exchange.finish(theirs)
    except (SPAKEError, ValueError, AssertionError):
        # The package's ways to say: not a point of the curve, or our own message sent back.
        raise Corrupt("protocol", "The other node sent what is no part of a pairing.") from None
    return key


def _hear_hex(talk: Talk, field: str, limit_bytes: int | None = None) -> bytes:
    _, message = talk.hear(limit_bytes) if limit_bytes else talk.hear()
    if message.get("failure") == "wrong-code":
        left = message.get("tries_left")
        raise _wrong_code(left if isinstance(left, int) else None)
    value = message.get(field)
    try:
        return bytes.fromhex(value) if isinstance(value, str) else _nothing(field)
    except ValueError:
        return _nothing(field)


def _nothing(field: str) -> bytes:
    raise Corrupt("protocol", f"The other node sent no {field!r} where it had to.")


def _wrong_code(tries_left: int | None) -> ZrError:
    """None: that is not known here."""
    fits = "The code does not fit the one that the other node shows."
    between = (
        "If it surely was right, somebody stands between the two nodes: carry the certificates by "
        "hand (zr trust)."
    )
    if tries_left is None:
        return Refused("wrong-code", fits, f"Type it again; three tries are allowed. {between}")
    if tries_left < 1:
        return Refused(
            "pairing-over",
            f"{fits} That was the last try: it is not good any more. Nothing was paired.",
            f"Start `zr pair` there again, and type the new code. {between}",
        )
    tries = "1 try is" if tries_left == 1 else f"{tries_left} tries are"
    return Refused("wrong-code", f"{fits} {tries} left.", f"Type it again. {between}")
