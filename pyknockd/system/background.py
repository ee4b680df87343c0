"""Becoming a background process: detach, and the pid file."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_MODE = 0o644
_MOST_BYTES = 4_096
_MOST_DIGITS = 20


class PidFileError(Exception):
    """There is no pid file to be had, which keeps no door shut; the text says why."""


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
    """A file that says this process's number for as long as it runs. It guards nothing."""

    def __init__(self, path: str) -> None:
        """Raises PidFileError. A file that says anything but the number of a process stays as it is."""
        self._path = path
        number = _number_in(path)
        if number is not None and number != os.getpid() and _is_daemon(number):
            raise PidFileError(f"pid file {path} is that of process {number}: going on without one")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            if number is not None:
                os.unlink(path)  # and not written anew: it may have another name elsewhere
            with open(os.open(path, flags, _MODE), "w") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            raise PidFileError(f"could not create pid file {path}: {error.strerror}") from error

    def __enter__(self) -> PidFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(PidFileError, OSError):  # it is another's by now, or gone
            if _number_in(self._path) == os.getpid():
                os.unlink(self._path)


def _number_in(path: str) -> int | None:
    """What an old pid file says, 0 if it is empty; None if there is no file. Raises PidFileError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        if not stat.S_ISREG(
            os.lstat(path).st_mode
        ):  # there are devices that to open does something to
            raise PidFileError(f"{path} is no plain file: going on without a pid file")
        with open(os.open(path, flags), "rb") as file:
            text = file.read(_MOST_BYTES).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PidFileError(f"could not create pid file {path}: {error.strerror}") from error
    if text and not (text.isdigit() and len(text) < _MOST_DIGITS):
        raise PidFileError(f"{path} is there and no pid file: it stays, going on without one")
    return int(text or b"0")


def _is_daemon(number: int) -> bool:
    """Whether that process is a knockd of ours that runs: numbers come back, in other processes."""
    folder = Path(f"/proc/{number}")
    try:
        same_name = (folder / "comm").read_bytes() == Path("/proc/self/comm").read_bytes()
        return same_name and folder.stat().st_uid == os.geteuid()
    except OSError:
        return False
