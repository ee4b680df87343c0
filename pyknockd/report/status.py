"""One line on how the daemon fares, for systemd's status."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from pyknockd.model.events import InterfaceState, Standing
from pyknockd.report.state import State

MOST_NAMED = 3  # of those that are in


class Status:
    """Says who is in, or that nothing can be heard. ``clock`` shows a time of the loop."""

    def __init__(self, state: State, clock: Callable[[float], str]) -> None:
        self._state = state
        self._clock = clock
        self._said = (-1, "")  # the state's version, and the line

    def text(self) -> str:
        """The line."""
        if self._said[0] != self._state.version:
            self._said = (self._state.version, self._state.last_good + self._text())
        return self._said[1]

    def _text(self) -> str:
        state = self._state
        if state.is_deaf:
            missing = [
                event
                for event in state.interfaces.values()
                if event.state is InterfaceState.MISSING
            ]
            names = ", ".join(event.name for event in missing)
            return f"DEAF: waiting for {names} (there are: {', '.join(missing[-1].there)})"
        count = len(state.open)
        if not count:
            return "0 doors open"
        named = [self._visit(stay.standing) for stay in islice(state.open.values(), MOST_NAMED)]
        more = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
        return f"{count} open: {', '.join(named)}{more}"

    def _visit(self, standing: Standing) -> str:
        until = "" if standing.until is None else f" until {self._clock(standing.until)}"
        return f"{standing.door} for {standing.source}{until}"
