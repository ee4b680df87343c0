"""Work that may wait, for a lock or for a disk, done beside the loop."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

MOST_WAITING = 1_000

Job = Callable[[], None]


class Worker:
    """One thread that does jobs in their order; none before the first. ``fileno`` tells of the done.

    A job is called in the thread, and what it returns, to be called in the loop, comes out of
    ``done``. It must not raise.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._jobs: deque[Callable[[], Job]] = deque()
        self._done: deque[Job] = deque()
        self._there_is_work = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._under_way = 0

    def fileno(self) -> int:
        return self._reader

    def submit(self, job: Callable[[], Job]) -> bool:
        """Have ``job`` done; False if too many wait already."""
        if self._under_way >= MOST_WAITING:
            return False
        self._under_way += 1
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
        self._under_way -= len(found)
        return found

    def _work(self) -> None:
        while True:
            self._there_is_work.acquire()
            self._done.append(self._jobs.popleft()())
            with suppress(BlockingIOError):
                os.write(self._writer, b"\0")
