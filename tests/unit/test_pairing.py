"""Pairing by a one-time code: who has it is believed, and nobody else."""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zrepl_py.adapters.clock import Deadline, MachineClock
from zrepl_py.adapters.pairing.card import Card, parse_card, render_card
from zrepl_py.adapters.pairing.code import make_code, parse_code, render_code
from zrepl_py.adapters.pairing.meeting import Manners, Met
from zrepl_py.adapters.pairing.rendezvous import open_rendezvous, visit, wait_for_guest
from zrepl_py.adapters.pairing.talk import Talk
from zrepl_py.adapters.peer.certificates import Identity, Pin, ensure_identity
from zrepl_py.errors import Corrupt, Passing, Refused, Standing, ZrError
from zrepl_py.model.site import Node

CLOCK = MachineClock()
CODE = "482739506"
UUIDS = {"alpha": "ab253478-2a5f-4b32-bc8c-00dab5bcbec7"}
UUIDS |= {"beta": "57902b43-a3d6-437a-8682-be9ca44894a9"}
UUIDS |= {"eve": "11111111-a3d6-437a-8682-be9ca44894a9"}


@pytest.fixture
def pins(tmp_path: Path) -> dict[str, Pin]:
    return {
        name: ensure_identity(
            Identity(tmp_path / f"{name}.pem", tmp_path / f"{name}.key"), Node(uuid, name)
        )
        for name, uuid in UUIDS.items()
    }


class End:
    """One node: what it gives, whom it accepts, what it stored."""

    def __init__(
        self, pin: Pin, refuses: str = "", *, sends: bool = True, log: list[str] | None = None
    ) -> None:
        self.stored: list[Met] = []
        self.refuses, self.sends = refuses, sends
        settle = (lambda: None) if log is None else lambda: log.append(pin.node.name)
        self.manners = Manners(Card(pin, 7676), self.judge, self.stored.append, settle)

    def judge(self, card: Card) -> Mapping[str, str]:
        if self.refuses:
            raise Refused("peer-certificate", self.refuses)
        return {"main": f"for {card.name}"} if self.sends else {}


class Waiting:
    """The node that shows the code, in a thread."""

    def __init__(self, end: End) -> None:
        self.said: list[str] = []
        self.met: Met | None = None
        self.error: ZrError | None = None
        self._listener = open_rendezvous("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(end,))
        self._thread.start()

    def _run(self, end: End) -> None:
        try:
            with self._listener:
                self.met = wait_for_guest(
                    self._listener, CODE, end.manners, CLOCK, self.said.append
                )
        except ZrError as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_each_knows_the_other_afterwards(pins: dict[str, Pin]) -> None:
    beta, alpha = End(pins["beta"]), End(pins["alpha"])
    waiting = Waiting(beta)
    met = visit("127.0.0.1", waiting.port, CODE, alpha.manners, CLOCK)
    waiting.join()
    assert met.card.pin.fingerprint == pins["beta"].fingerprint
    assert [m.card.pin.fingerprint for m in beta.stored] == [pins["alpha"].fingerprint]
    assert alpha.stored == [met]
    assert met.policies == {"main": "for alpha"}
    assert beta.stored[0].policies == {"main": "for beta"}
    assert beta.stored[0].host == "127.0.0.1"


@pytest.mark.parametrize("host", ["alpha", "beta"])
def test_the_target_s_daemon_reads_it_before_the_source_s(pins: dict[str, Pin], host: str) -> None:
    """Whichever shows the code: else alpha dials a beta that takes it for a stranger."""
    log: list[str] = []
    ends = {name: End(pins[name], sends=name == "alpha", log=log) for name in ("alpha", "beta")}
    guest = ends["beta" if host == "alpha" else "alpha"]
    waiting = Waiting(ends[host])
    visit("127.0.0.1", waiting.port, CODE, guest.manners, CLOCK)
    waiting.join()
    assert log == ["beta", "alpha"]


def test_a_second_one_on_the_same_node_is_told_of_the_first() -> None:
    with open_rendezvous("127.0.0.1", 0) as listener, pytest.raises(Standing) as caught:
        open_rendezvous("127.0.0.1", listener.getsockname()[1])
    assert "another `zr pair`" in caught.value.message
    assert "Type that one's code" in caught.value.remedy


def test_three_wrong_codes_end_it(pins: dict[str, Pin]) -> None:
    beta, eve = End(pins["beta"]), End(pins["eve"])
    waiting = Waiting(beta)
    told = []
    for wrong in ("000000000", "111111111", "482739507"):
        with pytest.raises(Refused) as caught:
            visit("127.0.0.1", waiting.port, wrong, eve.manners, CLOCK)
        told.append((caught.value.reason, caught.value.message.partition("shows. ")[2]))
    assert told == [
        ("wrong-code", "2 tries are left."),
        ("wrong-code", "1 try is left."),
        ("pairing-over", "That was the last try: it is not good any more. Nothing was paired."),
    ]
    waiting.join()
    assert waiting.error is not None
    assert waiting.error.reason == "pairing-over"
    assert beta.stored == eve.stored == []
    with pytest.raises(Passing):
        visit("127.0.0.1", waiting.port, CODE, eve.manners, CLOCK)


def test_who_says_nonsense_does_not_use_up_a_try(pins: dict[str, Pin]) -> None:
    beta, alpha = End(pins["beta"]), End(pins["alpha"])
    waiting = Waiting(beta)
    for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n", b'{"format": 1}\n', b"x" * 50_000, b"[1]\n"):
        with socket.create_connection(("127.0.0.1", waiting.port)) as stranger:
            stranger.sendall(nonsense)
    visit("127.0.0.1", waiting.port, CODE, alpha.manners, CLOCK)
    waiting.join()
    assert len(beta.stored) == 1


@pytest.mark.parametrize("side", ["guest", "host"])
def test_who_stands_between_is_found_out(pins: dict[str, Pin], side: str) -> None:
    """Eve passes everything on, but puts her certificate in the place of one of theirs."""
    beta, alpha = End(pins["beta"]), End(pins["alpha"])
    waiting = Waiting(beta)
    hers = pins["eve"].pem

    def swap(line: bytes) -> bytes:
        fields = json.loads(line)
        if "certificate" in fields:
            fields["certificate"] = hers
        return json.dumps(fields).encode() + b"\n"

    def same(line: bytes) -> bytes:
        return line

    with Between(waiting.port, *((swap, same) if side == "guest" else (same, swap))) as between:
        with pytest.raises(Refused) as caught:
            visit("127.0.0.1", between.port, CODE, alpha.manners, CLOCK)
        assert caught.value.reason == "wrong-code"
    assert beta.stored == alpha.stored == []
    visit("127.0.0.1", waiting.port, CODE, alpha.manners, CLOCK)
    waiting.join()


class Between:
    """Passes lines on, changed: `outward` those of the guest, `inward` those of the host."""

    def __init__(
        self, port: int, outward: Callable[[bytes], bytes], inward: Callable[[bytes], bytes]
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._port, self._ways = port, (outward, inward)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Between":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()
        self._thread.join(20)

    def _run(self) -> None:
        guest, _ = self._listener.accept()
        host = socket.create_connection(("127.0.0.1", self._port))
        ends = [(guest, host, self._ways[0]), (host, guest, self._ways[1])]
        threads = [threading.Thread(target=self._pass_on, args=end) for end in ends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    def _pass_on(
        self, source: socket.socket, to: socket.socket, change: Callable[[bytes], bytes]
    ) -> None:
        for line in source.makefile("rb"):
            to.sendall(change(line))
        to.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("who", ["beta", "alpha"])
def test_when_one_refuses_neither_stores(pins: dict[str, Pin], who: str) -> None:
    beta = End(pins["beta"], "not you" if who == "beta" else "")
    alpha = End(pins["alpha"], "not you" if who == "alpha" else "")
    waiting = Waiting(beta)
    with pytest.raises(Refused) as caught:
        visit("127.0.0.1", waiting.port, CODE, alpha.manners, CLOCK)
    waiting.join()
    assert waiting.error is not None
    theirs = {"peer-refused", "peer-certificate"}
    assert {caught.value.reason, waiting.error.reason} == theirs
    assert beta.stored == alpha.stored == []


def test_a_silent_stranger_is_given_up() -> None:
    with open_rendezvous("127.0.0.1", 0) as listener:
        stranger = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        with stranger, connection, pytest.raises(Passing):
            Talk(connection, Deadline(CLOCK, 0.05)).hear()


def test_codes() -> None:
    code = make_code()
    assert parse_code(render_code(code)) == code
    assert parse_code(" 482 739-506\n") == CODE
    for wrong in ("", "12345678", "1234567890", "abc-def-ghi", "４８２739506"):
        with pytest.raises(Refused):
            parse_code(wrong)


def test_cards(pins: dict[str, Pin]) -> None:
    good = render_card(Card(pins["alpha"], 7676))
    assert parse_card(good).pin.node == Node(UUIDS["alpha"], "alpha")
    with pytest.raises(Standing):
        parse_card({**good, "format": 2})
    for wrong in ({"port": 0}, {"port": "7676"}, {"port": True}, {"certificate": "x"}):
        with pytest.raises(Corrupt):
            parse_card({**good, **wrong})
