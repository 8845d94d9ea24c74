"""A node's identity: an Ed25519 key and a self-signed certificate; and pins of other nodes'.

The certificate says the node's name (CN) and uuid (SAN `urn:uuid:…`). It is valid from 1970 to
9999: a pin does not depend on dates, since clocks step. The key never leaves its file, which is
written atomically with mode 0600 and is never overwritten.
"""

import hashlib
import os
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zrepl_py.errors import Standing
from zrepl_py.model.site import Node

_FROM = datetime(1970, 1, 1, tzinfo=UTC)
_UNTIL = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_URN = "urn:uuid:"
_PAIR = "Pair the two nodes again: `zr pair`, with --replace where one was really replaced."


@dataclass(frozen=True, slots=True)
class Identity:
    """Where this node's certificate and key are (PEM files)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Pin:
    """Another node's certificate, exactly this one."""

    node: Node
    der: bytes

    @property
    def fingerprint(self) -> str:
        """sha256 of the certificate, 64 hex digits: what people compare."""
        return fingerprint_of(self.der)

    @property
    def pem(self) -> str:
        """The certificate as text, for configuration files."""
        certificate = x509.load_der_x509_certificate(self.der)
        return certificate.public_bytes(serialization.Encoding.PEM).decode()


def fingerprint_of(der: bytes) -> str:
    """sha256 of a DER certificate, hex."""
    return hashlib.sha256(der).hexdigest()


def parse_pin(pem: str, name: str | None = None, node_uuid: str | None = None) -> Pin:
    """A PEM certificate → Pin. Name and uuid are the certificate's, unless the caller knows them.

    Standing(peer-certificate): unreadable, without a uuid, or of another node than the caller said.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        said = _uuid_of(certificate)
        common = [a.value for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except ValueError:
        raise Standing("peer-certificate", "A pinned certificate cannot be read.", _PAIR) from None
    if said is None and node_uuid is None:
        raise Standing("peer-certificate", "A pinned certificate names no node uuid.", _PAIR)
    if said is not None and node_uuid is not None and said != node_uuid:
        raise Standing(
            "peer-certificate", f"A pinned certificate is of node {said}, not {node_uuid}.", _PAIR
        )
    shown = name or (str(common[0]) if common else "")
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Pin(Node(node_uuid or said or "", shown), der)


def ensure_identity(identity: Identity, node: Node) -> Pin:
    """Make key and certificate where they are missing; return this node's own pin.

    Idempotent, also after a crash between the two files. Standing(key-permissions): others can
    read the key. Standing(peer-certificate): the certificate there is of another node.
    """
    if not identity.key.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write_new(identity.key, pem, 0o600)
    check_key_file(identity.key)
    if not identity.certificate.exists():
        key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise Standing("peer-certificate", "The node's key is not an Ed25519 key.", _PAIR)
        _write_new(identity.certificate, _self_signed(key, node), 0o644)
    return parse_pin(identity.certificate.read_text(), node_uuid=node.uuid)


def check_key_file(path: Path) -> None:
    """Standing(key-permissions) when anyone but the owner may read or write the key."""
    if path.stat().st_mode & 0o077:
        raise Standing(
            "key-permissions",
            "The node's private key can be read by other users.",
            f"Run `chmod 600 {path}`, and make a new key if others may have read it.",
        )


def _self_signed(key: Ed25519PrivateKey, node: Node) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node.name[:64])])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    both_roles = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    uri = x509.UniformResourceIdentifier(_URN + str(uuid.UUID(node.uuid)))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_roles), critical=False)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    )
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM)


def _uuid_of(certificate: x509.Certificate) -> str | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    for uri in names.value.get_values_for_type(x509.UniformResourceIdentifier):
        if uri.startswith(_URN):
            return str(uuid.UUID(uri[len(_URN) :]))
    return None


def _write_new(path: Path, octets: bytes, mode: int) -> None:
    """Durable and atomic; never replaces a file that is there."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        os.unlink(draft)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
