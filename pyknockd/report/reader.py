"""The log as a reader of events: which lines are said, in the order in which things happened."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from time import monotonic

from pyknockd.model import Limits
from pyknockd.model.events import (
    AttemptEnded,
    EndCause,
    Event,
    FirstKnocksLeftOut,
    StageReached,
)
from pyknockd.report.hostnames import PATIENCE, Names
from pyknockd.report.lines import Line, lines_of
from pyknockd.report.log import Log

_MOST_WAITING = 2_000  # lines that wait for a name


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A line and the moment until which it waits for its source's name."""

    line: Line
    until: float


@dataclass(slots=True)
class _Flood:
    """How many lines about first knocks were said in this second, and how many were not."""

    began: float = 0.0
    said: int = 0
    left_out: int = 0


class Report:
    """Says lines at once, or, with names to be looked up, as soon as the first in line has one.

    Of lines about first knocks no more than ``most_first_lines`` a second are said, so that a flood
    of them does not fill the disk; how many were left out is.
    """

    def __init__(self, log: Log, *, look_up: bool = False) -> None:
        self.log = log
        self.most_first_lines = Limits().log_lines
        self._names = Names() if look_up else None
        self._lines: deque[_Waiting] = deque()
        self._flood = _Flood()

    def take(self, event: Event) -> None:
        """Say what there is to say of ``event``."""
        if isinstance(event, FirstKnocksLeftOut):
            self._leave_out(event.count, event.time)
        elif _is_of_first_knock(event) and self._is_too_much(event.time):
            self._flood.left_out += 1
        else:
            for line in lines_of(event):
                self._say(line)

    def flush(self, now: float) -> None:
        """Say what can be said by now."""
        self.log.flush(now)
        if self._flood.left_out and now - self._flood.began >= 1:
            self._end_second(now)
        while self._lines:
            waiting = self._lines[0]
            line, label = waiting.line, waiting.line.source
            if label and self._names is not None:
                found = self._names.label(label, now)
                if found is None and now < waiting.until and len(self._lines) <= _MOST_WAITING:
                    return
                label = found or label
            self.log.write(_labelled(line, label))
            self._lines.popleft()

    def next_deadline(self, now: float) -> float | None:
        """When ``flush`` is to be called at the latest, or None."""
        deadlines = []
        if self._flood.left_out:
            deadlines.append(self._flood.began + 1)
        if self._lines:
            deadlines.append(max(self._lines[0].until, now))
        log = self.log.next_deadline(now)
        if log is not None:
            deadlines.append(log)
        return min(deadlines, default=None)

    def finish(self) -> None:
        """Say everything that still waits, without names."""
        now = monotonic()
        if self._flood.left_out:
            self._end_second(now)
        self._names = None
        self.flush(now)
        self.log.settle()

    def _say(self, line: Line) -> None:
        """At once, or behind the lines that wait for a name, with its own look-up begun."""
        now = monotonic()
        if self._names is None:
            self.log.write(_labelled(line, line.source))
            return
        if line.source:
            self._names.label(line.source, now)
        self._lines.append(_Waiting(line, now + PATIENCE))
        self.flush(now)

    def _leave_out(self, count: int, now: float) -> None:
        if now - self._flood.began >= 1:
            self._end_second(now)
        self._flood.left_out += count

    def _is_too_much(self, now: float) -> bool:
        if now - self._flood.began >= 1:
            self._end_second(now)
        if self._flood.said >= self.most_first_lines:
            return True
        self._flood.said += 1
        return False

    def _end_second(self, now: float) -> None:
        left_out = self._flood.left_out
        self._flood = _Flood(now)
        if left_out:
            self._say(Line(f"a flood of first knocks: {left_out} lines about them left out"))


def _is_of_first_knock(event: Event) -> bool:
    if isinstance(event, AttemptEnded):
        return event.stage == 1 and event.cause is EndCause.TOO_LATE and not event.quiet
    return isinstance(event, StageReached) and event.stage == 1 and not event.quiet


def _labelled(line: Line, label: str) -> Line:
    return replace(line, text=f"{label}: {line.text}", source="") if label else line
