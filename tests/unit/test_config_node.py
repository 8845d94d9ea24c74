"""zr.toml: one node's own settings."""

from pathlib import Path

import pytest

from zrepl_py.config.node import load_node_config
from zrepl_py.config.values import parse_duration, parse_endpoint
from zrepl_py.errors import Standing
from zrepl_py.model.config import Endpoint, LinkLimits, PeerConfig, Workers

FULL = """format = 1
[node]
name = "alpha"
pools = ["tank", "back"]
listen = "[fd00::1]:7676"
replicas = "back/zr"
rescan = "10m"
[peers.beta]
address = "10.0.0.2:7676"
certificate = "/etc/zr/beta.pem"
[paths]
run = "/run/other"
[link]
streams = 8
stall_timeout = "30s"
[workers.back]
receive = "/run/back-receive"
"""
SMALL = """format = 1
[node]
name = "alpha"
pools = ["tank"]
"""


def write(folder: Path, text: str) -> str:
    path = folder / "zr.toml"
    path.write_text(text)
    return str(path)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    config = load_node_config(write(tmp_path, FULL))
    assert config.listen == Endpoint("fd00::1", 7676)
    assert str(config.listen) == "[fd00::1]:7676"
    assert config.replica_parent == "back/zr"
    assert config.rescan_seconds == 600
    assert config.peers == {
        "beta": PeerConfig("beta", Endpoint("10.0.0.2", 7676), "/etc/zr/beta.pem")
    }
    assert config.link == LinkLimits(8, 10, 30)
    assert config.workers == {
        "tank": Workers(
            "/run/other/zfs/tank.sock",
            "/run/other/receive/tank.sock",
            "/run/other/proof/tank.sock",
            "/run/other/host/tank.sock",
        ),
        "back": Workers(
            "/run/other/zfs/back.sock",
            "/run/back-receive",
            "/run/other/proof/back.sock",
            "/run/other/host/back.sock",
        ),
    }


def test_little_is_needed(tmp_path: Path) -> None:
    config = load_node_config(write(tmp_path, SMALL))
    assert (config.listen, config.replica_parent, config.peers) == (None, None, {})
    assert config.state_dir == "/var/lib/zr"
    assert config.policy_dir == "/etc/zr/policies"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "alpha"', 'name = "a/b"', "node.name: 'a/b' must be of"),
        ('["tank"]', "[]", "node.pools: names no pool"),
        ('["tank"]', '["tank/a"]', "node.pools: 'tank/a' is not a pool's name"),
        ("pools", 'listen = "7676"\npools', "node.listen: '7676' is not an address"),
        ("pools", 'replicas = "back/zr"\npools', "is in none of the pools of this node"),
        ("pools", 'replicas = "tank"\npools', "'tank' is not a dataset below a pool"),
        ("[node]", "[peers.alpha]\naddress = 'a:1'\n[node]", "peers.alpha: is this node itself"),
        ("[node]", "[peers.beta]\n[node]", "peers.beta.address: is missing"),
        ("[node]", "[peers.beta]\naddres = 'b:1'\n[node]", "did you mean address"),
        ("[node]", "[paths]\nstate = 'lib'\n[node]", "'lib' is not an absolute path"),
        ("[node]", "[workers.back]\n[node]", "workers.back: is none of the pools"),
        ("[node]", "[link]\nstreams = 0\n[node]", "link.streams: expected a whole number from 1"),
        ("[node]", "[Node]", "node: the table is missing"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(Standing) as caught:
        load_node_config(write(tmp_path, SMALL.replace(old, new, 1)))
    assert caught.value.reason == "config"
    assert said in caught.value.message


def test_a_missing_file_is_said() -> None:
    with pytest.raises(Standing, match="cannot be read: No such file"):
        load_node_config("/nowhere/zr.toml")


def test_words_for_numbers() -> None:
    assert [parse_duration(t) for t in ("5s", "1m", "2h", "7d", "4w")] == [
        5, 60, 7200, 604_800, 2_419_200,
    ]  # fmt: skip
    for wrong in ("host", "host:0", "host:70000", "fd00::1:80", "ho st:1"):
        with pytest.raises(ValueError, match="is not an address"):
            parse_endpoint(wrong)
