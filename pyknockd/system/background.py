"""Becoming a background process: detach, and the pid file."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from types import TracebackType

_MODE = 0o644


class PidFileError(Exception):
    """The pid file cannot be had; the text says why."""


class AlreadyRunning(Exception):
    """Another daemon holds the pid file."""


class Launch:
    """The child's side of ``detach``: the parent waits until it is told how the start went."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def succeeded(self) -> None:
        """Let the parent return 0, and let go of the terminal."""
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.close(null)
        os.write(self._descriptor, b"\0")
        os.close(self._descriptor)


def fill_standard_descriptors() -> None:
    """Whoever starts a daemon may have closed 0, 1 or 2: nothing else must ever be opened there."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115


def name_process(name: str) -> None:
    """What ps and pkill show; a script's own name, but behind ``python3 -m`` it would be python3."""
    try:
        Path("/proc/self/comm").write_text(name)
    except OSError:
        pass


def detach() -> Launch | None:
    """Fork into the background. None in the parent, whose turn it is to wait (``wait_for``)."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(writer)
        # The pipe closes without a word if the daemon fails; it has said why on stderr.
        status = 0 if os.read(reader, 1) else 1
        os._exit(status)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    return Launch(writer)


class PidFile:
    """A file that holds this process's number, and is locked, for as long as it runs."""

    def __init__(self, path: str) -> None:
        """Raises AlreadyRunning, and PidFileError if ``path`` cannot be written."""
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._descriptor = os.open(path, flags, _MODE)
        except OSError as error:
            raise PidFileError(f"could not create pid file {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunning(f"already running: process {pid} holds {path}") from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.close(self._descriptor)
            raise PidFileError(f"could not create pid file {path}: {error.strerror}") from error

    def __enter__(self) -> PidFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            os.unlink(self._path)
        except OSError:
            pass
        os.close(self._descriptor)
