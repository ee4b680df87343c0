"""The log as a reader of events: which lines are said, in the order in which things happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from time import monotonic

from pyknockd.model.events import CommandEnded, CommandOutput, Event, FirstKnocksLeftOut
from pyknockd.report.budgets import Budgets, Kind, LeftOut, kind_of
from pyknockd.report.hostnames import PATIENCE, Names
from pyknockd.report.lines import FENCED, Line, Priority, lines_of
from pyknockd.report.log import Log
from pyknockd.system.process import NOT_FOUND

_MOST_WAITING = 2_000  # lines that wait for a name


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A line and the moment until which it waits for its source's name."""

    line: Line
    until: float


class Report:
    """Says lines at once, or, with names to be looked up, as soon as the first in line has one.

    Of what strangers can bring about only so much is said a second, and how many lines were left
    out.
    """

    def __init__(self, log: Log, *, look_up: bool = False, fenced: bool = False) -> None:
        """``fenced``: commands may fail because of the service's fence, which is said once."""
        self.log = log
        self._is_fence_to_be_told = fenced
        self._budgets = Budgets()
        self._names = Names() if look_up else None
        self._lines: deque[_Waiting] = deque()

    def allow(self, lines: int) -> None:
        """Say so many lines of each kind a second from now on."""
        self._budgets.most = lines

    def take(self, event: Event) -> None:
        """Say what there is to say of ``event``."""
        self._say_left_out(self._budgets.over(event.time))
        if isinstance(event, FirstKnocksLeftOut):
            self._budgets.leave_out(Kind.FIRST_KNOCKS, event.count, event.time)
            return
        kind = kind_of(event)
        if isinstance(event, CommandOutput):
            self._budgets.leave_out(Kind.OUTPUT, event.left_out, event.time)
        for line in lines_of(event):
            if kind is None or self._budgets.has_room(kind, event.time):
                self._say(line)
        if self._is_fence_to_be_told and _may_be_due_to_fence(event):
            self._is_fence_to_be_told = False
            self._say(FENCED)

    def flush(self, now: float) -> None:
        """Say what can be said by now."""
        self.log.flush(now)
        if self._names is not None:
            self._names.work(now)
        self._say_left_out(self._budgets.over(now))
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
        deadlines = [self._budgets.next_deadline()]
        if self._names is not None:
            deadlines.append(self._names.next_deadline())
        if self._lines:
            deadlines.append(max(self._lines[0].until, now))
        deadlines.append(self.log.next_deadline(now))
        return min((one for one in deadlines if one is not None), default=None)

    def finish(self) -> None:
        """Say everything that still waits, without names."""
        self._say_left_out(self._budgets.end())
        self._names = None
        self.flush(monotonic())
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

    def _say_left_out(self, found: Iterable[LeftOut]) -> None:
        for one in found:
            text = f"a flood of {one.kind.value}: {one.count} lines about them left out"
            self._say(Line(text, priority=Priority.WARNING))


def _may_be_due_to_fence(event: Event) -> bool:
    """Whether a program has failed that the fence may keep from something: not iptables."""
    if not isinstance(event, CommandEnded) or event.status in (0, NOT_FOUND) or event.problem:
        return False
    words = event.change.words or ("",)
    return not words[0].rpartition("/")[2].startswith(("iptables", "ip6tables"))


def _labelled(line: Line, label: str) -> Line:
    return replace(line, text=f"{label}: {line.text}", source="") if label else line
