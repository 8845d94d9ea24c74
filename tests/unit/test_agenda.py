"""Agenda: a key never runs twice at a time, and no request is lost."""

import threading
from collections.abc import Iterator

import pytest

from zrepl_py.adapters.clock import MachineClock
from zrepl_py.daemon.agenda import Agenda

DEADLINE_SECONDS = 10.0


class Failures(list[BaseException]):
    pass


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
def agenda(failures: Failures) -> Iterator[Agenda]:
    made = Agenda(MachineClock(), 4, failures.append)
    yield made
    assert made.stop(DEADLINE_SECONDS)


def test_asking_while_it_runs_lets_it_run_once_more_and_never_twice_at_a_time(
    agenda: Agenda,
) -> None:
    started, go_on, done = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)
    running: list[int] = []
    most: list[int] = []

    def job() -> None:
        running.append(1)
        most.append(len(running))
        started.release()
        assert go_on.acquire(timeout=DEADLINE_SECONDS)
        running.pop()
        done.release()

    agenda.ask("key", job)
    assert started.acquire(timeout=DEADLINE_SECONDS)
    for _ in range(5):
        agenda.ask("key", job)
    go_on.release()
    assert started.acquire(timeout=DEADLINE_SECONDS)
    go_on.release()
    assert done.acquire(timeout=DEADLINE_SECONDS)
    assert done.acquire(timeout=DEADLINE_SECONDS)
    assert not started.acquire(timeout=0.2), "five requests while it ran are one more run"
    assert max(most) == 1


def test_a_waiting_job_is_moved_earlier_never_later(agenda: Agenda) -> None:
    done = threading.Event()
    agenda.ask("key", done.set, after_seconds=3600)
    agenda.ask("key", done.set)
    assert done.wait(DEADLINE_SECONDS)
    done.clear()
    agenda.ask("key", done.set)
    agenda.ask("key", done.set, after_seconds=3600)
    assert done.wait(DEADLINE_SECONDS)


def test_one_that_hangs_does_not_hold_the_others(agenda: Agenda) -> None:
    let_go, done = threading.Event(), threading.Event()
    agenda.ask("hangs", lambda: print(let_go.wait(DEADLINE_SECONDS)))
    agenda.ask("other", done.set)
    assert done.wait(DEADLINE_SECONDS)
    let_go.set()


def test_an_error_is_handed_over_and_the_thread_goes_on(agenda: Agenda, failures: Failures) -> None:
    done = threading.Event()

    def fails() -> None:
        raise ValueError("for the test")

    for number in range(8):
        agenda.ask(number, fails)
    agenda.ask("last", done.set, after_seconds=0.2)
    assert done.wait(DEADLINE_SECONDS)
    assert len(failures) == 8


def test_nothing_begins_after_stop(failures: Failures) -> None:
    agenda = Agenda(MachineClock(), 1, failures.append)
    ran = threading.Event()
    assert agenda.stop(DEADLINE_SECONDS)
    agenda.ask("key", ran.set)
    assert not ran.wait(0.2)
