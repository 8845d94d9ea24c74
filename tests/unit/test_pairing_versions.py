"""`zr pair` between this version and others: the recorded first one in a process of its own, and
one that speaks a later format."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.unit.test_pairing import CLOCK, CODE, UUIDS, End, Waiting
from zrepl_py.adapters.pairing.card import Card, render_card
from zrepl_py.adapters.pairing.rendezvous import visit
from zrepl_py.adapters.peer.certificates import Identity, Pin, ensure_identity
from zrepl_py.errors import Refused, Standing
from zrepl_py.model.site import Node

RECORDED = Path(__file__).parents[1] / "lab" / "recorded"
"""The code with which the states of tests/lab/recorded.py were made."""
SECONDS = 60
OLD = r"""
import json, sys
from pathlib import Path
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.pairing.card import Card
from zrepl_py.adapters.pairing.meeting import Manners
from zrepl_py.adapters.pairing.rendezvous import open_rendezvous, visit, wait_for_guest
from zrepl_py.adapters.peer.certificates import parse_pin
from zrepl_py.errors import ZrError
role, pem, code, port = sys.argv[1:]
stored = []
manners = Manners(
    Card(parse_pin(Path(pem).read_text()), 7676),
    lambda card: {"main": f"for {card.name}"},
    lambda met: stored.append([met.card.name, met.card.pin.fingerprint, dict(met.policies)]),
)
error = ""
try:
    if role == "host":
        with open_rendezvous("127.0.0.1", 0) as listener:
            print(listener.getsockname()[1], flush=True)
            wait_for_guest(listener, code, manners, MachineClock(), lambda text: None)
    else:
        visit("127.0.0.1", int(port), code, manners, MachineClock())
except ZrError as caught:
    error = caught.reason
print(json.dumps({"stored": stored, "error": error}), flush=True)
"""


@pytest.fixture(scope="module", params=sorted(path.name for path in RECORDED.iterdir()))
def code_of_version(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("old")
    packed = (RECORDED / request.param / "code.tar.zst").read_bytes()
    code = zstandard.ZstdDecompressor().decompress(packed)  # Debian 12's tarfile has no filters
    subprocess.run(["tar", "-x", "-C", folder], input=code, check=True, timeout=60)
    return folder


@pytest.fixture
def pins(tmp_path: Path) -> dict[str, Pin]:
    return {
        name: ensure_identity(
            Identity(tmp_path / f"{name}.pem", tmp_path / f"{name}.key"), Node(uuid, name)
        )
        for name, uuid in UUIDS.items()
    }


class Old:
    """The other version, as alpha."""

    def __init__(self, code: Path, tmp_path: Path, role: str, typed: str, port: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", OLD, role, str(tmp_path / "alpha.pem"), typed, str(port)],
            stdout=subprocess.PIPE,
            cwd=code,
            env={**os.environ, "PYTHONPATH": str(code), "PYTHONSAFEPATH": ""},
            text=True,
        )

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def end(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._process.communicate(timeout=SECONDS)[0])
        return told


def test_it_is_another_version(code_of_version: Path, tmp_path: Path) -> None:
    """Else the tests below would try this version with itself."""
    here = Path(__file__).parents[2] / "zrepl_py/adapters/pairing/meeting.py"
    there = code_of_version / "zrepl_py/adapters/pairing/meeting.py"
    assert here.read_text() != there.read_text()


def test_an_old_host_and_this_guest(
    code_of_version: Path, pins: dict[str, Pin], tmp_path: Path
) -> None:
    old, beta = Old(code_of_version, tmp_path, "host", CODE), End(pins["beta"])
    port = int(old.line())
    with pytest.raises(Refused) as caught:
        visit("127.0.0.1", port, "000000000", beta.manners, CLOCK)
    assert caught.value.reason == "wrong-code"
    met = visit("127.0.0.1", port, CODE, beta.manners, CLOCK)
    assert met.card.pin == pins["alpha"]
    assert beta.stored == [met]
    assert dict(met.policies) == {"main": "for beta"}
    own = ["beta", pins["beta"].fingerprint, {"main": "for alpha"}]
    assert old.end() == {"stored": [own], "error": ""}


def test_this_host_and_an_old_guest(
    code_of_version: Path, pins: dict[str, Pin], tmp_path: Path
) -> None:
    beta = End(pins["beta"])
    waiting = Waiting(beta)
    wrong = Old(code_of_version, tmp_path, "guest", "000000000", waiting.port).end()
    assert wrong == {"stored": [], "error": "wrong-code"}
    assert beta.stored == []
    told = Old(code_of_version, tmp_path, "guest", CODE, waiting.port).end()
    waiting.join()
    assert waiting.error is None
    own = ["beta", pins["beta"].fingerprint, {"main": "for alpha"}]
    assert told == {"stored": [own], "error": ""}
    assert [m.card.pin for m in beta.stored] == [pins["alpha"]]


def test_a_guest_of_a_later_format_is_sent_away_and_the_code_stays_good(
    pins: dict[str, Pin],
) -> None:
    beta, alpha = End(pins["beta"]), End(pins["alpha"])
    waiting = Waiting(beta)
    card = {**render_card(alpha.manners.card), "format": 2, "something": "new"}
    with socket.create_connection(("127.0.0.1", waiting.port), timeout=SECONDS) as connection:
        connection.sendall(json.dumps(card).encode() + b"\n")
        assert connection.recv(1) == b"", "no card for who is not understood"
    visit("127.0.0.1", waiting.port, CODE, alpha.manners, CLOCK)
    waiting.join()
    assert len(beta.stored) == 1
    (said,) = waiting.said
    assert "pairs in format '2', this one in 1." in said
    assert "Tries left" not in said


def answer_once(answer: Callable[[socket.socket], None]) -> int:
    """A port at which one caller is answered."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("spoken", [2, "2", None, "2" * 100])
def test_a_host_of_a_later_format_is_refused_with_what_to_do(
    pins: dict[str, Pin], spoken: object
) -> None:
    card = {**render_card(Card(pins["beta"], 7676)), "format": spoken}

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(json.dumps(card).encode() + b"\n")

    alpha = End(pins["alpha"])
    with pytest.raises(Standing) as caught:
        visit("127.0.0.1", answer_once(answer), CODE, alpha.manners, CLOCK)
    assert caught.value.reason == "peer-version"
    assert "same version of zr on both nodes" in caught.value.remedy
    assert len(caught.value.message) < 120
    assert alpha.stored == []
