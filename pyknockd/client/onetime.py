"""The client's copy of a file of one-time sequences, and who may write a file that is trusted."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from pyknockd.client.errands import ClientError
from pyknockd.client.places import SYSTEM
from pyknockd.client.screen import warn
from pyknockd.model import Step
from pyknockd.model.notation import OneTimeLine, one_time_lines, step_text

MOST_BYTES = 1 << 20
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


def look(path: Path, status: os.stat_result) -> None:
    """Whoever may write the file decides where the user's knocks go."""
    if not hasattr(os, "geteuid"):
        return  # Windows: a home is its owner's
    if not stat.S_ISREG(status.st_mode):
        raise ClientError(f"{path}: expected a plain file")
    if status.st_uid not in (0, os.geteuid()):
        raise ClientError(f"{path}: it is another user's; it must be yours or root's")
    if status.st_mode & _OTHERS_WRITE:
        raise ClientError(f"{path}: others may write it; write: chmod go-w {path}")
    if status.st_mode & (stat.S_IROTH if path == SYSTEM else _OTHERS_READ):
        warn(f"warning: {path}: others may read your sequences; write: chmod go-r {path}")


def next_one_time(path: str) -> OneTimeLine:
    """The sequence that is in force. Raises ClientError."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            look(Path(path), os.fstat(file.fileno()))
            line = next(one_time_lines(file.read(MOST_BYTES)), None)
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from error
    if line is None:
        raise ClientError(f"{path}: no sequence is left; copy new ones from the server")
    return line


def use_one_time(path: str, line: OneTimeLine) -> None:
    """Mark it as used, as knockd does. Raises ClientError."""
    try:
        with open(os.path.expanduser(path), "r+b") as file:
            _lock(file.fileno())
            if line in one_time_lines(file.read(MOST_BYTES)):
                file.seek(line.offset)
                file.write(b"#")
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise ClientError(f"{path}: the used sequence is not marked: {error.strerror}") from error


def _lock(descriptor: int) -> None:
    """Closing the file lets go of it."""
    if sys.platform != "win32":
        with suppress(ImportError):
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)


def words(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Steps as they stand on a command line."""
    return tuple(map(step_text, steps))
