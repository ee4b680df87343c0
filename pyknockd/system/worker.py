"""Work that may wait, for a lock or for a disk, done beside the loop."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

MOST_WAITING = 1_000

Job = Callable[[], None]
T = TypeVar("T")


def within(seconds: float, job: Callable[[], T]) -> T | None:
    """What ``job`` returns, which must not raise; None if that takes longer, and it goes on alone."""
    returned: list[T] = []
    thread = threading.Thread(target=lambda: returned.append(job()), daemon=True)
    thread.start()
    thread.join(seconds)
    return returned[0] if returned else None


class Worker:
    """One thread that does jobs in their order; none before the first. ``fileno`` tells of the done.

    A job is called in the thread, and what it returns, to be called in the loop, comes out of
    ``done``; None is nothing to tell. It must not raise. At most ``most_waiting`` wait, or are done
    and not fetched.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._jobs: deque[Callable[[], Job | None]] = deque()
        self._done: deque[Job] = deque()
        self._there_is_work = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._to_do = 0
        self._all_done = threading.Event()
        self._all_done.set()

    def fileno(self) -> int:
        return self._reader

    def submit(self, job: Callable[[], Job | None]) -> bool:
        """Have ``job`` done; False if too many wait already."""
        with self._lock:
            if self._to_do + len(self._done) >= self._most_waiting:
                return False
            self._to_do += 1
            self._all_done.clear()
        self._jobs.append(job)
        if self._thread is None:
            # A daemon thread: one that waits for a lock must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._there_is_work.release()
        return True

    def done(self) -> list[Job]:
        """What the jobs that are done have returned, in their order."""
        with suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass
        found = []
        while self._done:
            found.append(self._done.popleft())
        return found

    def settle(self, seconds: float) -> bool:
        """Wait until every job is done, for so long at most; whether that is so."""
        return self._all_done.wait(seconds)

    def _work(self) -> None:
        while True:
            self._there_is_work.acquire()
            job = self._jobs.popleft()()
            if job is not None:
                self._done.append(job)
                with suppress(BlockingIOError):
                    os.write(self._writer, b"\0")
            with self._lock:
                self._to_do -= 1
                if not self._to_do:
                    self._all_done.set()
