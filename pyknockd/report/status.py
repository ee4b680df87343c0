"""One line on how the daemon fares, for systemd's status."""

from __future__ import annotations

from pyknockd.model.events import (
    Closed,
    ConfigTaken,
    Event,
    InterfaceChanged,
    InterfaceState,
    LastGoodTaken,
    Standing,
)


class Status:
    """Reads events, and says how many doors stand open, or that nothing can be heard."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._last_good = ""
        self._listened_on: set[str] = set()
        # What is waited for, and the interfaces there were then.
        self._missing: dict[str, tuple[str, ...]] = {}

    def take(self, event: Event) -> None:
        """Heed ``event``."""
        if isinstance(event, Standing):
            self._open.add(event.opening)
        elif isinstance(event, Closed):
            self._open.discard(event.opening)
        elif isinstance(event, LastGoodTaken):
            self._last_good = f"MISTAKES, taken are the doors of {event.taken}: {event.lines[0]}; "
        elif isinstance(event, ConfigTaken):
            self._last_good = ""
        elif isinstance(event, InterfaceChanged):
            self._heed(event)

    def _heed(self, event: InterfaceChanged) -> None:
        if event.state is InterfaceState.COME:
            self._listened_on.add(event.name)
            self._missing.pop(event.name, None)
            return
        self._listened_on.discard(event.name)
        if event.state is InterfaceState.MISSING:
            self._missing[event.name] = event.there

    def text(self) -> str:
        """The line."""
        return self._last_good + self._how_it_fares()

    def _how_it_fares(self) -> str:
        if self._missing and not self._listened_on:
            there = ", ".join(list(self._missing.values())[-1])
            return f"DEAF: waiting for {', '.join(self._missing)} (there are: {there})"
        count = len(self._open)
        return f"{count} door{'' if count == 1 else 's'} open"
