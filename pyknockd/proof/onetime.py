"""The file of one-time sequences: a sequence a line, each good for one opening.

A used line is marked in place: its first character becomes ``#``. Lines that begin with ``#``, blank
ones, and those that are no sequence are passed over. The file is locked while it is changed, which
may wait for another program, and for the disk: the loop has it done by a worker.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from pyknockd.model import InForce, Step
from pyknockd.model.notation import OneTimeLine, one_time_lines

MOST_BYTES = 1 << 20
LOCK_SECONDS = 2.0  # how long another program may hold the file
_LOCK_RETRY_SECONDS = 0.01


class OneTimeError(Exception):
    """A file cannot be read or written, or holds no such sequence; the text says which."""


def first_sequence(path: str, *, to_be_used: bool = True) -> InForce:
    """The sequence that is in force: the first that is not used. Raises OneTimeError.

    So it does if the file cannot be written, where the sequence is ``to_be_used``.
    """
    lines = _lines(path)
    if to_be_used and not os.access(path, os.W_OK):
        raise OneTimeError(f"{path}: cannot be written")
    return _in_force(lines)


def use(path: str, steps: tuple[Step, ...]) -> InForce:
    """Mark the line that says ``steps`` as used; the sequence in force now.

    Returns once the mark is on the disk. Raises OneTimeError, and then the line must not be
    honoured: it was used before, or nobody could keep it from being used again.
    """
    descriptor = _open(path, os.O_RDWR)
    try:
        _lock(descriptor, path)
        lines = list(one_time_lines(_content(descriptor)))
        used = next((line for line in lines if line.steps == steps), None)
        if used is None:
            raise OneTimeError(f"{path}: the sequence has been used already")
        if os.pwrite(descriptor, b"#", used.offset) != 1:
            raise OneTimeError(f"{path}: cannot be written")
        os.fdatasync(descriptor)
        return _in_force([line for line in lines if line is not used])
    except OSError as error:
        raise OneTimeError(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _in_force(lines: list[OneTimeLine]) -> InForce:
    return InForce(lines[0].steps, len(lines)) if lines else InForce()


class FilesInMemory:
    """Files of which one sequence after the other is used, in memory: nothing is written."""

    def __init__(self) -> None:
        self._left: dict[str, list[tuple[Step, ...]]] = {}

    def use(self, path: str, steps: tuple[Step, ...]) -> InForce:
        """As ``use`` does, but for the file. Raises OneTimeError."""
        if path not in self._left:
            self._left[path] = [line.steps for line in _lines(path)]
        left = self._left[path]
        if steps not in left:
            raise OneTimeError(f"{path}: the sequence has been used already")
        left.remove(steps)
        return InForce(left[0], len(left)) if left else InForce()


def _lines(path: str) -> list[OneTimeLine]:
    # Not for writing: to read the configuration changes nothing, whoever's file it names.
    descriptor = _open(path, os.O_RDONLY)
    try:
        return list(one_time_lines(_content(descriptor)))
    except OSError as error:
        raise OneTimeError(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
    """Whoever may read the file can lock it; so it is not waited for without end."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise OneTimeError(f"{path}: another program holds it locked") from error
            time.sleep(_LOCK_RETRY_SECONDS)


def _open(path: str, access: int) -> int:
    unusable = OneTimeError(f"{path}: expected a plain file of at most {MOST_BYTES} bytes")
    try:
        if not _is_usable(os.stat(path)):
            raise unusable  # there are devices that to open does something to
        descriptor = os.open(path, access | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise OneTimeError(f"{path}: {getattr(error, 'strerror', error)}") from error
    if not _is_usable(os.fstat(descriptor)):
        os.close(descriptor)
        raise unusable
    return descriptor


def _is_usable(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES


def _content(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()
