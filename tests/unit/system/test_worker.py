"""Work beside the loop."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator

import pytest

from pyknockd.system.worker import Job, Worker, within
from tests.support.lab import PATIENCE


def of(value: int, into: list[int]) -> Callable[[], Job]:
    """A job whose result, once called in the loop, adds ``value`` to ``into``."""
    return lambda: lambda: into.append(value)


class Gate:
    """A job that is under way until the gate is opened."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> Job:
        self.began.set()
        self.opened.wait(PATIENCE)
        return lambda: None


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def finished(worker: Worker, count: int) -> list[Job]:
    """What comes out of ``done``, once that is so much."""
    found: list[Job] = []
    while len(found) < count:
        assert select.select([worker], [], [], PATIENCE)[0], "the worker does not report"
        found += worker.done()
    return found


def test_what_jobs_return_comes_out_in_their_order() -> None:
    worker, called = Worker(), list[int]()
    for value in range(100):
        assert worker.submit(of(value, called))
    results = finished(worker, 100)
    assert called == []
    for result in results:
        result()
    assert called == list(range(100))


def test_a_job_is_done_beside_the_loop(gate: Gate) -> None:
    worker, called = Worker(), list[int]()
    worker.submit(gate)
    worker.submit(of(1, called))
    assert gate.began.wait(PATIENCE)
    assert worker.done() == []
    gate.opened.set()
    assert len(finished(worker, 2)) == 2


def test_while_nothing_is_done_there_is_nothing_to_read(gate: Gate) -> None:
    worker = Worker()
    assert not select.select([worker], [], [], 0)[0]
    worker.submit(gate)
    assert not select.select([worker], [], [], 0)[0]
    gate.opened.set()
    finished(worker, 1)
    assert not select.select([worker], [], [], 0)[0]


def test_only_so_many_jobs_wait_until_some_are_done(
    gate: Gate,
) -> None:
    worker = Worker(3)
    assert [worker.submit(gate) for _ in range(4)] == [True, True, True, False]
    gate.opened.set()
    finished(worker, 3)
    assert worker.submit(gate)


def test_there_is_no_thread_before_the_first_job_and_one_afterwards() -> None:
    before = threading.active_count()
    worker = Worker()
    assert threading.active_count() == before
    for value in range(5):
        worker.submit(of(value, []))
    assert threading.active_count() == before + 1


def test_its_thread_keeps_no_process_from_ending(gate: Gate) -> None:
    before = set(threading.enumerate())
    Worker().submit(gate)
    (made,) = set(threading.enumerate()) - before
    assert made.daemon


def test_that_everything_is_done_can_be_waited_for_and_not_for_ever(gate: Gate) -> None:
    worker, called = Worker(), list[int]()
    assert worker.settle(0.0)
    worker.submit(gate)
    worker.submit(of(1, called))
    assert not worker.settle(0.01)
    gate.opened.set()
    assert worker.settle(PATIENCE)
    assert len(worker.done()) == 2


def test_what_takes_too_long_goes_on_alone() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def job() -> int:
        begun.set()
        go_on.wait(PATIENCE)
        ended.set()
        return 1

    assert within(PATIENCE, lambda: 7) == 7
    assert within(0.0, job) is None
    assert begun.wait(PATIENCE)
    go_on.set()
    assert ended.wait(PATIENCE)
