"""What programs print, line by line and by the name of whom they run for. Nobody waits for it."""

from __future__ import annotations

import os
import selectors
from dataclasses import dataclass

# More names get no pipe: what their programs print goes where this process's own output goes.
MOST_PIPES = 64
MOST_LINES = 100  # of one name, at a time
MOST_LINE_BYTES = 4_096
MOST_BYTES_A_SECOND = 1 << 20  # whoever prints more is made to wait
_AT_A_TIME = 1 << 16  # what a pipe holds: pipe(7)


@dataclass(frozen=True, slots=True)
class Printed:
    """What the programs of one name have printed: some lines, and how many more there were."""

    name: str
    lines: tuple[str, ...]
    left_out: int = 0


@dataclass(slots=True)
class _Pipe:
    """Both ends, kept for good: whoever writes to a pipe that nobody reads any more is killed."""

    name: str
    reader: int
    writer: int
    rest: bytes = b""


class Outputs:
    """A pipe for each name. Time comes in as seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._pipes: dict[str, _Pipe] = {}
        self._readable = selectors.EpollSelector()
        self._bytes = 0
        self._second = 0.0
        self._paused = False

    def fileno(self) -> int:
        """Readable when there is something to ``read``."""
        return self._readable.fileno()

    def writer(self, name: str) -> int | None:
        """Where a program is to print; None: where this process does, or where nobody hears it."""
        if name not in self._pipes and len(self._pipes) < MOST_PIPES and not _is_null(1):
            try:
                reader, writer = os.pipe()
            except OSError:
                return None
            os.set_blocking(reader, False)
            pipe = self._pipes[name] = _Pipe(name, reader, writer)
            if not self._paused:
                self._readable.register(reader, selectors.EVENT_READ, pipe)
        return self._pipes[name].writer if name in self._pipes else None

    def read(self, now: float) -> list[Printed]:
        """The lines that have come."""
        if now - self._second >= 1:
            self._second, self._bytes = now, 0
            self._go_on()
        found = [self._read(key.data) for key, _ in self._readable.select(0)]
        if self._bytes >= MOST_BYTES_A_SECOND and not self._paused:
            self._paused = True
            for pipe in self._pipes.values():
                self._readable.unregister(pipe.reader)
        return [one for one in found if one.lines]

    def rest(self, name: str) -> list[Printed]:
        """The beginning of a line, if a program has ended in the midst of it."""
        pipe = self._pipes.get(name)
        if pipe is None or not pipe.rest:
            return []
        rest, pipe.rest = pipe.rest, b""
        return [_printed(name, [rest])]

    def next_deadline(self) -> float | None:
        """When ``read`` is to be called though nothing is readable, or None."""
        return self._second + 1 if self._paused else None

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            for pipe in self._pipes.values():
                self._readable.register(pipe.reader, selectors.EVENT_READ, pipe)

    def _read(self, pipe: _Pipe) -> Printed:
        data = os.read(pipe.reader, _AT_A_TIME)
        self._bytes += len(data)
        *lines, pipe.rest = (pipe.rest + data).split(b"\n")
        if len(pipe.rest) > MOST_LINE_BYTES:
            lines.append(pipe.rest)
            pipe.rest = b""
        return _printed(pipe.name, lines)


def _printed(name: str, lines: list[bytes]) -> Printed:
    shown = (line[:MOST_LINE_BYTES].decode("utf-8", "replace") for line in lines[:MOST_LINES])
    return Printed(name, tuple(shown), max(0, len(lines) - MOST_LINES))


def _is_null(descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return True
