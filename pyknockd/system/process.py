"""Programs: the only room that imports subprocess. Starts them, reaps them, never waits."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pyknockd.model import Action
from pyknockd.system.trust import commands_environment

Process = subprocess.Popen[bytes]

NOT_EXECUTABLE = 126  # what a shell answers for a command that it may not run
NOT_FOUND = 127  # and for one that is not there
KILLED = 128  # and what it adds to the number of the signal that ended one


class CommandError(Exception):
    """A program cannot be started; ``status`` is what a shell would have answered."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Ended:
    """An action whose program has ended; ``status`` is as a shell gives it, 0 to 255."""

    action: Action
    status: int


@dataclass(slots=True)
class _Running:
    action: Action
    process: Process
    began: float
    hung: bool = False


class Commands:
    """The programs under way."""

    def __init__(self) -> None:
        self._running: list[_Running] = []

    def __len__(self) -> int:
        return len(self._running)

    def start(
        self, action: Action, words: Sequence[str], now: float, *, quiet: bool = False
    ) -> None:
        """Run the program ``words`` for ``action``; ``quiet``: nobody hears it. CommandError."""
        output = subprocess.DEVNULL if quiet else None
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=commands_environment(),
            )
        except FileNotFoundError as error:
            raise CommandError(f"{words[0]}: no such program", NOT_FOUND) from error
        except (OSError, ValueError) as error:
            raise CommandError(f"{words[0]}: {error}", NOT_EXECUTABLE) from error
        self._running.append(_Running(action, process, now))

    def ended(self) -> list[Ended]:
        """The actions whose programs have ended since the last call."""
        over = []
        still = []
        for running in self._running:
            code = running.process.poll()
            if code is None:
                still.append(running)
            else:
                over.append(Ended(running.action, code if code >= 0 else KILLED - code))
        self._running = still
        return over

    def hung(self, now: float, seconds: float) -> list[Action]:
        """The actions whose programs have been running for ``seconds``; each is told once."""
        late = [r for r in self._running if not r.hung and now - r.began >= seconds]
        for running in late:
            running.hung = True
        return [running.action for running in late]

    def next_deadline(self, seconds: float) -> float | None:
        """When the next program will have been running for ``seconds``, or None."""
        return min((r.began + seconds for r in self._running if not r.hung), default=None)


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
