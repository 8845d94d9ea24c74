"""TLS 1.3 with pinned certificates. Which question it answers: is the other end who we paired with?

Both sides must present a certificate, and it must be one of the pinned ones byte for byte: the
trust store holds exactly those, and the hash is compared again after the handshake. Names, dates
and authorities play no part. TLS errors are translated here and nowhere else.
"""

import contextlib
import socket
import ssl
from collections.abc import Sequence

from zrepl_py.adapters.peer.certificates import Identity, Pin, check_key_file, fingerprint_of
from zrepl_py.errors import Passing, Standing, ZrError

_PAIR = "Pair the two nodes again: `zr pair`, with --replace where one was really replaced."


def make_client_context(identity: Identity, pin: Pin) -> ssl.SSLContext:
    """A source's end: this node's certificate, and the one target's pin."""
    return _pinned(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity, [pin])


def make_server_context(identity: Identity, pins: Sequence[Pin]) -> ssl.SSLContext:
    """A target's end: this node's certificate, and the sources' pins."""
    context = _pinned(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), identity, pins)
    # No session tickets: a resumed session would prove nothing, and a ticket that arrives between
    # two records would be in the way of a kernel TLS byte path.
    context.num_tickets = 0
    return context


def _pinned(context: ssl.SSLContext, identity: Identity, pins: Sequence[Pin]) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # A pinned certificate is trusted itself, whoever has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    check_key_file(identity.key)
    try:
        context.load_cert_chain(identity.certificate, identity.key)
    except (OSError, ssl.SSLError) as error:
        raise Standing(
            "peer-certificate",
            f"This node's certificate and key cannot be loaded: {error.strerror or error}.",
            "Run `zr init` again, or restore both files.",
        ) from None
    for pin in pins:
        context.load_verify_locations(cadata=pin.der)
    return context


def shake_hands(
    context: ssl.SSLContext, raw: socket.socket, pins: Sequence[Pin], *, server: bool
) -> tuple[ssl.SSLSocket, Pin]:
    """TLS over a connected socket with a timeout set; returns the pin that the peer has proven.

    Takes over `raw`: it is closed on failure. Standing(peer-certificate), Standing(peer-version),
    Passing(peer-silent). A client may learn only at its first read that it was not accepted.
    """
    secured: ssl.SSLSocket | None = None
    try:
        secured = context.wrap_socket(raw, server_side=server, do_handshake_on_connect=False)
        secured.do_handshake()
        return secured, _proven(secured.getpeercert(binary_form=True), pins)
    except OSError as error:
        if secured is not None:
            _linger(secured)
        raise translate_error(error) from None
    except ZrError:
        if secured is not None:
            secured.close()
        raise


def translate_error(error: OSError) -> ZrError:
    """What a socket or TLS raises → zr's errors."""
    if isinstance(error, ssl.SSLError):
        return _translate_tls(error)
    if isinstance(error, TimeoutError):
        return Passing("peer-silent", "The peer does not answer.")
    said = error.strerror or str(error)
    return Passing("peer-silent", f"The connection to the peer failed: {said}.")


def _translate_tls(error: ssl.SSLError) -> ZrError:
    # OpenSSL's stable words, such as CERTIFICATE_VERIFY_FAILED (we refuse it), and what the other
    # side's alert says: TLSV1_ALERT_UNKNOWN_CA, SSLV3_ALERT_BAD_CERTIFICATE (it refuses ours).
    word = (error.reason or "").upper()
    if isinstance(error, ssl.SSLCertVerificationError) or "NOT_RETURN_A_CERTIFICATE" in word:
        return Standing(
            "peer-certificate", "The peer presents another certificate than the pinned one.", _PAIR
        )
    if "ALERT" in word and ("CERTIFICATE" in word or "UNKNOWN_CA" in word):
        return Standing(
            "peer-certificate", "The peer does not accept this node's certificate.", _PAIR
        )
    if "PROTOCOL_VERSION" in word or "UNSUPPORTED_PROTOCOL" in word:
        return Standing(
            "peer-version",
            "The peer does not speak TLS 1.3.",
            "Install the same version of zr on both nodes, and check the address and port.",
        )
    return Passing(
        "peer-silent",
        f"The secured connection to the peer broke ({word.lower() or 'tls'}).",
        "If this stays: check that the address and port are those of zr on the other node.",
    )


def _proven(der: bytes | None, pins: Sequence[Pin]) -> Pin:
    for pin in pins:
        if der is not None and fingerprint_of(der) == pin.fingerprint:
            return pin
    raise Standing(
        "peer-certificate", "The peer presents another certificate than the pinned one.", _PAIR
    )


def _linger(secured: ssl.SSLSocket) -> None:
    """Close so that our alert is not lost: unread bytes would turn the close into a reset."""
    with contextlib.suppress(OSError):
        plain = socket.socket(fileno=secured.detach())
        with plain:
            plain.settimeout(1.0)
            plain.shutdown(socket.SHUT_WR)
            for _ in range(64):
                if not plain.recv(16 << 10):
                    break
