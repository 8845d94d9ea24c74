"""Who may talk: identities, pins, and what happens to everyone else."""

import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.unit.peer_support import ALPHA, BETA, Site, identity_in, lane_of, serving, wait_for
from zrepl_py.adapters.peer import Identity, Pin, ensure_identity, parse_pin
from zrepl_py.adapters.peer.tls import make_client_context
from zrepl_py.errors import Passing, Standing, ZrError
from zrepl_py.model.site import Node

STRANGER = Node("33333333-3333-4333-8333-333333333333", "stranger")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with serving(site):
        yield site


def refusal_of(site: Site) -> ZrError:
    peer = site.client()
    with pytest.raises(ZrError) as caught:
        peer.observe_replica(lane_of())
    peer.close()
    return caught.value


def test_an_identity_is_made_once(tmp_path: Path) -> None:
    identity, pin = identity_in(tmp_path, ALPHA)
    assert stat.S_IMODE(identity.key.stat().st_mode) == 0o600
    assert pin.node == ALPHA
    before = identity.key.read_bytes(), identity.certificate.read_bytes()
    assert ensure_identity(identity, ALPHA) == pin
    assert (identity.key.read_bytes(), identity.certificate.read_bytes()) == before
    assert parse_pin(pin.pem) == pin == parse_pin(identity.certificate.read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alpha.crt", "alpha.key"]
    certificate = x509.load_pem_x509_certificate(pin.pem.encode())
    assert certificate.not_valid_before_utc.year == 1970
    assert certificate.not_valid_after_utc.year == 9999


def test_a_crash_between_the_two_files_is_repaired(tmp_path: Path) -> None:
    identity, _ = identity_in(tmp_path, ALPHA)
    key = identity.key.read_bytes()
    identity.certificate.unlink()
    assert ensure_identity(identity, ALPHA).node == ALPHA
    assert identity.key.read_bytes() == key


def test_an_identity_of_another_node_is_not_taken(tmp_path: Path) -> None:
    identity, _ = identity_in(tmp_path, ALPHA)
    with pytest.raises(Standing) as caught:
        ensure_identity(identity, BETA)
    assert caught.value.reason == "peer-certificate"


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    identity, pin = identity_in(tmp_path, ALPHA)
    identity.key.chmod(0o640)
    with pytest.raises(Standing) as caught:
        make_client_context(identity, pin)
    assert caught.value.reason == "key-permissions"


@pytest.mark.parametrize("pem", ["", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END"])
def test_a_pin_that_is_no_certificate(pem: str) -> None:
    with pytest.raises(Standing) as caught:
        parse_pin(pem)
    assert caught.value.reason == "peer-certificate"


def test_a_pin_may_be_renamed_but_not_be_of_another_node(tmp_path: Path) -> None:
    _, pin = identity_in(tmp_path, ALPHA)
    assert parse_pin(pin.pem, name="front").node == Node(ALPHA.uuid, "front")
    with pytest.raises(Standing):
        parse_pin(pin.pem, node_uuid=BETA.uuid)


def test_another_certificate_at_the_source(site: Site, tmp_path: Path) -> None:
    site.alpha, _ = identity_in(tmp_path / "new", ALPHA)
    error = refusal_of(site)
    assert isinstance(error, Standing)
    assert error.reason == "peer-certificate"
    wait_for(lambda: "peer-certificate" in site.reasons())


def test_another_certificate_at_the_target(site: Site, tmp_path: Path) -> None:
    _, site.beta_pin = identity_in(tmp_path / "new", BETA)
    error = refusal_of(site)
    assert isinstance(error, Standing)
    assert error.reason == "peer-certificate"
    wait_for(lambda: "peer-certificate" in site.reasons())


def test_a_proven_stranger_is_no_target(tmp_path: Path) -> None:
    """Pinned by the server, but the source looks for beta: two valid nodes, swapped."""
    site = Site(tmp_path)
    site.beta, _ = identity_in(tmp_path, STRANGER)
    with serving(site):
        assert refusal_of(site).reason == "peer-certificate"


def test_a_server_without_pins_lets_nobody_in(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.server_pins = []
    with serving(site):
        assert refusal_of(site).reason == "peer-certificate"


def test_several_sources_are_told_apart(tmp_path: Path) -> None:
    site = Site(tmp_path)
    _, stranger_pin = identity_in(tmp_path, STRANGER)
    site.server_pins = [stranger_pin, site.alpha_pin]
    with serving(site):
        peer = site.client()
        peer.observe_replica(lane_of())
        assert site.vault.sources == [ALPHA.uuid]
        peer.close()


def connect_as(site: Site, context: ssl.SSLContext) -> bytes:
    """What a client that is not ours reads after its handshake."""
    with (
        socket.create_connection(("127.0.0.1", site.server.port), timeout=5) as raw,
        context.wrap_socket(raw) as secured,
    ):
        return secured.recv(100)


def unpinned(minimum: ssl.TLSVersion, identity: Identity | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = minimum
    context.maximum_version = minimum
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


def test_no_client_certificate(site: Site) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate required"):
        connect_as(site, unpinned(ssl.TLSVersion.TLSv1_3))
    wait_for(lambda: "peer-certificate" in site.reasons())
    assert site.vault.sources == []


def test_tls_1_2_is_refused(site: Site) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        connect_as(site, unpinned(ssl.TLSVersion.TLSv1_2, site.alpha))
    wait_for(lambda: "peer-version" in site.reasons())


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 400 Bad\r\n\r\n", b""])
def test_a_server_that_is_not_zr(site: Site, reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = site.client(listener.getsockname()[1])

        def answer() -> None:
            near, _ = listener.accept()
            near.sendall(reply)
            near.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Passing) as caught:
            peer.observe_replica(lane_of())
        assert caught.value.reason == "peer-silent"
        thread.join()
        peer.close()


def test_nobody_listens(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    peer = site.client(port)
    with pytest.raises(Passing) as caught:
        peer.observe_replica(lane_of())
    assert caught.value.reason == "peer-silent"


@pytest.mark.parametrize("first", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\0" * 99])
def test_garbage_at_the_server_harms_nobody(site: Site, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=5) as raw:
        raw.sendall(first)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(1000):
            pass
    wait_for(lambda: site.reasons())
    peer = site.client()
    peer.observe_replica(lane_of())
    peer.close()


def test_strangers_cannot_occupy_the_server(site: Site) -> None:
    """Silent connections end by deadline, and those beyond the bound are closed at once."""
    silent = [socket.create_connection(("127.0.0.1", site.server.port)) for _ in range(30)]
    wait_for(lambda: len(site.reasons()) >= 1, site.limits.connect_seconds + 3)
    wait_for(lambda: len(site.reasons()) >= 16)
    peer = site.client()
    peer.observe_replica(lane_of())
    peer.close()
    for each in silent:
        each.close()


def test_the_pin_is_shown_as_people_compare_it(tmp_path: Path) -> None:
    _, pin = identity_in(tmp_path, ALPHA)
    assert isinstance(pin, Pin)
    assert len(pin.fingerprint) == 64
    assert "PRIVATE" not in pin.pem
