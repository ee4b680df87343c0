"""Faults of the program itself: told without filling the disk, and survived without haste."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

AGAIN_SECONDS = 60.0  # the same fault is told once in so long
_MOST_KINDS = 100
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is to be told: its traceback, and how often it came since it was last told."""

    lines: tuple[str, ...]
    count: int


@dataclass(slots=True)
class _Kind:
    told: float
    count: int = 0


class Faults:
    """Which faults there have been, told apart by their type and place."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[type, str, int], _Kind] = {}
        self._in_a_row = 0

    def note(self, error: Exception, now: float) -> Fault | None:
        """What there is to tell of ``error``; None if that was told within the last minute."""
        self._in_a_row += 1
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = (type(error), last.filename, last.lineno or 0)
        if place not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        kind = self._kinds.setdefault(place, _Kind(now - AGAIN_SECONDS))
        kind.count += 1
        if now - kind.told < AGAIN_SECONDS:
            return None
        count, kind.told, kind.count = kind.count, now, 0
        lines = "".join(traceback.format_exception(error)).splitlines()
        return Fault(tuple(lines), count)

    def none(self) -> None:
        """A turn went well."""
        self._in_a_row = 0

    def pause(self) -> float:
        """How many seconds to do nothing but heed signals: longer with every fault in a row."""
        doubled = _FIRST_PAUSE_SECONDS * 2 ** min(self._in_a_row - 1, 16)
        return min(doubled, _LONGEST_PAUSE_SECONDS) if self._in_a_row else 0.0
