"""All ways of showing that one may open a door, with one face to the loop.

A proof answers four questions: what is to be listened for, what a knock does, what is over by now,
and when it wants to be asked again. Sequences are the one kind there is. Where a door takes its
sequence from a file of one-time sequences, each is good for one opening: the door opens once the
file says that it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from pyknockd.model import Door, InForce, Knock, Limits, Listen, Step
from pyknockd.model.events import (
    AttemptEvent,
    EndCause,
    NotHeard,
    Opened,
    RefusalCause,
    Refused,
    SequenceChanged,
)
from pyknockd.proof import onetime
from pyknockd.proof.nearby import Nearby
from pyknockd.proof.sequence import Sequences

UseSequence = Callable[[str, tuple[Step, ...]], InForce]


class Worker(Protocol):
    """Who does what may have to wait, and what that returns afterwards."""

    def submit(self, job: Callable[[], Callable[[], None]]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Marked:
    """What came of marking the sequence ``used`` of the file ``path``: ``events``, and what is next."""

    path: str
    used: tuple[Step, ...]
    events: tuple[Opened | Refused, ...]
    next: InForce


class Proofs:
    """The proofs of ``doors``.

    ``worker`` does what may wait for a disk; ``tell`` is called in the loop with what came of that,
    for ``settle`` of these proofs or of those that have taken their place. ``use`` marks a sequence
    of a file as used, and gives the one in force from then on (``onetime.use``).
    """

    def __init__(
        self,
        doors: Iterable[Door],
        limits: Limits,
        worker: Worker,
        tell: Callable[[Marked], None],
        use: UseSequence = onetime.use,
    ) -> None:
        self._doors = list(doors)
        self._sequences = Sequences(self._doors, limits.attempts)
        self._worker = worker
        self._tell = tell
        self._use = use
        self._nearby: Nearby | None = None

    def disabled(self, now: float) -> list[SequenceChanged]:
        """The doors that nobody can open, since their files gave them no sequence."""
        return [SequenceChanged(now, door) for door in self._doors if not door.steps]

    def listens(self) -> tuple[Listen, ...]:
        """What there is to listen for."""
        return self._sequences.listens()

    @property
    def attempts(self) -> int:
        """How many attempts are under way."""
        return len(self._sequences)

    def knows(self, source: str) -> bool:
        """Whether anything is remembered of this address."""
        return self._sequences.knows(source)

    def feed(self, knock: Knock) -> list[AttemptEvent]:
        """What ``knock`` does."""
        events = self._sequences.feed(knock)
        opened = [event for event in events if isinstance(event, Opened)]
        files = dict.fromkeys(event.door.one_time_file for event in opened)
        for path in files:
            if path is not None:
                held = tuple(event for event in opened if event.door.one_time_file == path)
                events = [event for event in events if event not in held] + self._use_up(path, held)
        return events

    def settle(self, marked: Marked) -> list[AttemptEvent]:
        """The doors open, or stay shut with a reason, and wait at the next sequence."""
        now = marked.events[0].time
        ended = self._put_in_force(marked.next.steps, marked.path, marked.used, now)
        at_it = [
            SequenceChanged(now, door, marked.next.left)
            for door in self._doors
            if door.one_time_file == marked.path and door.steps == marked.next.steps
        ]
        return [*marked.events, *ended, *at_it]

    def expire(self, now: float) -> list[AttemptEvent]:
        """What is over at ``now``."""
        return self._sequences.expire(now)

    def next_deadline(self) -> float | None:
        """When ``expire`` has something to tell, or None."""
        return self._sequences.next_deadline()

    def near(self, knock: Knock) -> list[NotHeard]:
        """What ``knock``, which nobody listens to, comes near to: a port off, by another protocol."""
        return self._around().near(knock)

    def elsewhere(self, knock: Knock) -> list[NotHeard]:
        """What ``knock``, on an interface that is not listened on, would be a step of."""
        return self._around().elsewhere(knock)

    def end(self, now: float, cause: EndCause = EndCause.RELOAD) -> list[AttemptEvent]:
        """These doors are guarded no longer: what is under way is over."""
        return self._sequences.end_all(now, cause)

    def _around(self) -> Nearby:
        if self._nearby is None:
            self._nearby = Nearby(self._doors)
        return self._nearby

    def _use_up(self, path: str, opened: tuple[Opened, ...]) -> list[AttemptEvent]:
        """What comes before it is known that the sequence is used up, by which ``opened`` came about."""
        used, now = opened[0].door.steps, opened[0].time
        if not self._worker.submit(partial(self._mark, path, used, opened)):
            text = "too many one-time sequences wait to be marked as used"
            return [_refused(event, text) for event in opened]
        # Meanwhile nobody can use the sequence again.
        return self._put_in_force((), path, used, now)

    def _mark(
        self, path: str, used: tuple[Step, ...], opened: tuple[Opened, ...]
    ) -> Callable[[], None]:
        """In the worker's thread: mark the sequence as used, by the first that it was to open."""
        try:
            following = self._use(path, used)
        except onetime.OneTimeError as error:
            refused = tuple(_refused(event, str(error)) for event in opened)
            return partial(self._tell, Marked(path, used, refused, _next_or_none(path)))
        others = (
            _refused(one, f"{path}: the sequence has been used already") for one in opened[1:]
        )
        return partial(self._tell, Marked(path, used, (opened[0], *others), following))

    def _put_in_force(
        self, steps: tuple[Step, ...], path: str, used: tuple[Step, ...], now: float
    ) -> list[AttemptEvent]:
        """Let the doors of ``path`` that are at the sequence ``used``, or at none, be at ``steps``."""
        events: list[AttemptEvent] = []
        for place, door in enumerate(self._doors):
            if door.one_time_file == path and door.steps in (used, ()) and door.steps != steps:
                self._doors[place] = replace(door, steps=steps, problem="")
                self._nearby = None
                events += self._sequences.replace(door, self._doors[place], now)
        return events


def _refused(event: Opened, text: str) -> Refused:
    return Refused(event.time, event.source, event.door, RefusalCause.ONE_TIME_FILE, text)


def _next_or_none(path: str) -> InForce:
    """The sequence in force after one could not be used: none, if the file cannot be written."""
    try:
        return onetime.first_sequence(path)
    except onetime.OneTimeError:
        return InForce()
