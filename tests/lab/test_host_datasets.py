"""What a change of roles does to datasets, through the host worker's own unit: set up by `zr init`
where zr.toml has [roles], asked as user zr, tried with real streams of user zr-recv."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from . import Lab, Node
from .site import POOLS, Site
from .test_units import INSTALL

pytestmark = pytest.mark.lab
PYTHON = "/opt/zr/bin/python"
ASK = """
import json, sys
from zrepl_py.adapters.clock import MachineClock
from zrepl_py.adapters.worker.hosts import WorkerHost
from zrepl_py.core.codec import encode
from zrepl_py.errors import ZrError
pool, verb, args = json.loads(sys.argv[1])
host = WorkerHost({pool: f"/run/zr/host/{pool}.sock"}, MachineClock(), lambda _e, _f: None)
try:
    print(json.dumps(encode(getattr(host, verb)(*args))))
except ZrError as error:
    print(json.dumps({"reason": error.reason, "message": str(error)}))
"""
ROLES = """
[roles.station]
[[roles.station.services]]
unit = "player.service"
[[roles.station.services]]
name = "loose"
start = ["/usr/local/bin/loose", "start"]
stop = ["/usr/local/bin/loose", "stop"]
status = ["/usr/local/bin/loose", "status"]
"""
LOOSE = """#!/bin/sh
case $1 in
start) setsid sleep 5000 & echo $! >/run/loose.pid ;;
stop) kill $(cat /run/loose.pid); rm -f /run/loose.pid ;;
status) kill -0 $(cat /run/loose.pid 2>/dev/null) 2>/dev/null || exit 3 ;;
esac
"""
PLAYER = "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
RIGHT = "create,mount,receive:append"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="hostdatasets", init="systemd") as made:
        made.alpha.sh("zfs create tank/radio")
        site = Site(made)
        for node in made.nodes.values():
            node.sh("mkdir -p /etc/sysusers.d /etc/tmpfiles.d;" + INSTALL)
            node.put("/usr/local/bin/loose", LOOSE.encode())
            node.put("/etc/systemd/system/player.service", PLAYER.encode())
            node.sh("chmod 755 /usr/local/bin/loose; systemctl daemon-reload")
        site.init()
        site.protect(["tank/radio/**"], every="1h")
        for node in made.nodes.values():
            node.run(["zr", "init", "--yes"], timeout_seconds=120)
            assert not is_active(node, f"zr-host@{POOLS[node.name]}")
            set_roles(node, ROLES)
            said = node.run(["zr", "init", "--yes"], timeout_seconds=120).text
            assert f"zr-host@{POOLS[node.name]}.service" in said
        yield made


def set_roles(node: Node, text: str) -> None:
    settled = node.get("/etc/zr/zr.toml").decode().split("\n[roles")[0]
    node.put("/etc/zr/zr.toml", (settled + text).encode())


def is_active(node: Node, unit: str) -> bool:
    return node.run(["systemctl", "is-active", unit], check=False).text.strip() == "active"


def ask(node: Node, verb: str, *args: Any, user: str = "zr") -> Any:
    words = json.dumps([POOLS[node.name], verb, args])
    return json.loads(node.run([PYTHON, "-c", ASK, words], user=user, timeout_seconds=60).text)


def tree(node: Node, root: str) -> dict[str, Any]:
    return {found["name"]: found for found in ask(node, "observe_tree", root)}


def get(node: Node, dataset: str, name: str) -> str:
    return node.run(["zfs", "get", "-Ho", "value", name, dataset]).text.strip()


def receives(node: Node, stream: str, into: str) -> bool:
    """As the receive worker's user."""
    command = (
        f"{stream} | setpriv --reuid zr-recv --regid zr-recv --clear-groups zfs receive {into}"
    )
    return node.run(["sh", "-c", command], check=False).returncode == 0


def test_only_user_zr_comes_to_the_socket(lab: Lab) -> None:
    seen = lab.alpha.run(["stat", "-c", "%U %G %a", "/run/zr/host"]).text.strip()
    assert seen == "root zr 750"
    assert "tank" in ask(lab.alpha, "observe_objsets", "tank")
    assert ask(lab.alpha, "observe_tree", "tank", user="zr-recv")["reason"] == "worker-gone"
    assert ask(lab.alpha, "observe_tree", "tank", user="nobody")["reason"] == "worker-gone"


def test_a_service_outlives_a_restart_of_the_worker(lab: Lab) -> None:
    """One that a command started lives in the worker's control group."""
    assert ask(lab.alpha, "start_service", "station", "loose")["state"] == "running"
    assert ask(lab.alpha, "start_service", "station", "player")["state"] == "running"
    pid = lab.alpha.run(["cat", "/run/loose.pid"]).text.strip()
    assert "zr-host" in lab.alpha.run(["cat", f"/proc/{pid}/cgroup"]).text
    lab.alpha.run(["systemctl", "restart", "zr-host@tank"])
    lab.alpha.sh(
        "pid() { systemctl show -P MainPID zr-host@tank; }; old=$(pid)\n"
        "systemctl kill -s KILL --kill-whom main zr-host@tank\n"
        "until new=$(pid); [ $new != 0 ] && [ $new != $old ] &&\n"
        "systemctl -q is-active zr-host@tank; do sleep 0.1; done"
    )
    assert is_active(lab.alpha, "zr-host@tank")
    assert ask(lab.alpha, "observe_service", "station", "loose") == "running"
    assert ask(lab.alpha, "observe_service", "station", "player") == "running"
    assert ask(lab.alpha, "stop_service", "station", "loose")["state"] == "stopped"
    assert ask(lab.alpha, "stop_service", "station", "player")["state"] == "stopped"


def test_a_tree_is_set_aside_and_made_again(lab: Lab) -> None:
    """The steps of a rescue, each twice, and then it is opened and closed."""
    node = lab.alpha
    node.sh(
        "zfs create tank/old && zfs create tank/old/sub && zfs create -o canmount=off tank/aside"
    )
    node.sh("echo first >/tank/old/f; zfs snapshot -r tank/old@base; echo tail >>/tank/old/f")
    old = tree(node, "tank/old")
    guid, base = old["tank/old"]["guid"], int(get(node, "tank/old@base", "guid"))
    for dataset in ("tank/old/sub", "tank/old"):
        assert ask(node, "unmount", dataset, old[dataset]["guid"]) is None
    assert "tank/old" not in ask(node, "observe_objsets", "tank")
    assert (
        ask(node, "observe_written", {"tank/old": base, "tank/old/sub": 7})["tank/old/sub"] is None
    )
    assert ask(node, "observe_written", {"tank/old": base})["tank/old"] > 0
    for _ in range(2):
        taken = ask(node, "snapshot_tree", "tank/old", "zr-rescue_1")
        assert sorted(taken) == ["tank/old", "tank/old/sub"]
    assert ask(node, "observe_written", {"tank/old": taken["tank/old"]}) == {"tank/old": 0}
    for _ in range(2):
        assert ask(node, "rename", "tank/old", guid, "tank/aside/old") is None
    for _ in range(2):
        assert ask(node, "clone", "tank/aside/old@base", base, "tank/old") is None
    new = tree(node, "tank/old")["tank/old"]
    assert (new["origin"], new["readonly"], new["mounted"]) == ("tank/aside/old@base", True, False)
    for _ in range(2):
        assert ask(node, "promote", "tank/old", new["guid"]) is None
    assert tree(node, "tank/old")["tank/old"]["origin"] is None
    for _ in range(2):
        gate = {"canmount": "noauto", "readonly": "off"}
        assert ask(node, "set_gate", {"tank/old": new["guid"]}, gate) is None
        assert ask(node, "mount", {"tank/old": new["guid"]}) is None
    assert node.run(["cat", "/tank/old/f"]).text == "first"
    assert "tank/old" in ask(node, "observe_objsets", "tank")
    assert ask(node, "rename", "tank/old", guid, "tank/other")["reason"] == "not-that-dataset"
    assert ask(node, "rename", "back/old", guid, "back/other")["reason"] == "worker-missing"
    for _ in range(2):
        assert ask(node, "unmount", "tank/old", new["guid"]) is None
    assert ask(node, "set_gate", {"tank/old": new["guid"]}, {"readonly": "on"}) is None
    assert get(node, "tank/old", "readonly") == "on"


def test_the_founder_may_receive_into_its_own_datasets_and_then_not(lab: Lab) -> None:
    """Increments, and a new dataset below, by a user who may nothing else."""
    node = lab.alpha
    node.sh("zfs create -o mountpoint=none tank/from")
    node.sh("zfs snapshot tank/from@1; zfs send tank/from@1 | zfs receive -u tank/radio/one")
    node.sh("zfs snapshot tank/from@2; zfs snapshot tank/from@3; zfs snapshot tank/from@4")
    assert not receives(node, "zfs send -i @1 tank/from@2", "-u tank/radio/one")
    for _ in range(2):
        assert ask(node, "allow_receive", "tank/radio") is None
        assert ask(node, "observe_receive_right", "tank/radio") is True
    assert ask(node, "observe_receive_right", "tank") is False
    assert receives(node, "zfs send -i @1 tank/from@2", "-u tank/radio/one")
    assert receives(node, "zfs send tank/from@1", "-u tank/radio/two")
    assert not receives(node, "zfs send tank/from@1", "-u tank/elsewhere")
    for _ in range(2):
        assert ask(node, "forbid_receive", "tank/radio") is None
        assert ask(node, "observe_receive_right", "tank/radio") is False
    assert not receives(node, "zfs send -i @2 tank/from@3", "-u tank/radio/one")
    assert "zr-recv" not in node.run(["zfs", "allow", "tank/radio/one"]).text


def test_what_is_not_there_yet_is_made_by_its_first_stream(lab: Lab) -> None:
    """A new member on the other node: what is above it has the right for that alone."""
    node = lab.alpha
    node.sh("zfs create -o mountpoint=none tank/first; zfs create -o mountpoint=none tank/svc")
    node.sh("zfs snapshot tank/first@1; zfs snapshot tank/first@2; zfs snapshot tank/first@3")
    node.sh("zfs send tank/first@1 | zfs receive -u tank/svc/beside")
    new = "tank/svc/new"
    assert not receives(node, "zfs send tank/first@1", f"-u {new}")
    for _ in range(2):
        assert ask(node, "allow_receive", new) is None
        assert ask(node, "observe_receive_right", new) is True
    assert not receives(node, "zfs send -i @1 tank/first@2", "-u tank/svc/beside")
    assert not receives(node, "zfs send tank/first@1", "-u tank/svc/beside/below")
    assert receives(node, "zfs send tank/first@1", f"-u {new}")
    assert not receives(node, "zfs send -i @1 tank/first@2", f"-u {new}")
    assert ask(node, "allow_receive", new) is None
    assert receives(node, "zfs send -i @1 tank/first@2", f"-u {new}")
    assert not receives(node, "zfs send tank/first@1", "-u tank/svc/more")
    assert ask(node, "forbid_receive", new) is None
    assert not receives(node, "zfs send -i @2 tank/first@3", f"-u {new}")
    assert "zr-recv" not in node.run(["zfs", "allow", "tank/svc"]).text
    for below in ("tank/none", "tank/none/x"):
        assert ask(node, "allow_receive", below)["reason"] == "dataset-missing"
    assert ask(node, "observe_receive_right", "tank") is False


def test_one_group_is_closed_while_others_go_on(lab: Lab) -> None:
    """`zr init` gave the right at back/zr: it is moved beside the way to the group."""
    node = lab.beta
    node.sh("zfs create -o mountpoint=none back/from")
    node.sh("for n in 1 2 3; do zfs snapshot back/from@$n; done")
    node.sh("zfs create -p back/zr/alpha/tank")
    assert ask(node, "observe_receive_right", "back/zr/alpha/tank") is True
    for name in ("song", "mail"):
        assert receives(node, "zfs send back/from@1", f"-u back/zr/alpha/tank/{name}")
    closed, beside = "back/zr/alpha/tank/song", "back/zr/alpha/tank/mail"
    for _ in range(2):
        assert ask(node, "forbid_receive", closed) is None
    assert ask(node, "observe_receive_right", closed) is False
    assert ask(node, "observe_receive_right", beside) is True
    assert not receives(node, "zfs send -i @1 back/from@2", f"-u {closed}")
    assert not receives(node, "zfs send back/from@1", f"-u {closed}/below")
    assert receives(node, "zfs send -i @1 back/from@2", f"-u {beside}")
    assert receives(node, "zfs send back/from@1", "-u back/zr/alpha/tank/new")
    assert receives(node, "zfs send -i @1 back/from@2", "-u back/zr/alpha/tank/new")
    assert ask(node, "allow_receive", closed) is None
    assert receives(node, "zfs send -i @1 back/from@2", f"-u {closed}")
    assert receives(node, "zfs send back/from@1", f"-u {closed}/below")
    assert ask(node, "forbid_receive", closed) is None
    assert not receives(node, "zfs send -i @1 back/from@2", f"-u {closed}/below")
    assert receives(node, "zfs send -i @2 back/from@3", f"-u {beside}")
    steps = json.loads(node.run(["zr", "init", "--dry-run", "--json"]).text)["steps"]
    assert steps == []


def test_doctor_warns_of_what_starts_by_itself(lab: Lab) -> None:
    node = lab.alpha
    node.sh("systemctl enable player.service; zfs set zr:epoch=2-ab tank/radio")
    said = json.loads(node.run(["zr", "doctor", "--json"], check=False).text)["findings"]
    found = {f["id"]: f for f in said}
    assert found["service-at-boot"]["remedy"] == "systemctl disable player.service"
    assert "tank/radio" in found["mounted-at-boot"]["sentence"]
    assert not {"unit-down", "unit-disabled", "unit-missing"} & found.keys()
    node.sh("zfs list -rHo name tank/radio | xargs zfs set canmount=noauto")
    node.sh("systemctl disable player.service; systemctl disable --now zr-host@tank")
    said = json.loads(node.run(["zr", "doctor", "--json"], check=False).text)["findings"]
    assert not {"service-at-boot", "mounted-at-boot"} & {f["id"] for f in said}
    words = {(f["id"], f["subject"]) for f in said}
    assert ("unit-disabled", "zr-host@tank.service") in words
    node.run(["zr", "init", "--yes"], timeout_seconds=120)
    assert is_active(node, "zr-host@tank")


def test_after_a_boot_it_is_there_before_the_daemon(lab: Lab) -> None:
    for node in lab.nodes.values():
        node.run(["sync"])  # systemctl does not
    lab.crash()
    lab.boot()
    for node in lab.nodes.values():
        units = ["zr.service", f"zr-host@{POOLS[node.name]}.service"]
        # The daemon answers a moment before systemd calls it active.
        node.sh(
            f"until zr status && systemctl -q is-active {units[0]} && systemctl -q is-active "
            f"{units[1]}; do sleep 0.2; done >/dev/null 2>&1",
            timeout_seconds=120,
        )
        shown = node.run(["systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", *units])
        daemon, worker = (int(word) for word in shown.text.split())
        assert 0 < worker < daemon
        assert ask(node, "observe_objsets", POOLS[node.name])


def test_started_by_hand_it_has_a_host_worker_too(lab: Lab) -> None:
    node = lab.alpha
    node.sh("systemctl stop zr 'zr-zfs@*' 'zr-proof@*' 'zr-receive@*' 'zr-host@*'")
    daemon = node.start(["zr", "daemon"])
    node.sh("while ! test -S /run/zr/host/tank.sock; do sleep 0.1; done")
    while node.run(["zr", "status"], check=False).returncode:
        assert daemon.poll() is None
    assert ask(node, "observe_receive_right", "tank/radio") is False
    assert ask(node, "observe_service", "station", "loose") == "stopped"
    daemon.signal(15)
    daemon.wait(timeout_seconds=60)
    assert node.run(["test", "-S", "/run/zr/host/tank.sock"], check=False).returncode


def test_without_roles_there_is_no_such_worker(lab: Lab) -> None:
    node = lab.beta
    set_roles(node, "")
    node.run(["zr", "init", "--yes"], timeout_seconds=120)
    assert not is_active(node, "zr-host@back")
    assert node.run(["systemctl", "is-enabled", "zr-host@back"], check=False).returncode
