"""What is still to be run: actions that wait for their time, their turn or a free place.

The actions of one source run one after the other, in the order in which they fell due. Sources never
wait for each other, but no more than ``at_once`` actions run at the same time. One that is called
*hung* gives up its place and its turn, so that it holds up neither its own source nor others.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from itertools import count

from pyknockd.model import Action, Limits


class Schedule:
    """Actions to come and actions under way. Times are seconds of the clock that the caller uses."""

    def __init__(self, at_once: int = Limits().commands) -> None:
        self.at_once = at_once
        self._later: list[tuple[float, int, Action]] = []
        self._order = count()
        self._waiting: dict[str, deque[Action]] = {}
        self._turns: deque[str] = deque()
        self._running: dict[str, Action] = {}

    def __len__(self) -> int:
        """How many actions are to come."""
        return len(self._later) + sum(map(len, self._waiting.values()))

    def add(self, action: Action, at: float) -> None:
        """Have ``action`` come up at the time ``at``."""
        heappush(self._later, (at, next(self._order), action))

    def due(self, now: float) -> list[Action]:
        """The actions to start now; they count as running until ``done``."""
        while self._later and self._later[0][0] <= now:
            action = heappop(self._later)[2]
            queue = self._waiting.setdefault(action.source, deque())
            queue.append(action)
            if len(queue) == 1 and action.source not in self._running:
                self._turns.append(action.source)
        started = []
        while self._turns and len(self._running) < self.at_once:
            source = self._turns.popleft()
            queue = self._waiting[source]
            action = queue.popleft()
            if not queue:
                del self._waiting[source]
            self._running[source] = action
            started.append(action)
        return started

    def cancel(self, action: Action) -> None:
        """Never mind ``action``, if it has not come up yet."""
        self._later = [item for item in self._later if item[2] is not action]
        heapify(self._later)

    def done(self, action: Action) -> None:
        """``action`` has ended, or is called hung: its source's next one may start."""
        if self._running.get(action.source) is not action:
            return
        del self._running[action.source]
        if action.source in self._waiting:
            self._turns.append(action.source)

    def next_deadline(self) -> float | None:
        """When the next action comes up, or None. What waits for its turn waits for ``done``."""
        return self._later[0][0] if self._later else None

    def clear(self) -> list[Action]:
        """Take out every action to come, in the order of their times."""
        waiting = [action for queue in self._waiting.values() for action in queue]
        waiting += [action for _, _, action in sorted(self._later, key=lambda item: item[:2])]
        self._waiting.clear()
        self._turns.clear()
        self._later.clear()
        return waiting
