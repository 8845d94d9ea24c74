"""Questions at a real terminal: every answer, Ctrl-C, the end of input, and what is left then."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from . import Lab
from .keyboard import CTRL_C, CTRL_D, ENTER, Keyboard
from .node import Node
from .site import Site

pytestmark = pytest.mark.lab
ASKED = "Do this?"
LEFT = "interrupted; nothing was left half-done."
CODE = re.compile(r"\d{3}-\d{3}-\d{3}")
STATE = (
    "zfs list -Ho name,guid; zfs get -rH -s local,received all; zfs allow tank; "
    "find /etc/zr /var/lib/zr -type f | sort | xargs -r sha256sum; getent passwd zr zr-recv"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(name="prompts") as made:
        made.alpha.sh("zfs create tank/audio; echo first >/tank/audio/a.wav")
        yield made


def state_of(node: Node) -> str:
    return node.sh(STATE, check=False).text


def show_code(keyboard: Keyboard) -> str:
    (code,) = set(CODE.findall(keyboard.read_until("Waiting")))
    return str(code)


def test_init_interrupted_at_its_question_has_done_nothing(lab: Lab) -> None:
    alpha = lab.alpha
    before = state_of(alpha)
    words = ("zr", "init", "--target", "beta", "--no-start")
    for keys, code, last in ((CTRL_C, 130, LEFT), (CTRL_D, 130, LEFT), ("n" + ENTER, 0, "Nothing")):
        with Keyboard(alpha, *words) as keyboard:
            keyboard.read_until(ASKED)
            keyboard.type(keys)
            assert keyboard.end() == code
            assert last in keyboard.said
        assert state_of(alpha) == before
    with Keyboard(alpha, *words) as keyboard:
        keyboard.read_until(ASKED)
        keyboard.type("perhaps" + ENTER)
        keyboard.read_until(ASKED, times=2)
        assert state_of(alpha) == before
        keyboard.type(ENTER)
        assert keyboard.end() == 0
    with Keyboard(alpha, *words) as keyboard:
        assert keyboard.end() == 0
        assert "Nothing to do" in keyboard.said
    with Keyboard(lab.beta, "zr", "init", "--replicas", "back/zr", "--no-start") as keyboard:
        keyboard.read_until(ASKED)
        keyboard.type("y" + ENTER)
        assert keyboard.end() == 0


def test_a_code_that_is_waited_for_can_be_given_up(lab: Lab) -> None:
    before = state_of(lab.beta)
    for keys in (CTRL_C, CTRL_C * 3):
        with Keyboard(lab.beta, "zr", "pair") as keyboard:
            show_code(keyboard)
            keyboard.type(keys)
            assert keyboard.end() == 130
            assert LEFT in keyboard.said
    assert state_of(lab.beta) == before
    with Keyboard(lab.alpha, "zr", "pair", "10.77.0.2") as keyboard:
        keyboard.read_until("The code that is shown")
        keyboard.type("123456789" + ENTER)
        assert keyboard.end() == 4, "nobody waits there any more"


def test_a_code_is_asked_for_again_and_typing_can_be_given_up(lab: Lab) -> None:
    alpha, beta = lab.alpha, lab.beta
    before = state_of(alpha)
    with Keyboard(beta, "zr", "pair") as host:
        code = show_code(host)
        for keys in (CTRL_C, CTRL_D, "12" + CTRL_C):
            with Keyboard(alpha, "zr", "pair", "10.77.0.2") as guest:
                guest.read_until("The code that is shown")
                guest.type(keys)
                assert guest.end() == 130
                assert LEFT in guest.said
            assert state_of(alpha) == before
        wrong = f"{(int(code.replace('-', '')) + 1) % 10**9:09d}"
        with Keyboard(alpha, "zr", "pair", "10.77.0.2") as guest:
            guest.read_until("The code that is shown")
            guest.type("abc" + ENTER)
            guest.read_until("The code that is shown", times=2)
            guest.type(wrong + ENTER)
            guest.read_until("The code that is shown", times=3)
            assert state_of(alpha) == before
            guest.type(code + ENTER)
            assert guest.end() == 0
            assert "Paired with" in guest.said
        assert host.end() == 0


def test_what_is_watched_and_waited_for_ends_at_once(lab: Lab) -> None:
    """No question, but a terminal: lines that are drawn again and again."""
    site = Site(lab)
    for node in lab.nodes.values():  # ticks are journalled: the next test compares what is there
        node.sh("sed -i 's/every = .*/every = \"1h\"/' /etc/zr/policies/*.toml")
    # Slower than a finger: 60 MB take 15 s.
    lab.alpha.sh("printf '\\n[proof]\\nrate = \"4MiB\"\\n' >>/etc/zr/zr.toml")
    site.start()
    site.settle()
    for words, shown in (
        (("zr", "status", "--watch"), "LAST SNAPSHOT"),
        (("zr", "verify"), "comparing"),
    ):
        big = "head -c 60M /dev/urandom >/tank/audio/big; zr sync --timeout 150"
        lab.alpha.sh(big, timeout_seconds=200)
        with Keyboard(lab.alpha, *words) as keyboard:
            keyboard.read_until(shown)
            keyboard.type(CTRL_C)
            assert keyboard.end() == 130
            assert LEFT in keyboard.said


def test_reseed_does_nothing_without_a_yes(lab: Lab) -> None:
    replica = lab.beta.sh("zfs list -rHo name back/zr | grep '/audio$'").text
    before = state_of(lab.beta)
    words = ("zr", "reseed", "--although-healthy", replica)
    for keys, code in ((CTRL_C, 130), (CTRL_D, 130), (ENTER, 0), ("n" + ENTER, 0)):
        with Keyboard(lab.beta, *words) as keyboard:
            keyboard.read_until(ASKED)
            keyboard.type(keys)
            assert keyboard.end() == code
        assert state_of(lab.beta) == before
    with Keyboard(lab.beta, *words) as keyboard:
        keyboard.read_until(ASKED)
        keyboard.type("y" + ENTER)
        assert keyboard.end() == 0
    assert replica not in lab.beta.sh("zfs list -Ho name").text.split()
