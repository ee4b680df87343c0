"""What waits: for its time, for its turn, or for a free place.

A change has *keys*: its door and source, and the rule that it makes or takes away. Of those with a
key in common each waits until the one before it is done; nothing else ever waits for another. No
more than ``at_once`` changes are under way at the same time. One that is called hung has no place
any more, and holds up nobody but those that would make again what it is about to take away. What
has waited for long is said.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from heapq import heappop, heappush
from itertools import count

from pyknockd.model import Change

LONG_SECONDS = 1.0  # that a change waits before it is told of


class Schedule:
    """Times to come, and changes that wait or are under way.

    Times are seconds of the clock that the caller uses, and each is an opening's, by its number.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._timers: list[tuple[float, int, int]] = []
        self._order = count()
        # Each key's changes in their order; the first of them is under way, or waits for a place.
        self._lanes: dict[Hashable, deque[Change]] = {}
        self._keys: dict[Change, tuple[Hashable, ...]] = {}
        self._ready: OrderedDict[Change, None] = OrderedDict()
        self._under_way: set[Change] = set()
        self._hung: set[Change] = set()  # that others still wait for
        # What has been queued, and when it has waited for long; of those gone on with only some.
        self._waits: deque[tuple[float, Change]] = deque()

    @property
    def waiting(self) -> int:
        """How many changes wait for their turn or a place."""
        return len(self._keys) - len(self._under_way) - len(self._hung)

    @property
    def busy(self) -> bool:
        """Whether anything waits for its turn or a place, or is under way."""
        return len(self._keys) > len(self._hung)

    @property
    def has_ready(self) -> bool:
        """Whether ``next`` has a change."""
        return bool(self._ready) and len(self._under_way) < self.at_once

    def at(self, time: float, opening: int) -> None:
        """Have ``opening`` come up at ``time``; so it does at every other time given for it."""
        heappush(self._timers, (time, next(self._order), opening))

    def come_up(self, now: float, most: int) -> list[int]:
        """The openings whose time has come, at most so many at a time, earliest first."""
        found: list[int] = []
        while self._timers and self._timers[0][0] <= now and len(found) < most:
            found.append(heappop(self._timers)[2])
        return found

    def next_deadline(self) -> float | None:
        """When the next opening comes up or has waited for long, or None."""
        while self._waits and not self._is_waiting(self._waits[0][1]):
            self._waits.popleft()
        times = [queue[0][0] for queue in (self._timers, self._waits) if queue]
        return min(times, default=None)

    def waiting_for_long(self, now: float) -> list[Change]:
        """The changes that wait and had waited for ``LONG_SECONDS`` since the last call, each once."""
        found: list[Change] = []
        while self._waits and self._waits[0][0] <= now:
            change = self._waits.popleft()[1]
            if self._is_waiting(change):
                found.append(change)
        return found

    def queue(self, change: Change, keys: Iterable[Hashable], now: float) -> None:
        """Have ``change`` take its turn behind all that share one of ``keys`` with it."""
        self._waits.append((now + LONG_SECONDS, change))
        self._keys[change] = tuple(dict.fromkeys(keys))
        for key in self._keys[change]:
            self._lanes.setdefault(key, deque()).append(change)
        self._look(change)

    def next(self) -> Change | None:
        """The next change whose turn it is and for which there is a place; it is under way now."""
        if not self.has_ready:
            return None
        change, _ = self._ready.popitem(last=False)
        self._under_way.add(change)
        return change

    def blocked_by(self, change: Change) -> Change | None:
        """The change under way that ``change`` waits for, or None if it waits for a place."""
        blocker = change
        while self._is_waiting(blocker):
            firsts = [self._lanes[key][0] for key in self._keys[blocker]]
            before = next((first for first in firsts if first != blocker), None)
            if before is None:
                return None
            blocker = before
        return blocker if blocker != change else None

    def done(self, change: Change, still: Hashable = None) -> None:
        """``change`` has ended, is called hung, or is not to be done after all.

        Those with the key ``still`` go on waiting for it.
        """
        self._ready.pop(change, None)
        self._under_way.discard(change)
        keys = self._keys.pop(change, ())
        if still is not None and still in keys:
            self._keys[change] = (still,)
            self._hung.add(change)
            keys = tuple(key for key in keys if key != still)
        else:
            self._hung.discard(change)
        for key in keys:
            lane = self._lanes[key]
            lane.remove(change)
            if lane:
                self._look(lane[0])
            else:
                del self._lanes[key]

    def _is_waiting(self, change: Change) -> bool:
        begun = change in self._under_way or change in self._hung
        return not begun and change in self._keys

    def _look(self, change: Change) -> None:
        """Let ``change`` be ready if it is the first wherever it waits."""
        if self._is_waiting(change) and all(
            self._lanes[key][0] == change for key in self._keys[change]
        ):
            self._ready[change] = None
