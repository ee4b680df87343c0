"""Events as lines of the log, in the order in which they happened."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pyknockd.model import Event, EventKind, Limits
from pyknockd.report.hostnames import PATIENCE, Names
from pyknockd.report.log import Log

SYSLOG_RETRY_SECONDS = 1.0
_MOST_WAITING = 2_000  # lines that wait for a name


@dataclass(frozen=True, slots=True)
class _Line:
    """A line to be said: about ``source``, if it has one, whose name stands before ``text``."""

    text: str
    source: str = ""
    own_line_feed: bool = False
    until: float = 0.0


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
        self._lines: deque[_Line] = deque()
        self._flood = _Flood()

    def event(self, event: Event, now: float) -> None:
        """knockd's line for ``event``."""
        if event.stage == 1 and event.kind is not EventKind.OPENED and self._is_too_much(now):
            return
        timed_out = event.kind is EventKind.TIMED_OUT
        self.about(event.source, f"{event.door.name}: {_text(event)}", now, own_line_feed=timed_out)

    def about(self, source: str, text: str, now: float, *, own_line_feed: bool = False) -> None:
        """A line that begins with the source's address, and with its name if names are wanted."""
        if self._names is not None:
            self._names.label(source, now)  # the look-up begins with the line, not with its turn
        self._lines.append(_Line(text, source, own_line_feed, now + PATIENCE))
        self.flush(now)

    def say(self, text: str, *, own_line_feed: bool = False) -> None:
        """A line about no source. Behind lines that wait for a name it waits as well."""
        line = _Line(text, own_line_feed=own_line_feed)
        if self._lines:
            self._lines.append(line)
        else:
            self._say(line)

    def flush(self, now: float) -> None:
        """Say what can be said by now."""
        self.log.flush()
        if self._flood.left_out and now - self._flood.began >= 1:
            self._end_second(now)
        while self._lines:
            line = self._lines[0]
            label = line.source
            if line.source and self._names is not None:
                found = self._names.label(line.source, now)
                if found is None and now < line.until and len(self._lines) <= _MOST_WAITING:
                    return
                label = found or label
            self._say(
                _Line(f"{label}: {line.text}" if label else line.text, "", line.own_line_feed)
            )
            self._lines.popleft()

    def next_deadline(self, now: float) -> float | None:
        """When ``flush`` is to be called at the latest, or None."""
        deadlines = []
        if self._flood.left_out:
            deadlines.append(self._flood.began + 1)
        if self._lines:
            deadlines.append(max(self._lines[0].until, now))
        if self.log.waits:
            deadlines.append(now + SYSLOG_RETRY_SECONDS)
        return min(deadlines, default=None)

    def finish(self) -> None:
        """Say everything that still waits, without names."""
        self._names = None
        self.flush(0.0)

    def leave_out(self, count: int, now: float) -> None:
        """Count ``count`` first knocks of which no line is said."""
        if count:
            if now - self._flood.began >= 1:
                self._end_second(now)
            self._flood.left_out += count

    def _is_too_much(self, now: float) -> bool:
        if now - self._flood.began >= 1:
            self._end_second(now)
        if self._flood.said < self.most_first_lines:
            self._flood.said += 1
            return False
        self._flood.left_out += 1
        return True

    def _end_second(self, now: float) -> None:
        left_out = self._flood.left_out
        self._flood = _Flood(now)
        if left_out:
            self.say(f"a flood of first knocks: {left_out} lines about them left out")

    def _say(self, line: _Line) -> None:
        self.log.say(line.text, own_line_feed=line.own_line_feed)


def _text(event: Event) -> str:
    if event.kind is EventKind.STAGE:
        return f"Stage {event.stage}"
    if event.kind is EventKind.OPENED:
        return "OPEN SESAME"
    return f"sequence timeout (stage {event.stage})"
