"""Programs: the only room that imports subprocess. Starts them, reaps them, never waits."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from pyknockd.system.trust import commands_environment

Process = subprocess.Popen[bytes]

NOT_EXECUTABLE = 126  # what a shell answers for a command that it may not run
NOT_FOUND = 127  # and for one that is not there
KILLED = 128  # and what it adds to the number of the signal that ended one
QUIET = subprocess.DEVNULL  # as output: nobody hears it
_MOST_ANSWER_BYTES = 4_096


class CommandError(Exception):
    """A program cannot be started; ``status`` is what a shell would have answered."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended, by its key; ``status`` is as a shell gives it, 0 to 255."""

    key: Hashable
    status: int


class Programs:
    """The programs under way, each under a key of the caller's."""

    def __init__(self) -> None:
        self._running: dict[Hashable, Process] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self, key: Hashable, words: Sequence[str], output: int | None = None) -> None:
        """Run the program ``words``. Raises CommandError.

        ``output`` is where it prints, QUIET, or None: where this process does.
        """
        try:
            self._running[key] = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=commands_environment(),
                start_new_session=True,  # so that it can be killed with all that it has started
            )
        except FileNotFoundError as error:
            raise CommandError(f"{words[0]}: no such program", NOT_FOUND) from error
        except (OSError, ValueError) as error:
            raise CommandError(f"{words[0]}: {error}", NOT_EXECUTABLE) from error

    def kill(self, key: Hashable) -> None:
        """End a program, and what it has started, at once; ``ended`` tells of it like of others."""
        process = self._running.get(key)
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def ended(self) -> list[Ended]:
        """The programs that have ended since the last call."""
        over = []
        for key, process in list(self._running.items()):
            code = process.poll()
            if code is not None:
                over.append(Ended(key, code if code >= 0 else KILLED - code))
                del self._running[key]
        return over


def output(words: Sequence[str]) -> str:
    """What the program ``words`` prints. Waits for it. Raises CommandError with what it says."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise CommandError(f"{words[0]}: {error.strerror}", NOT_FOUND) from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise CommandError(f"{' '.join(words)}: {said}", done.returncode)
    return done.stdout.decode(errors="replace")


def spawn(words: Sequence[str]) -> Process:
    """Start a program whose standard output and error can be read together. Raises CommandError."""
    try:
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise CommandError(f"{words[0]}: {error.strerror}", NOT_FOUND) from error


class Search:
    """A program of a short answer, which may take its time to give it: nobody waits for it."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start the program ``words``. Raises CommandError."""
        try:
            # In a session of its own, so that ``kill`` reaches what it has started as well.
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"{words[0]}: {error.strerror}", NOT_FOUND) from error

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def answer(self) -> str:
        """What it has printed, once it is over and the first time; nothing if it has failed."""
        with self._stdout() as file:
            # Another process may hold the other end, and never close it.
            os.set_blocking(file.fileno(), False)
            answer = file.read(_MOST_ANSWER_BYTES) or b""
        return answer.decode("ascii", "replace") if self._process.returncode == 0 else ""

    def kill(self) -> None:
        """End it. It is over some time later."""
        self._stdout().close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout
