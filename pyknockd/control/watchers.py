"""Those who watch: each gets what happens as it happens, so much of it a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MOST_A_SECOND = 500  # for each

Stream = Callable[[object], bool]
"""Sends one more value to a client; False once that has gone."""


@dataclass(slots=True)
class _Watcher:
    """``source`` is the one that is watched, None for all. Some are ``left_out`` in this second."""

    source: str | None
    stream: Stream
    began: float = 0.0
    sent: int = 0
    left_out: int = 0


class Watchers:
    """Everybody who watches."""

    def __init__(self) -> None:
        self._all: list[_Watcher] = []

    def __bool__(self) -> bool:
        """Whether anybody watches."""
        return bool(self._all)

    def add(self, source: str | None, stream: Stream) -> None:
        """Have ``stream`` called with what happens to ``source``, or to all."""
        self._all.append(_Watcher(source, stream))

    def show(self, source: str, now: float, value: object) -> None:
        """Show ``value``, which is about ``source``, or about nobody if that is empty."""
        gone = []
        for watcher in self._all:
            if watcher.source not in (None, source) and source:
                continue
            if not self._send(watcher, now, value):
                gone.append(watcher)
        for watcher in gone:
            self._all.remove(watcher)

    def _send(self, watcher: _Watcher, now: float, shown: object) -> bool:
        if now - watcher.began >= 1:
            left_out, watcher.left_out = watcher.left_out, 0
            watcher.began, watcher.sent = now, 0
            if left_out and not watcher.stream(
                {"event": "left-out", "count": left_out, "text": f"{left_out} events were left out"}
            ):
                return False
        if watcher.sent >= MOST_A_SECOND:
            watcher.left_out += 1
            return True
        watcher.sent += 1
        return watcher.stream(shown)
