"""The log file, written beside the loop: a disk that hangs holds up nobody."""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyknockd.model.events import Side, Trouble
from pyknockd.system.worker import Worker

OPEN_SECONDS = 1.0  # that is waited for the file when it is opened
HANGS_SECONDS = 2.0  # after which it is said that lines wait
MOST_WAITING = 10_000  # lines
_RETRY_SECONDS = 0.01  # until lines are handed over that came while others were written
_MODE = 0o640


@dataclass(slots=True)
class _File:
    """What is written to; the thread's own. ``descriptor`` is None before any could be opened."""

    path: str = ""
    descriptor: int | None = None
    is_in_trouble: bool = False


class LogFile:
    """A file that lines are added to, in their order. Its methods never raise."""

    def __init__(self) -> None:
        self._worker = Worker()
        self._file = _File()
        self._lines: deque[bytes] = deque()
        self._is_open = False
        self._events: list[Trouble] = []
        self._handed_over: float | None = None  # when the lines were that the thread is at
        self._hangs = False
        self._lost = 0

    def fileno(self) -> int:
        """Readable when ``events`` may have something new."""
        return self._worker.fileno()

    def open(self, path: str) -> None:
        """Write to this one from now on; to the old one if that fails."""
        self.flush(time.monotonic())
        self._is_open = True
        self._worker.submit(partial(_open, self._file, path, self._tell))
        self._worker.settle(OPEN_SECONDS)

    def close(self) -> None:
        """Write no more to it."""
        self.flush(time.monotonic())
        self._is_open = False
        self._worker.submit(partial(_close, self._file))

    def write(self, line: bytes) -> None:
        """Add ``line`` to what ``flush`` hands over."""
        if not self._is_open:
            return
        if len(self._lines) < MOST_WAITING:
            self._lines.append(line)
        else:
            self._lost += 1

    def flush(self, now: float) -> None:
        """Have what has been added written."""
        if not self._worker.settle(0.0):
            late = self._handed_over is not None and now - self._handed_over >= HANGS_SECONDS
            if late and not self._hangs:
                self._hangs = True
                self._tell(f"log file {self._file.path} does not answer: lines wait for it")
            return
        self._handed_over = None
        if self._hangs:
            self._hangs = False
            lost, self._lost = self._lost, 0
            said = f", {lost} lines were lost" if lost else ""
            self._tell(f"log file {self._file.path} takes lines again{said}", over=True)
        if self._lines:
            lines, self._lines = self._lines, deque()
            self._handed_over = now
            self._worker.submit(partial(_write, self._file, lines, self._tell))

    def next_deadline(self, now: float) -> float | None:
        """When ``flush`` is to be called at the latest, or None."""
        if self._hangs:
            return now + HANGS_SECONDS
        if self._lines:
            return now + _RETRY_SECONDS
        return None if self._handed_over is None else self._handed_over + HANGS_SECONDS

    def settle(self, seconds: float) -> None:
        """Wait until everything is written, for so long at most."""
        deadline = time.monotonic() + seconds
        while self._lines and self._worker.settle(max(0.0, deadline - time.monotonic())):
            self.flush(time.monotonic())
        self._worker.settle(max(0.0, deadline - time.monotonic()))

    def events(self) -> list[Trouble]:
        """What there is to tell since the last call."""
        for tell in self._worker.done():
            tell()
        events, self._events = self._events, []
        return events

    def _tell(self, text: str, *, over: bool = False) -> None:
        self._events.append(Trouble(time.monotonic(), Side.LOG, text, over))


# What follows is done in the worker's thread; what it returns is called in the loop.

_Tell = Callable[[str], None]


def _open(file: _File, path: str, tell: _Tell) -> Callable[[], None] | None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    flags |= os.O_NONBLOCK  # a FIFO that nobody reads is an error, not a wait
    if _is_shared(os.path.dirname(path)):
        # Another user could have laid a link there that leads to a file of root's.
        flags |= os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, _MODE)
    except (OSError, ValueError) as error:
        return partial(tell, f"cannot open log file {path}: {getattr(error, 'strerror', error)}")
    _close(file)
    file.path, file.descriptor, file.is_in_trouble = path, descriptor, False
    return None


def _write(file: _File, lines: deque[bytes], tell: _Tell) -> Callable[[], None] | None:
    if file.descriptor is None:
        return None
    try:
        for line in lines:
            os.write(file.descriptor, line)
    except OSError as error:
        # A full disk must not keep a door shut; the lines are in the other places.
        was_in_trouble, file.is_in_trouble = file.is_in_trouble, True
        text = f"log file {file.path} cannot be written: {error.strerror}"
        return None if was_in_trouble else partial(tell, text)
    file.is_in_trouble = False
    return None


def _close(file: _File) -> None:
    if file.descriptor is not None:
        os.close(file.descriptor)
        file.descriptor = None


def _is_shared(folder: str) -> bool:
    """Whether others than root and this user may put things into ``folder``."""
    try:
        status = os.stat(folder or ".")
    except OSError:
        return True
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return bool(writable) or status.st_uid not in (0, os.geteuid())
