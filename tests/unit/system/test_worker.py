"""Work that may wait, done beside the loop."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from pyknockd.system import worker as worker_module
from pyknockd.system.worker import Worker
from tests.support.lab import PATIENCE, ROOT

Job = Callable[[], None]


def finish(worker: Worker, count: int) -> None:
    """Do in the loop what ``count`` jobs have returned."""
    while count:
        assert select.select([worker], [], [], PATIENCE)[0]
        for job in worker.done():
            job()
            count -= 1


def test_a_job_is_done_beside_the_loop_and_what_it_returns_in_the_loop() -> None:
    worker = Worker()
    threads: list[tuple[str, threading.Thread]] = []

    def in_loop() -> None:
        threads.append(("loop", threading.current_thread()))

    def job() -> Job:
        threads.append(("job", threading.current_thread()))
        return in_loop

    assert worker.submit(job)
    finish(worker, 1)
    (first, beside), (second, loop) = threads
    assert (first, second) == ("job", "loop")
    assert loop is threading.current_thread() is not beside


def test_the_loop_is_woken_only_when_there_is_something() -> None:
    worker = Worker()
    go_on = threading.Event()

    def job() -> Job:
        go_on.wait(PATIENCE)
        return lambda: None

    worker.submit(job)
    assert not select.select([worker], [], [], 0)[0]
    assert worker.done() == []
    go_on.set()
    finish(worker, 1)
    assert not select.select([worker], [], [], 0)[0]
    assert worker.done() == []


def test_jobs_are_done_in_their_order() -> None:
    worker = Worker()
    told: list[int] = []

    def job(number: int) -> Job:
        return partial(told.append, number)

    for number in range(500):
        assert worker.submit(partial(job, number))
    finish(worker, 500)
    assert told == list(range(500))


def test_no_more_than_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MOST_WAITING", 3)
    worker = Worker()
    go_on = threading.Event()

    def job() -> Job:
        go_on.wait(PATIENCE)
        return lambda: None

    assert [worker.submit(job) for _ in range(5)] == [True, True, True, False, False]
    go_on.set()
    finish(worker, 3)
    assert worker.submit(job)
    finish(worker, 1)


def test_a_loop_that_does_not_look_for_long_holds_up_no_job() -> None:
    """Not even when the pipe that is to wake it is full."""
    worker = Worker()
    with suppress(BlockingIOError):
        while True:
            os.write(worker._writer, bytes(65_536))
    told: list[int] = []
    for number in range(10):
        worker.submit(partial(partial, told.append, number))
    finish(worker, 10)
    assert told == list(range(10))
    assert not select.select([worker], [], [], 0)[0]


def test_without_a_job_there_is_no_thread() -> None:
    before = threading.active_count()
    Worker()
    assert threading.active_count() == before


def test_a_job_that_never_ends_does_not_keep_the_process_from_ending() -> None:
    script = (
        "import threading\nfrom pyknockd.system.worker import Worker\nbegun = threading.Event()\n"
        "def job():\n    begun.set()\n    threading.Event().wait()\n"
        "Worker().submit(job)\nbegun.wait()\nprint('the end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "the end\n"
