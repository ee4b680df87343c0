"""The counts as a file, for the textfile collector of Prometheus' node_exporter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

from pyknockd.model.events import Side, Trouble
from pyknockd.system.whole import replace_whole
from pyknockd.system.worker import Worker

PERIOD_SECONDS = 15.0


class TextFile:
    """Has what ``text`` gives written to ``path``, every 15 seconds, beside the loop.

    ``path`` may be changed at any time; None: nothing is written. Its trouble is told once.
    """

    def __init__(self, text: Callable[[], str]) -> None:
        self.path: str | None = None
        self._text = text
        self._worker = Worker(1)  # its own: nothing else waits for this disk
        self._next = 0.0
        self._problem = ""
        self._events: list[Trouble] = []

    def fileno(self) -> int:
        """Readable when ``work`` has something to take note of."""
        return self._worker.fileno()

    def work(self, now: float) -> list[Trouble]:
        """Take note of what was written, and have it written again if it is time. What to tell."""
        for tell in self._worker.done():
            tell()
        if self.path is not None and now >= self._next:
            self._next = now + PERIOD_SECONDS
            if not self._worker.submit(partial(_write, self.path, self._text(), self._written)):
                self._written(self.path, "its disk does not answer")
        events, self._events = self._events, []
        return events

    def next_deadline(self) -> float | None:
        """When ``work`` has something to do, or None."""
        return None if self.path is None else self._next

    def _written(self, path: str, problem: str) -> None:
        """It could be written and cannot any more, or the other way round."""
        if bool(problem) != bool(self._problem):
            text = f"cannot be written: {problem}" if problem else "can be written again"
            is_over = not problem
            trouble = Trouble(monotonic(), Side.METRICS, f"the metrics {path} {text}", is_over)
            self._events.append(trouble)
        self._problem = problem


# What follows is done in the worker's thread; what it returns is called in the loop.


def _write(path: str, text: str, written: Callable[[str, str], None]) -> Callable[[], None]:
    try:
        replace_whole(path, text.encode(), 0o644)
    except OSError as error:
        return partial(written, path, error.strerror or str(error))
    return partial(written, path, "")
