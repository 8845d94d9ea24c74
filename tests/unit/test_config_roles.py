"""[roles.GROUP] of zr.toml, and who may write what root obeys."""

import os
from pathlib import Path

import pytest

from zrepl_py.adapters.hosting.settings import HostSettings, check_only_root_writes
from zrepl_py.config.node import load_node_config
from zrepl_py.errors import Standing
from zrepl_py.model.config import Endpoint
from zrepl_py.model.host import Address, Hosting, Service, ServiceKind

HEAD = """format = 1
[node]
name = "alpha"
pools = ["tank"]
health = "0.0.0.0:8008"
"""
FULL = (
    HEAD
    + """
[roles.radio]
address = "10.0.0.50"
interface = "eth0"

[[roles.radio.services]]
unit = "postgresql.service"
stop_timeout = "5m"

[[roles.radio.services]]
compose = "/srv/radio/compose.yaml"

[[roles.radio.services]]
name = "player"
start = ["/bin/sh", "-c", "-c"]
stop = ["/usr/bin/true"]
status = ["/usr/bin/false"]
start_timeout = "5s"

[roles.archive]
address = "fd00::50/64"
interface = "eth1"
"""
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files must belong to root")


def write(folder: Path, text: str) -> str:
    path = folder / "zr.toml"
    path.write_text(text)
    return str(path)


def problems(folder: Path, text: str) -> str:
    with pytest.raises(Standing) as caught:
        load_node_config(write(folder, HEAD + text))
    assert caught.value.reason == "config"
    return caught.value.message


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    config = load_node_config(write(tmp_path, FULL))
    assert config.health == Endpoint("0.0.0.0", 8008)
    unit = Service("postgresql", ServiceKind.UNIT, "postgresql.service", stop_seconds=300)
    compose = Service("radio", ServiceKind.COMPOSE, "/srv/radio/compose.yaml")
    player = Service(
        "player",
        ServiceKind.COMMAND,
        start=("/bin/sh", "-c", "-c"),
        stop=("/usr/bin/true",),
        status=("/usr/bin/false",),
        start_seconds=5,
    )
    assert config.roles == {
        "radio": Hosting("radio", (unit, compose, player), Address("10.0.0.50", 32, "eth0")),
        "archive": Hosting("archive", (), Address("fd00::50", 64, "eth1")),
    }


def test_nothing_need_be_said(tmp_path: Path) -> None:
    config = load_node_config(write(tmp_path, HEAD.replace('health = "0.0.0.0:8008"\n', "")))
    assert config.health is None
    assert config.roles == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adress = '10.0.0.1'", "roles.radio.adress: this key is not known; did you mean address"),
        ("address = '10.0.0.1'", "roles.radio.interface: is missing"),
        ("interface = 'eth0'", "interface: has no address beside it"),
        ("interface = 'eth 0'\naddress = '10.0.0.1'", "'eth 0' is not the name of an interface"),
        ("interface = 'e'\naddress = 'beta'", "'beta' is not an address like 10.0.0.50"),
        ("interface = 'e'\naddress = '127.0.0.1'", "cannot move between machines"),
        ("[[roles.radio.services]]", "services[1].unit: expected one of unit, compose, or start"),
        (
            "[[roles.radio.services]]\nunit = 'a'\ncompose = '/b'",
            "line 9: roles.radio.services[1].compose: expected one of unit, compose, or start with "
            "stop and status; found unit and compose",
        ),
        ("[[roles.radio.services]]\nunit = '-a'", "'-a' is not a unit"),
        ("[[roles.radio.services]]\ncompose = 'a/b'", "not an absolute path"),
        (
            "[[roles.radio.services]]\nunit = 'a'\n[[roles.radio.services]]\nunut = 'b'",
            "line 10: roles.radio.services[2].unut: this key is not known; did you mean unit",
        ),
        ("[[roles.radio.services]]\nstart = ['/a']\nstop = ['/a']", "services[1].status: is missi"),
        ("[[roles.radio.services]]\nstart = '/a'", "expected a list like"),
        ("[[roles.radio.services]]\nstart = ['a']", "begin with the absolute path of a program"),
        ("[[roles.radio.services]]\nstart = []", "begin with the absolute path of a program"),
        (
            "[[roles.radio.services]]\nunit = 'a'\nstop_timeout = '1h'",
            "line 9: roles.radio.services[1].stop_timeout: '1h' is longer than 10m",
        ),
        (
            "[[roles.radio.services]]\nunit = 'a'\n[[roles.radio.services]]\nunit = 'a.service'",
            "has two services named 'a'",
        ),
        ("services = 'a'", "expected tables [[services]]"),
        ("services = ['a']", "expected tables [[services]]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in problems(tmp_path, f"[roles.radio]\n{text}\n")


def test_a_group_has_a_policys_name(tmp_path: Path) -> None:
    assert "must be a policy's name" in problems(tmp_path, '[roles."a/b"]\n')


@needs_root
def test_root_obeys_only_what_root_wrote(tmp_path: Path) -> None:
    path = write(tmp_path, FULL.replace('compose = "/srv/radio/compose.yaml"', 'unit = "x"'))
    settings = HostSettings(path)
    assert settings("radio") is not None
    assert settings("nobody") is None
    os.chmod(path, 0o664)
    with pytest.raises(Standing, match=r"zr\.toml can be written by others than root") as caught:
        settings("radio")
    assert caught.value.reason == "not-trusted"


@needs_root
@pytest.mark.parametrize("wrong", ["owner", "folder", "mode", "link", "missing"])
def test_what_root_executes_is_roots_with_all_above_it(tmp_path: Path, wrong: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir(0o755)
    program = folder / "player"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    check_only_root_writes(str(program))
    if wrong == "owner":
        os.chown(program, 1234, 0)
    elif wrong == "folder":
        folder.chmod(0o777)
    elif wrong == "mode":
        program.chmod(0o757)
    elif wrong == "missing":
        program.unlink()
    else:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_text("#!/bin/sh\n")
        elsewhere.chmod(0o777)
        program.unlink()
        program.symlink_to(elsewhere)
    with pytest.raises(Standing) as caught:
        check_only_root_writes(str(program))
    assert caught.value.reason == "not-trusted"
