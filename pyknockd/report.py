"""Events as lines of the log, in the order in which they happened."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pyknockd.log import Log
from pyknockd.model import Event, EventKind
from pyknockd.names import PATIENCE, Names


@dataclass(frozen=True, slots=True)
class _Line:
    """A line to be said: about ``source``, if it has one, whose name stands before ``text``."""

    text: str
    source: str = ""
    own_line_feed: bool = False


class Report:
    """Says lines at once, or, with names to be looked up, as soon as the first in line has one."""

    def __init__(self, log: Log, *, look_up: bool = False) -> None:
        self.log = log
        self._names = Names() if look_up else None
        self._lines: deque[_Line] = deque()

    def event(self, event: Event, now: float) -> None:
        """knockd's line for ``event``."""
        timed_out = event.kind is EventKind.TIMED_OUT
        self.about(event.source, f"{event.door.name}: {_text(event)}", now, own_line_feed=timed_out)

    def about(self, source: str, text: str, now: float, *, own_line_feed: bool = False) -> None:
        """A line that begins with the source's address, and with its name if names are wanted."""
        self._lines.append(_Line(text, source, own_line_feed))
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
        while self._lines:
            line = self._lines[0]
            label = line.source
            if line.source and self._names is not None:
                found = self._names.label(line.source, now)
                if found is None:
                    return
                label = found
            self._say(
                _Line(f"{label}: {line.text}" if label else line.text, "", line.own_line_feed)
            )
            self._lines.popleft()

    def next_deadline(self, now: float) -> float | None:
        """Until when at the latest a line waits for its name, or None."""
        return now + PATIENCE if self._lines else None

    def finish(self) -> None:
        """Say everything that still waits, without names."""
        self._names = None
        self.flush(0.0)

    def _say(self, line: _Line) -> None:
        self.log.say(line.text, own_line_feed=line.own_line_feed)


def _text(event: Event) -> str:
    if event.kind is EventKind.STAGE:
        return f"Stage {event.stage}"
    if event.kind is EventKind.OPENED:
        return "OPEN SESAME"
    return f"sequence timeout (stage {event.stage})"
