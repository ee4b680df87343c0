"""One line on how the daemon fares, for systemd's status."""

from __future__ import annotations

from pyknockd.model.events import Closed, Event, Standing


class Status:
    """Reads events, and says how many doors stand open."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def take(self, event: Event) -> None:
        """Heed ``event``."""
        if isinstance(event, Standing):
            self._open.add(event.opening)
        elif isinstance(event, Closed):
            self._open.discard(event.opening)

    def text(self) -> str:
        """The line."""
        count = len(self._open)
        return f"{count} door{'' if count == 1 else 's'} open"
