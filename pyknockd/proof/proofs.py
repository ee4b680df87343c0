"""All ways of showing that one may open a door, with one face to the loop.

A proof answers four questions: what is to be listened for, what a knock does, what is over by now,
and when it wants to be asked again. Sequences are the one kind there is. Where a door takes its
sequence from a file of one-time sequences, each is good for one opening: the door opens once the
file says that it is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from pyknockd.model import Door, Knock, Limits, Listen, Step
from pyknockd.model.events import AttemptEvent, Opened, RefusalCause, Refused, SequenceChanged
from pyknockd.proof import onetime
from pyknockd.proof.sequence import Sequences
from pyknockd.system.worker import Worker


class Proofs:
    """The proofs of ``doors``.

    ``worker`` does what may wait for a disk; ``tell`` is called in the loop with what came of that.
    """

    def __init__(
        self,
        doors: Iterable[Door],
        limits: Limits,
        worker: Worker,
        tell: Callable[[AttemptEvent], None],
    ) -> None:
        self._doors = list(doors)
        self._sequences = Sequences(self._doors, limits.attempts)
        self._worker = worker
        self._tell = tell
        # How many sequences of each file are being marked.
        self._unsettled: Counter[str] = Counter()

    def listens(self) -> tuple[Listen, ...]:
        """What there is to listen for."""
        return self._sequences.listens()

    def knows(self, source: str) -> bool:
        """Whether anything is remembered of this address."""
        return self._sequences.knows(source)

    def feed(self, knock: Knock) -> list[AttemptEvent]:
        """What ``knock`` does."""
        events = self._sequences.feed(knock)
        if any(isinstance(event, Opened) and event.door.one_time_file for event in events):
            return [told for event in events for told in self._use_up(event)]
        return events

    def expire(self, now: float) -> list[AttemptEvent]:
        """What is over at ``now``."""
        return self._sequences.expire(now)

    def next_deadline(self) -> float | None:
        """When ``expire`` has something to tell, or None."""
        return self._sequences.next_deadline()

    def end(self, now: float) -> list[AttemptEvent]:
        """Other doors are guarded from now on: what is under way is over."""
        return self._sequences.end_all(now)

    def _use_up(self, event: AttemptEvent) -> list[AttemptEvent]:
        """``event``, or for a one-time sequence what comes before it is known to be used up."""
        if not isinstance(event, Opened) or event.door.one_time_file is None:
            return [event]
        # Meanwhile nobody can use the sequence again.
        path = event.door.one_time_file
        events = self._put_in_force((), event.door, event.time)
        if self._worker.submit(partial(self._mark, event, path)):
            self._unsettled[path] += 1
        else:
            text = "too many one-time sequences wait to be marked as used"
            events.append(_refused(event, text))
        return events

    def _mark(self, event: Opened, path: str) -> Callable[[], None]:
        """In the worker's thread: mark the sequence as used."""
        try:
            steps = onetime.use(path, event.door.steps)
        except onetime.OneTimeError as error:
            return partial(self._settle, path, _refused(event, str(error)), _next_or_none(path))
        return partial(self._settle, path, event, steps)

    def _settle(self, path: str, event: Opened | Refused, steps: tuple[Step, ...]) -> None:
        """Back in the loop: the door opens, or stays shut with a reason, and waits at ``steps``."""
        self._tell(event)
        self._unsettled[path] -= 1
        if self._unsettled[path]:
            return
        del self._unsettled[path]
        self._put_in_force(steps, event.door, event.time)
        for door in self._doors:
            if door.one_time_file == path and door.steps == steps:
                self._tell(SequenceChanged(event.time, door))

    def _put_in_force(self, steps: tuple[Step, ...], used: Door, now: float) -> list[AttemptEvent]:
        """Let the doors at the sequence of ``used``, or at none, be at ``steps``."""
        events: list[AttemptEvent] = []
        for place, door in enumerate(self._doors):
            if door.one_time_file == used.one_time_file and door.steps in (used.steps, ()):
                self._doors[place] = replace(door, steps=steps)
                events += self._sequences.replace(door, self._doors[place], now)
        return events


def _refused(event: Opened, text: str) -> Refused:
    return Refused(event.time, event.source, event.door, RefusalCause.ONE_TIME_FILE, text)


def _next_or_none(path: str) -> tuple[Step, ...]:
    """The sequence in force after one could not be used: none, if the file cannot be written."""
    try:
        return onetime.first_sequence(path)
    except onetime.OneTimeError:
        return ()
