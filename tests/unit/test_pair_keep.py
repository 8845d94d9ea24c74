"""What a node keeps of another one: nothing a person wrote is lost, no pin is replaced unasked."""

import tomllib
from pathlib import Path

import pytest

from zrepl_py.adapters.peer.certificates import Identity, Pin, ensure_identity
from zrepl_py.cli.pair_keep import (
    ensure_peer,
    forget_peer,
    judge_pin,
    policies_for,
    store_pin,
    take_policies,
)
from zrepl_py.config.node import load_node_config
from zrepl_py.config.peers_text import add_peer, remove_peer
from zrepl_py.config.policies import load_policies
from zrepl_py.config.starting import render_config, render_policy
from zrepl_py.errors import Refused
from zrepl_py.model.config import NodeConfig
from zrepl_py.model.site import Node

UUID = "57902b43-a3d6-437a-8682-be9ca44894a9"
OTHER = "11111111-a3d6-437a-8682-be9ca44894a9"
COMMENTED = """# mine
format = 1   # one

[node]
name = "alpha"  # [peers.beta] is not here
pools = ["tank"]

[peers.gamma] # the third
address = "10.0.0.3:7676"

[link]
streams = 8
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    text = render_config("alpha", ["tank"], "0.0.0.0:7676", None, {})
    text += f'\n[paths]\npolicies = "{tmp_path}/policies"\n'
    (tmp_path / "policies").mkdir()
    (tmp_path / "zr.toml").write_text(text)
    return str(tmp_path / "zr.toml")


def make_pin(folder: Path, name: str, uuid: str = UUID) -> Pin:
    folder.mkdir(exist_ok=True)
    return ensure_identity(Identity(folder / "c.pem", folder / "k.key"), Node(uuid, name))


def with_peer(config: str, name: str) -> NodeConfig:
    """As the daemon would read it, with the certificate beside zr.toml."""
    if ensure_peer(config, name, "10.0.0.2:7676"):
        text = Path(config).read_text()
        where = Path(config).parent / "peers" / f"{name}.pem"
        Path(config).write_text(text + f'certificate = "{where}"\n')
    return load_node_config(config)


def test_a_peer_comes_and_goes_and_nothing_else_changes() -> None:
    for name in ("beta", "b.e:ta"):
        added = add_peer(COMMENTED, name, "[fd00::2]:7676")
        assert tomllib.loads(added)["peers"][name] == {"address": "[fd00::2]:7676"}
        assert added.startswith(COMMENTED)
        assert add_peer(added, name, "10.0.0.9:1") == added
        assert remove_peer(added, name).strip() == COMMENTED.strip()
    without = remove_peer(COMMENTED, "gamma")
    assert tomllib.loads(without)["link"] == {"streams": 8}
    assert "gamma" not in tomllib.loads(without).get("peers", {})
    assert remove_peer(COMMENTED, "delta") == COMMENTED


def test_what_zr_did_not_write_is_left_to_a_person() -> None:
    inline = 'format = 1\npeers = { beta = { address = "10.0.0.2:7676" } }\n'
    with pytest.raises(Refused):
        remove_peer(inline, "beta")
    with pytest.raises(Refused):
        add_peer(inline, "gamma", "10.0.0.3:7676")


def test_a_certificate_is_replaced_only_when_said(config: str, tmp_path: Path) -> None:
    node = with_peer(config, "beta")
    first, second = make_pin(tmp_path / "1", "beta"), make_pin(tmp_path / "2", "beta", OTHER)
    judge_pin(config, node, first, replace=False)
    assert store_pin(config, node, first)
    assert not store_pin(config, node, first)
    judge_pin(config, node, first, replace=False)
    with pytest.raises(Refused):
        judge_pin(config, node, second, replace=False)
    judge_pin(config, node, second, replace=True)
    with pytest.raises(Refused):  # the same node under another name
        judge_pin(config, node, make_pin(tmp_path / "3", "gamma"), replace=True)


def test_unpairing_forgets_certificate_and_address(config: str, tmp_path: Path) -> None:
    before = Path(config).read_text()
    node = with_peer(config, "beta")
    store_pin(config, node, make_pin(tmp_path / "1", "beta"))
    assert len(forget_peer(config, node, "beta")) == 2
    assert load_node_config(config).peers == {}
    assert Path(config).read_text().strip() == before.strip()
    assert not (tmp_path / "peers" / "beta.pem").exists()


def starting(source: str, target: str, pool: str) -> str:
    return render_policy(source, target, [pool], {f"{pool}/audio": "1G"}, "Europe/Berlin")


def test_policies_of_a_source_are_taken_over_once(config: str) -> None:
    node = load_node_config(config)
    texts = {"main": starting("beta", "alpha", "back")}
    assert len(take_policies(node, "beta", texts)) == 1
    (taken,) = load_policies(node.policy_dir)
    assert (taken.source, taken.targets, taken.every_seconds) == ("beta", ("alpha",), 60)
    assert take_policies(node, "beta", texts) == []


def test_what_does_not_fit_is_not_taken_over(config: str) -> None:
    node = load_node_config(config)
    for text in (
        "nonsense",
        starting("gamma", "alpha", "back"),  # not the sender's own
        starting("beta", "gamma", "back"),  # not for us
        starting("beta", "alpha", "back").replace('"main"', '"../../etc/passwd"'),
        starting("beta", "alpha", "back").replace('"main"', '".hidden"'),
    ):
        said = take_policies(node, "beta", {"x": text})
        assert ["not taken over" in sentence for sentence in said] == [True], text
    assert load_policies(node.policy_dir) == ()


def test_policies_that_a_target_gets(config: str) -> None:
    node = load_node_config(config)
    Path(node.policy_dir, "a.toml").write_text(starting("alpha", "beta", "tank"))
    Path(node.policy_dir, "b.toml").write_text(
        starting("beta", "alpha", "back").replace('"main"', '"theirs"')
    )
    assert list(policies_for(node, "beta")) == ["main"]
    assert policies_for(node, "gamma") == {}


def test_the_starting_policy_is_right_for_any_name(tmp_path: Path) -> None:
    found = {f"tank/{i}": "1G" for i in range(100)}
    text = render_policy("al.pha", "be.ta", ["tank", "other pool"], found, "UTC")
    (tmp_path / "main.toml").write_text(text)
    (policy,) = load_policies(str(tmp_path))
    assert policy.selection.include == ("tank/**", "other pool/**")
    assert set(policy.keep) == {"al.pha", "be.ta"}
    assert "and 60 more" in text
