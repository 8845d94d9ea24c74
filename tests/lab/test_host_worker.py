"""The host worker as it runs: asked over its socket, it obeys zr.toml, systemd's units start and
stop, and an address moves between two nodes, never to both (scenario 32)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, Node

pytestmark = pytest.mark.lab
PYTHON = "/opt/zr/bin/python"
SOCKET = "/run/zr-host.sock"
ASK = """
import json, sys
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker.hosts import WorkerHost
from zrepl_py.core.codec import encode
from zrepl_py.errors import ZrError
verb, socket, args = json.loads(sys.argv[1])
pool = socket.rpartition("@")[0]
host = WorkerHost({pool: socket.rpartition("@")[2]}, MachineClock(), lambda _e, _f: None)
try:
    print(json.dumps(encode(getattr(host, verb)(*args))))
except ZrError as error:
    print(json.dumps({"reason": error.reason, "message": str(error)}))
"""
UNITS = {
    "steady": "[Service]\nExecStart=sleep infinity\nRestart=always\nRestartSec=0\n",
    "stubborn": (
        "[Service]\nTimeoutStopSec=600\n"
        "ExecStart=/bin/sh -c "
        "'trap \"\" TERM; touch /run/heeds-nothing; while :; do sleep 1; done'\n"
    ),
    "broken": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/false\n",
}
SETTINGS = """format = 1
[node]
name = "{node}"
pools = ["{pool}"]
[roles.radio]
address = "{ip}"
interface = "vec0"
[[roles.radio.services]]
unit = "steady.service"
[[roles.radio.services]]
unit = "stubborn.service"
stop_timeout = "2s"
[[roles.radio.services]]
unit = "broken.service"
[[roles.radio.services]]
unit = "nowhere.service"
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="hostworker", init="systemd") as made:
        for node in made.nodes.values():
            for name, text in UNITS.items():
                node.put(f"/etc/systemd/system/{name}.service", text.encode())
            node.sh("systemctl daemon-reload")
            configure(node, "10.77.0.50")
            argv = ["host", "--pool", node.pool, "--socket", SOCKET, "--config", "/etc/zr.toml"]
            node.start([PYTHON, "-m", "zrepl_py.daemon.worker", *argv])
            node.sh(f"while ! test -S {SOCKET}; do sleep 0.1; done")
        yield made


def configure(node: Node, ip: str) -> None:
    text = SETTINGS.format(node=node.name, pool=node.pool, ip=ip)
    node.put("/etc/zr.toml", text.encode())


def ask(node: Node, verb: str, *args: Any) -> Any:
    words = json.dumps([verb, f"{node.pool}@{SOCKET}", args])
    return json.loads(node.run([PYTHON, "-c", ASK, words], timeout_seconds=60).text)


def is_active(node: Node, unit: str) -> str:
    return node.run(["systemctl", "is-active", unit], check=False).text


def test_a_unit_starts_and_stays_stopped(lab: Lab) -> None:
    """Although its own settings would start it again whenever it ends."""
    assert ask(lab.alpha, "observe_service", "radio", "steady") == "stopped"
    assert ask(lab.alpha, "start_service", "radio", "steady")["state"] == "running"
    assert is_active(lab.alpha, "steady") == "active"
    outcome = ask(lab.alpha, "stop_service", "radio", "steady")
    assert (outcome["state"], outcome["code"]) == ("stopped", 0)
    lab.alpha.sh("sleep 1")
    assert is_active(lab.alpha, "steady") == "inactive"


def test_a_unit_that_does_not_stop_is_killed_at_the_limit(lab: Lab) -> None:
    assert ask(lab.alpha, "start_service", "radio", "stubborn")["state"] == "running"
    lab.alpha.sh("until test -e /run/heeds-nothing; do sleep 0.1; done")
    outcome = ask(lab.alpha, "stop_service", "radio", "stubborn")
    assert outcome["code"] is None
    assert outcome["state"] in ("failed", "stopped")
    assert 2 <= outcome["seconds"] < 60
    assert is_active(lab.alpha, "stubborn") in ("failed", "inactive")


def test_a_unit_that_fails_says_so(lab: Lab) -> None:
    outcome = ask(lab.alpha, "start_service", "radio", "broken")
    assert (outcome["state"], outcome["code"]) == ("failed", 1)
    assert "broken.service" in outcome["said"]


def test_what_is_not_there_is_told(lab: Lab) -> None:
    assert ask(lab.alpha, "start_service", "radio", "nowhere")["reason"] == "service-missing"
    assert ask(lab.alpha, "stop_service", "radio", "nowhere")["state"] == "stopped"
    assert ask(lab.alpha, "start_service", "radio", "sshd")["reason"] == "service-missing"
    assert ask(lab.alpha, "observe_mounts", ["back/x"])["reason"] == "worker-missing"


def test_only_what_root_wrote_is_obeyed(lab: Lab) -> None:
    lab.alpha.sh("chmod o+w /etc/zr.toml")
    assert ask(lab.alpha, "start_service", "radio", "steady")["reason"] == "not-trusted"
    lab.alpha.sh("chmod o-w /etc/zr.toml")


def test_it_does_not_start_in_a_namespace_of_its_own(lab: Lab) -> None:
    argv = ["host", "--pool", "tank", "--socket", "/run/other.sock"]
    argv = ["unshare", "-m", PYTHON, "-m", "zrepl_py.daemon.worker", *argv]
    done = lab.alpha.run(argv, check=False, timeout_seconds=60)
    assert done.returncode == 5
    assert b"[private-namespace]" in done.stderr


def test_who_may_not_ask_is_hung_up_on(lab: Lab) -> None:
    words = json.dumps(["observe_address", f"tank@{SOCKET}", ["radio"]])
    said = lab.alpha.run([PYTHON, "-c", ASK, words], user="zr", timeout_seconds=60)
    assert json.loads(said.text)["reason"] == "worker-gone"


@pytest.mark.parametrize("ip", ["10.77.0.50", "fd77::50"])
def test_32_an_address_is_never_at_both(lab: Lab, ip: str) -> None:
    """It moves only after its removal was seen; the third machine on the link follows at once."""
    alpha, beta = lab.alpha, lab.beta
    for node in (alpha, beta):
        configure(node, ip)
    assert ask(alpha, "add_address", "radio")["state"] == "here"
    assert ask(alpha, "announce_address", "radio") is True
    refused = ask(beta, "add_address", "radio")
    assert refused["state"] == "absent"
    assert refused["other"] in alpha.sh("cat /sys/class/net/vec0/address").text
    assert ask(beta, "announce_address", "radio") is False
    assert ask(alpha, "remove_address", "radio")["state"] == "absent"
    assert ip not in alpha.sh("ip address").text
    assert ask(beta, "add_address", "radio")["state"] == "here"
    assert ask(beta, "announce_address", "radio") is True
    if ":" not in ip:
        alpha.run(["ping", "-c1", "-W10", ip])
        assert beta.sh("cat /sys/class/net/vec0/address").text in alpha.sh("ip neigh").text
    assert ask(beta, "remove_address", "radio")["state"] == "absent"


def test_a_cut_machine_finds_nobody(lab: Lab) -> None:
    """Silence is no proof: a probe is no fence, and says so in its contract."""
    for node in (lab.alpha, lab.beta):
        configure(node, "10.77.0.51")
    assert ask(lab.alpha, "add_address", "radio")["state"] == "here"
    lab.cut()
    try:
        assert ask(lab.beta, "add_address", "radio")["state"] == "here"
    finally:
        lab.heal()
        for node in (lab.alpha, lab.beta):
            assert ask(node, "remove_address", "radio")["state"] == "absent"
