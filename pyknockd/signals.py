"""Unix signals as something to wait for: a readable file descriptor."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable
from types import FrameType


class Signals:
    """The signals that arrive, told in the order they came. One at a time may exist in a process."""

    def __init__(self, wanted: Iterable[signal.Signals]) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in wanted:
            signal.signal(number, _noted)

    def fileno(self) -> int:
        return self._reader.fileno()

    def arrived(self) -> list[int]:
        """The numbers of the signals since the last call."""
        try:
            return list(self._reader.recv(4096))
        except BlockingIOError:
            return []


def _noted(number: int, frame: FrameType | None) -> None:
    # The interpreter has written the number to the wake-up socket already.
    pass
