"""Unix signals as something to wait for: a readable file descriptor."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType


class Signals:
    """The signals that arrive, told in the order they came. One at a time may exist in a process."""

    def __init__(self, wanted: Iterable[signal.Signals]) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._pending: dict[int, None] = {}
        for number in wanted:
            signal.signal(number, self._note)

    def fileno(self) -> int:
        return self._reader.fileno()

    def arrived(self) -> list[int]:
        """The numbers of the signals since the last call, each once, in the order they came."""
        with suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
        # Exchanged before it is looked at: a signal that comes meanwhile goes to either, never to none.
        pending, self._pending = self._pending, {}
        return list(pending)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Not read off the wake-up socket: in a flood of signals it is full, and one would be lost.
        self._pending[number] = None
