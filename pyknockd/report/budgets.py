"""How many lines a second are said of what strangers can bring about, so that no disk fills."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyknockd.model import Limits
from pyknockd.model.events import (
    AlreadyThere,
    AttemptEnded,
    ClosingFailed,
    CommandEnded,
    CommandHung,
    CommandKilled,
    CommandOutput,
    CommandStarted,
    CommandWaits,
    Event,
    GivenUp,
    LockHeld,
    Opened,
    Refused,
    RuleHidden,
    StageReached,
)

SECOND = 1.0


class Kind(Enum):
    """What has a budget of its own, so that none hides the others; the value is said in the log."""

    FIRST_KNOCKS = "first knocks"
    FURTHER_KNOCKS = "further knocks"
    OPENINGS = "openings and commands"
    OUTPUT = "what commands print"


_OF_OPENINGS = (
    *(Opened, Refused, CommandStarted, CommandEnded, CommandHung, GivenUp, LockHeld),
    *(CommandWaits, CommandKilled, RuleHidden, AlreadyThere, ClosingFailed),
)


def kind_of(event: Event) -> Kind | None:
    """The kind of ``event``, or None: then no stranger brings it about, not often anyway."""
    if isinstance(event, (StageReached, AttemptEnded)):
        return Kind.FIRST_KNOCKS if event.stage == 1 else Kind.FURTHER_KNOCKS
    if isinstance(event, CommandOutput):
        return Kind.OUTPUT
    return Kind.OPENINGS if isinstance(event, _OF_OPENINGS) else None


# Of these there are never less than by default.
_ALWAYS = (Kind.OPENINGS, Kind.OUTPUT)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Lines of one kind that were not said within a second."""

    kind: Kind
    count: int


@dataclass(slots=True)
class _Second:
    """How many lines were said since it began, and how many were not."""

    began: float = 0.0
    said: int = 0
    left_out: int = 0


class Budgets:
    """``most`` lines of each kind a second; of some never less than there are by default.

    Time comes in as seconds of a clock that never goes back.
    """

    def __init__(self) -> None:
        self.most = Limits().log_lines
        self._seconds = {kind: _Second() for kind in Kind}

    def has_room(self, kind: Kind, now: float) -> bool:
        """Whether one more line may be said; if not, it is counted."""
        second = self._current(kind, now)
        most = max(self.most, Limits().log_lines) if kind in _ALWAYS else self.most
        if second.said >= most:
            second.left_out += 1
            return False
        second.said += 1
        return True

    def leave_out(self, kind: Kind, count: int, now: float) -> None:
        """Count lines that nobody has asked about."""
        self._current(kind, now).left_out += count

    def over(self, now: float) -> list[LeftOut]:
        """What was left out in the seconds that are over at ``now``."""
        return [
            self._end(kind)
            for kind, second in self._seconds.items()
            if second.left_out and now - second.began >= SECOND
        ]

    def end(self) -> list[LeftOut]:
        """What was left out and not told yet."""
        return [self._end(kind) for kind, second in self._seconds.items() if second.left_out]

    def next_deadline(self) -> float | None:
        """When ``over`` has something to tell, or None."""
        ends = [one.began + SECOND for one in self._seconds.values() if one.left_out]
        return min(ends, default=None)

    def _current(self, kind: Kind, now: float) -> _Second:
        second = self._seconds[kind]
        if now - second.began >= SECOND:
            second = self._seconds[kind] = _Second(now, left_out=second.left_out)
        return second

    def _end(self, kind: Kind) -> LeftOut:
        left_out = LeftOut(kind, self._seconds[kind].left_out)
        self._seconds[kind] = _Second()
        return left_out
