"""Events → each source's story: what was heard of it, how far it got, and why no further.

Memory is bounded: by ``MOST_SOURCES``, of which those that got no further than the first stage make
room first, and by what is kept of each, its first events and its last.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from pyknockd.model.events import (
    AttemptEnded,
    Closed,
    ClosedCause,
    CommandStarted,
    Event,
    FirstKnocksLeftOut,
    NotHeard,
    Opened,
    Refused,
    StageReached,
    Standing,
)
from pyknockd.report.sentences import sentence_of
from pyknockd.report.subjects import door_of, source_of

MOST_SOURCES = 1_000
MOST_FIRST, MOST_LAST = 50, 50  # events that are kept of a source

# By the closing command, by its being none, and by the opening that is renewed.
_TOLD_BY_OTHERS = (ClosedCause.TIME, ClosedCause.NOTHING_TO_CLOSE, ClosedCause.SUPERSEDED)
_TOLD = (CommandStarted, NotHeard, Opened, Refused, Standing)

TimeText = Callable[[float], str]
"""Seconds since the epoch → what to write for it."""


class Kind(Enum):
    """What a line is, for whoever gives it a colour."""

    SOURCE = "source"
    HEARD = "heard"
    ENDED = "ended"
    OPENED = "opened"
    LEFT_OUT = "left-out"


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a story."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many sources are remembered, and of each how many events, its first and its last."""

    sources: int = MOST_SOURCES
    first: int = MOST_FIRST
    last: int = MOST_LAST


@dataclass(slots=True)
class _Source:
    """What is kept of a source, and how many events between its first and its last are not."""

    first: list[Event] = field(default_factory=list)
    last: deque[Event] | None = None
    left_out: int = 0

    def add(self, event: Event, bounds: Bounds) -> None:
        if len(self.first) < bounds.first:
            self.first.append(event)
            return
        if self.last is None:
            self.last = deque(maxlen=bounds.last)
        if len(self.last) == bounds.last:
            self.left_out += 1
        self.last.append(event)


class Story:
    """Reads events, and tells the stories that they make."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:
        self.openings = 0
        self._bounds = bounds
        self._beginners: OrderedDict[str, _Source] = OrderedDict()
        self._further: OrderedDict[str, _Source] = OrderedDict()
        self._has_forgotten = False
        self._left_out = 0

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._beginners) + len(self._further)

    def take(self, event: Event) -> None:
        """Heed ``event``."""
        if isinstance(event, FirstKnocksLeftOut):
            self._left_out += event.count
        if not _is_told(event):
            return
        source = source_of(event)
        if isinstance(event, Opened):
            self.openings += 1
        known = self._further.get(source)
        if known is None:
            known = self._beginner(source)
            if not isinstance(event, NotHeard) and getattr(event, "stage", 2) > 1:
                self._further[source] = self._beginners.pop(source)
        known.add(event, self._bounds)

    def events(self, source: str | None) -> list[Event]:
        """What is remembered, of one source or of all, in the order of their times."""
        both = (self._beginners, self._further)
        found = [one for table in both for name, one in table.items() if source in (None, name)]
        events = [event for one in found for event in (*one.first, *(one.last or ()))]
        return sorted(events, key=lambda event: event.time)

    def lines(self, time_text: TimeText) -> Iterator[Told]:
        """The stories, in the order in which they began."""
        sources = [*self._beginners.items(), *self._further.items()]
        sources.sort(key=lambda item: item[1].first[0].time)
        for address, source in sources:
            yield Told(Kind.SOURCE, address)
            yield from _told(source.first, time_text)
            if source.left_out:
                yield Told(Kind.LEFT_OUT, f"  … {source.left_out:,} more, left out …")
            yield from _told(source.last or (), time_text)
        if self._has_forgotten:
            most = f"{self._bounds.sources:,}"
            text = f"and others: of so many sources {most} are told of, those that came furthest"
            yield Told(Kind.LEFT_OUT, text)
        if self._left_out:
            yield Told(Kind.LEFT_OUT, sentence_of(FirstKnocksLeftOut(0.0, self._left_out)))

    def _beginner(self, source: str) -> _Source:
        known = self._beginners.get(source)
        if known is not None:
            return known
        if len(self) >= self._bounds.sources:
            (self._beginners or self._further).popitem(last=False)
            self._has_forgotten = True
        self._beginners[source] = _Source()
        return self._beginners[source]


@dataclass(frozen=True, slots=True)
class _Line:
    """What is said of an event, and of how many that follow it and say the same."""

    event: Event
    door: str
    text: str
    times: int = 1


def _told(events: Iterable[Event], time_text: TimeText) -> Iterator[Told]:
    lines: list[_Line] = []
    for event in events:
        line = _Line(event, door_of(event), sentence_of(event))
        if lines and (lines[-1].door, lines[-1].text) == (line.door, line.text):
            lines[-1] = _Line(lines[-1].event, line.door, line.text, lines[-1].times + 1)
        else:
            lines.append(line)
    for line in lines:
        times = f" ({line.times} times)" if line.times > 1 else ""
        text = f"  {time_text(line.event.time)}  {line.door}: {line.text}{times}"
        yield Told(_kind_of(line.event), text)


def _is_told(event: Event) -> bool:
    """Whether ``event`` is part of its source's story, which it is not if another says it as well."""
    if isinstance(event, (StageReached, AttemptEnded)):
        return not event.quiet
    if isinstance(event, Closed):
        return event.cause not in _TOLD_BY_OTHERS
    return isinstance(event, _TOLD)


def _kind_of(event: Event) -> Kind:
    if isinstance(event, (AttemptEnded, NotHeard, Refused)):
        return Kind.ENDED
    return Kind.OPENED if isinstance(event, (Opened, CommandStarted)) else Kind.HEARD
