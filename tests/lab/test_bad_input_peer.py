"""A wrong peer, strangers, a damaged wire: nothing is believed, and the right peer goes on."""

import os
from collections.abc import Iterator

import pytest

from .conftest import Fresh
from .contents import common, compare
from .hub import ADDRESS
from .looks import PYTHON, events, pid_of, versions
from .node import Node
from .site import ADDRESSES, PORT, Site
from .wire import Relay, say

pytestmark = pytest.mark.lab
DATASET = "tank/work"
COPY = "back/zr/alpha/tank/work"
BETA = (ADDRESSES["beta"], PORT)
IDENTITY = ("/etc/zr/node.key", "/etc/zr/node.pem")


@pytest.fixture(scope="module")
def site(fresh: Fresh) -> Iterator[Site]:
    site = fresh()
    site.lab.alpha.sh("zfs create tank/work; echo first >/tank/work/file")
    site.protect([DATASET], every="1h")
    site.start()
    site.settle()
    yield site
    site.stop("alpha")
    site.stop("beta")


def restart(site: Site, name: str) -> None:
    site.stop(name)
    site.start(name)


def change(site: Site, size_bytes: int = 1000) -> None:
    site.lab.alpha.sh(f"head -c {size_bytes} /dev/urandom >/tank/work/noise; zr snapshot")


def wait_for_reason(site: Site, reason: str) -> str:
    """Until alpha's lane says so; returns the whole message."""

    message = ""

    def seen() -> bool:
        nonlocal message
        site.lab.alpha.run(["zr", "replicate", "--timeout", "1"], check=False)
        error = site.lane(DATASET)["error"]
        message = error["message"] if error else ""
        return bool(error) and error["reason"] == reason

    site.wait(seen, reason, 90)
    return message


def assert_in_sync(site: Site) -> None:
    change(site)
    site.settle()
    names = common(site.lab.alpha, DATASET, site.lab.beta, COPY)
    assert names[-1] == versions(site.lab.alpha, DATASET)[-1]
    assert not compare(site.lab.alpha, DATASET, site.lab.beta, COPY, names[-3:])[1]
    for node in ("alpha", "beta"):
        assert "Traceback" not in site.log(node)
        assert not events(site.log(node), "task-failed")


def resident_megabytes(node: Node) -> int:
    status = node.get(f"/proc/{pid_of(node, 'daemon')}/status").decode()
    return int(next(line for line in status.splitlines() if "VmRSS" in line).split()[1]) // 1024


# --- who it is


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ("beta", "presents another certificate than the pinned one"),
        ("alpha", "does not accept this node's certificate"),
    ],
)
def test_a_peer_with_another_certificate_is_not_talked_to(
    site: Site, node: str, sentence: str
) -> None:
    here = site.lab.nodes[node]
    kept = {path: here.get(path) for path in IDENTITY}
    pool = here.pool
    here.sh(f"rm {' '.join(IDENTITY)}; zr init --yes --name {node} --pool {pool}")
    restart(site, node)
    try:
        there = versions(site.lab.beta, COPY)
        change(site)
        message = wait_for_reason(site, "peer-certificate")
        assert sentence in message
        assert "`zr pair`" in message
        assert versions(site.lab.beta, COPY) == there
        other = site.lab.beta if node == "alpha" else site.lab.alpha
        other.put("/tmp/other.pem", here.get("/etc/zr/node.pem"))
        refused = other.run(["zr", "trust", "/tmp/other.pem"], check=False)
        assert refused.returncode == 3
        assert b"Another certificate of" in refused.stderr
    finally:
        for path, content in kept.items():
            here.put(path, content, mode=0o600)
        here.sh("chown zr:zr /etc/zr/node.key; chmod 644 /etc/zr/node.pem")
        restart(site, node)
    assert_in_sync(site)


def test_nodes_of_different_versions_do_not_talk(site: Site) -> None:
    there = versions(site.lab.beta, COPY)
    site.stop("beta")
    edit = "s/^PROTOCOL = .*/PROTOCOL = 999/"
    site.lab.beta.run(["sed", "-i", edit, "/run/zr-lab/tree/zrepl_py/model/wire.py"])
    site.start("beta")
    try:
        change(site)
        message = wait_for_reason(site, "peer-version")
        assert "The peer speaks protocol 999" in message
        assert "Install the same version of zr on both nodes" in message
        assert versions(site.lab.beta, COPY) == there
    finally:
        site.stop("beta")
        site.lab.beta.refresh()
        site.start("beta")
    assert_in_sync(site)


# --- what arrives


def test_flipped_bits_and_cuts_on_the_wire_are_noticed(site: Site) -> None:
    """Through a relay that knows TCP, so no checksum of the network is in the way."""
    config = site.lab.alpha.get("/etc/zr/zr.toml")
    with Relay(site.lab.network, BETA) as relay:
        detour = f"{ADDRESS}:{relay.port}".encode()
        site.lab.alpha.put("/etc/zr/zr.toml", config.replace(b"10.77.0.2:7676", detour))
        restart(site, "alpha")
        site.settle()
        for flip, cut in ((3_000_000, 0), (0, 5_000_000), (700, 0)):
            there = versions(site.lab.beta, COPY)
            relay.flip_every_bytes, relay.cut_after_bytes = flip, cut
            damage = relay.flipped + relay.cuts
            # Each try goes on where the last one was cut: too much for those of the next seconds.
            change(site, 30_000_000)
            site.wait(lambda: relay.flipped + relay.cuts > damage, "damage", 60)  # noqa: B023
            assert wait_for_reason(site, "peer-silent")
            assert versions(site.lab.beta, COPY) == there
            relay.flip_every_bytes = relay.cut_after_bytes = 0
            assert_in_sync(site)
    site.lab.alpha.put("/etc/zr/zr.toml", config)
    restart(site, "alpha")
    assert_in_sync(site)


def test_corrupted_packets_cost_nothing_but_time(site: Site) -> None:
    """`tc netem corrupt`: what the checksums of TCP catch is sent again by TCP."""
    for node in site.lab.nodes.values():
        node.sh("tc qdisc replace dev vec0 root netem corrupt 2%")
    try:
        change(site, 3_000_000)
        assert_in_sync(site)
    finally:
        for node in site.lab.nodes.values():
            node.sh("tc qdisc del dev vec0 root")


# --- who else comes


def test_strangers_are_turned_away(site: Site) -> None:
    network = site.lab.network
    before = resident_megabytes(site.lab.beta)
    for words in (
        b"",
        b"GET / HTTP/1.1\r\nHost: beta\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        os.urandom(65_536),
        b"\x16\x03\x01\xff\xff" + os.urandom(20_000),  # the beginning of a huge handshake
        b"\x00" * 200_000,
    ):
        heard = say(network, BETA, words)
        assert len(heard) < 100  # a TLS alert, if anything
    silent = [network.connect(BETA, timeout_seconds=10) for _ in range(40)]
    try:
        # Those that say nothing hold only the places of strangers, and only for connect_timeout: a
        # proven peer stays connected, and one that comes now gets its turn.
        assert_in_sync(site)
        restart(site, "alpha")
        assert_in_sync(site)
    finally:
        for stranger in silent:
            stranger.close()
    assert resident_megabytes(site.lab.beta) < before + 40


PEER = r"""
import os, random, socket, struct, sys, uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zrepl_py.adapters.peer.certificates import Identity, parse_pin
from zrepl_py.adapters.peer.framing import FrameType, render_frame
from zrepl_py.adapters.peer.messages import render_message
from zrepl_py.adapters.peer.tls import make_client_context, shake_hands
from zrepl_py.errors import ZrError
from zrepl_py.model.wire import AskReplica, Begin, Hello, LaneName, PROTOCOL
me = Identity(Path("/etc/zr/node.pem"), Path("/etc/zr/node.key"))
pin = parse_pin(Path("/etc/zr/peers/beta.pem").read_text())
node = parse_pin(me.certificate.read_text()).node
hello = render_message(FrameType.HELLO, Hello(
    PROTOCOL, "0.1.0", node.uuid, node.name, "2.3.9-1", "1-00000000", "boot"))
draw = random.Random(int(sys.argv[1]))
def lane(dataset): return LaneName(str(uuid.uuid4()), dataset)
def begin(dataset, name="zr_1-00000000_1_20261121T081500Z", guid=5):
    return render_message(FrameType.BEGIN, Begin(
        lane(dataset), name, guid, 0, False, False, "1-00000000"))
chunk = render_frame(FrameType.CHUNK, os.urandom(60_000))
cases = [
    hello + b"\xff" * 5000,
    hello + struct.pack("!BI", FrameType.CALL, 2**31),
    hello + render_message(FrameType.CALL, AskReplica(lane("../../etc"))),
    hello + render_message(FrameType.CALL, AskReplica(lane("tank/../../x"))),
    hello + render_message(FrameType.CALL, AskReplica(lane("x" * 3000))),
    hello + begin("tank/rubbish") + chunk * 20,
    hello + begin("tank/rubbish@x") + chunk,
    hello + begin("../../../back/other") + chunk,
    hello + begin("tank/foreign", name="mine") + chunk,
    hello + begin("tank/foreign", name="../x") + chunk,
    hello + begin("tank/guid", guid=2**70) + chunk,
    hello + begin("tank/guid", guid=-1) + chunk,
    hello * 2,
    *(hello + draw.randbytes(draw.randrange(1, 3000)) for _ in range(15)),
]
def send(words):
    raw = socket.create_connection(("10.77.0.2", 7676), timeout=5)
    try:
        secured, _ = shake_hands(make_client_context(me, pin), raw, [pin], server=False)
        with secured:
            secured.settimeout(3)
            secured.sendall(words)
            while secured.recv(65536): pass
    except (OSError, ZrError):
        pass
with ThreadPoolExecutor(10) as pool: list(pool.map(send, cases))
print("done")
"""


def test_a_proven_peer_that_sends_nonsense_reaches_nothing(site: Site) -> None:
    """With alpha's own key: what a taken-over source could do."""
    listing = ["zfs", "list", "-Hr", "-t", "all", "-o", "name,guid", "back"]
    before = site.lab.beta.run(listing).text
    said = site.lab.alpha.run([PYTHON, "-c", PEER, "1"], timeout_seconds=120)
    assert said.text.endswith("done")
    after = site.lab.beta.run(listing).text.splitlines()
    # Placeholders for its own names are all that it can make.
    new = [line.split("\t")[0] for line in after if line not in before.splitlines()]
    assert not [name for name in new if not name.startswith("back/zr/alpha/")], new
    assert set(before.splitlines()) <= set(after)
    assert resident_megabytes(site.lab.beta) < 200
    assert_in_sync(site)
