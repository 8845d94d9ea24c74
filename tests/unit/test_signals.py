"""Signals as a descriptor: none is lost, whichever thread and whichever moment it hits."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from zrepl_py.adapters.signals import Wake


@pytest.fixture
def woken_by_usr2() -> Iterator[Wake]:
    before = signal.getsignal(signal.SIGUSR2)
    wake = Wake()
    wake.set_by(signal.SIGUSR2)
    yield wake
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR2, before)


def test_a_signal_that_another_thread_gets_wakes_the_waiting_one(woken_by_usr2: Wake) -> None:
    """The same as one that arrives between the last bytecode and poll(2): Python's own handler
    cannot run, because the main thread is not interrupted. (A worker that had just answered, and
    got SIGTERM then, waited for its next caller.)"""
    ready = threading.Event()
    done = threading.Event()

    def hit_oneself() -> None:
        ready.wait(5)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
        done.wait(5)

    thread = threading.Thread(target=hit_oneself)
    thread.start()
    threading.Timer(0.1, ready.set).start()
    woken = woken_by_usr2.wait(3)
    done.set()
    thread.join()
    assert woken
    assert woken_by_usr2.take() == {signal.SIGUSR2}
    assert not woken_by_usr2.wait(0)


def test_a_signal_before_the_wait_counts(woken_by_usr2: Wake) -> None:
    os.kill(os.getpid(), signal.SIGUSR2)
    assert woken_by_usr2.wait(0)
    assert woken_by_usr2.wait(0)  # it stays so
    assert woken_by_usr2.take() == {signal.SIGUSR2}
    assert woken_by_usr2.take() == frozenset()


def test_set_from_a_thread_and_very_often() -> None:
    wake = Wake()
    assert not wake.wait(0)
    for _ in range(70_000):  # more than a pipe holds
        wake.set()
    assert wake.wait(0)
    assert wake.take() == {0}
