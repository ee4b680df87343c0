"""What the daemon does for whoever asks it: knockctl's side of the house."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from time import monotonic

from pyknockd import __version__
from pyknockd.control import Door as DoorAnswer
from pyknockd.control import Interface, Refusal, Stream, Visit, Watchers
from pyknockd.control import Status as StatusAnswer
from pyknockd.doors import Doors, Journal, Opening, StoreError, closing_of
from pyknockd.model import Change, ChangeKind, Config, Door, Past, Question, templates
from pyknockd.model.events import (
    AlreadyThere,
    ByHand,
    Closed,
    CommandEnded,
    CommandHung,
    Event,
    HandAction,
    Opened,
    Refused,
    Standing,
    StandingCause,
)
from pyknockd.report import Bounds, State, Status, Story, exposition, json_value, source_of
from pyknockd.system.clock import wall

REMEMBERED = Bounds(sources=500, first=4, last=20)  # for whoever asks why
OPEN_SECONDS = 5.0  # that an opening command is waited for; knockctl waits for longer


@dataclass(frozen=True, slots=True)
class House:
    """The daemon's rooms. ``tell`` hands events out, ``reload`` gives the mistakes that the files have.

    ``check`` finds out what is to be said of the files as they are now, beside the loop, and gives
    that to its argument in the loop.
    """

    state: State
    status: Status
    doors: Doors
    journal: Journal
    config_path: str
    config: Callable[[], Config]
    attempts: Callable[[], int]
    tell: Callable[[Iterable[Event]], None]
    reload: Callable[[], tuple[str, ...]]
    check: Callable[[Callable[[tuple[str, ...]], None]], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody who waits until ``door`` is open for ``source``, until so late."""

    door: str
    source: str
    until: float
    answer: Callable[[Visit | Refusal | None], None]


class Desk:
    """Answers for ``house``; what each method does, ``control`` says."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._waiting: list[_Waiting] = []
        self._watchers = Watchers()
        self._story = Story(REMEMBERED)

    def status(self, answer: Callable[[StatusAnswer], None]) -> None:
        self._house.check(lambda said: answer(self._status(said)))

    def visits(self) -> list[Visit]:
        """Who is in, those first who are there for longest."""
        stays = self._house.state.open.values()
        visits = []
        for stay in stays:
            opening = self._house.doors.get(stay.standing.opening)
            if opening is not None:
                visits.append(self._visit(opening, opening.plan.closing))
        return visits

    def history(self, question: Question, answer: Callable[[list[Past] | Refusal], None]) -> None:
        def told(found: list[Past] | StoreError) -> None:
            if isinstance(found, StoreError):
                answer(Refusal(f"the journal cannot be read: {found}"))
            else:
                answer(found)

        if not self._house.journal.ask(question, told):
            raise Refusal("there is no journal now, as the log says: nothing is remembered")

    def open(
        self, door: str, source: str, who: str, answer: Callable[[Visit | Refusal | None], None]
    ) -> None:
        house, now, found = self._house, monotonic(), self._door(door)
        if not found.opening.for_source(source):
            key = "Start_Command_6" if ":" in source else "Start_Command"
            raise Refusal(f"{door} does nothing for {source}: it has no {key}")
        self._waiting.append(_Waiting(door, source, now + OPEN_SECONDS, answer))
        house.tell([ByHand(now, HandAction.OPEN, door, source, who)])
        house.tell(house.doors.take(Opened(now, source, found)))

    def take(self, event: Event) -> None:
        """Remember it, and tell whoever watches, or waits for a door that he has opened."""
        self._story.take(event)
        if self._watchers:
            self._watchers.show(source_of(event), event.time, json_value(event, wall(0.0)))
        if not self._waiting or (isinstance(event, CommandEnded) and not event.status):
            return  # what follows from that, another event says
        for waiting in [one for one in self._waiting if _is_about(event, one)]:
            self._waiting.remove(waiting)
            waiting.answer(self._outcome(event))

    def expire(self, now: float) -> None:
        """Let nobody wait for longer than he is patient."""
        for waiting in [one for one in self._waiting if one.until <= now]:
            self._waiting.remove(waiting)
            waiting.answer(None)

    def next_deadline(self) -> float | None:
        """When ``expire`` has something to do, or None."""
        return min((one.until for one in self._waiting), default=None)

    def close(self, door: str | None, source: str, who: str) -> list[Visit]:
        house, now = self._house, monotonic()
        ways = [(opening, _closing(opening)) for opening in self._standing(door, source)]
        visits = [self._visit(opening, closing) for opening, closing in ways]
        for opening, closing in ways:
            house.tell([ByHand(now, HandAction.CLOSE, closing.door, source, who)])
            house.doors.close_by_hand(opening, closing, now)
        house.tell(house.doors.work(now))
        return visits

    def extend(self, door: str, source: str, seconds: float, who: str) -> Visit:
        house, now = self._house, monotonic()
        opening = self._standing(door, source)[-1]
        if opening.until is None:
            raise Refusal(f"{door} stands open for {source} until somebody closes it")
        until = opening.until + seconds
        house.tell([ByHand(now, HandAction.EXTEND, door, source, who, seconds)])
        house.tell(house.doors.extend(opening, until, now))
        return self._visit(replace(opening, until=until), opening.plan.closing)

    def reload(self) -> tuple[str, ...]:
        return self._house.reload()

    def why(self, source: str | None) -> list[dict[str, object]]:
        return [json_value(event, wall(0.0)) for event in self._story.events(source)]

    def watch(self, source: str | None, stream: Stream) -> None:
        self._watchers.add(source, stream)

    def metrics(self) -> str:
        state = self._house.state
        since = state.started if state.started is not None else monotonic()
        return exposition(state, self._house.attempts(), monotonic() - since)

    def _status(self, said: tuple[str, ...]) -> StatusAnswer:
        house, state = self._house, self._house.state
        counts = {tally.what: count for tally, count in state.counts.items() if not tally.door}
        return StatusAnswer(
            version=__version__,
            since=wall(state.started if state.started is not None else monotonic()),
            text=house.status.text(),
            interfaces=tuple(
                Interface(event.name, event.state.value, event.text)
                for event in state.interfaces.values()
            ),
            doors=tuple(self._doors()),
            open=len(state.open),
            attempts=house.attempts(),
            packets_dropped=counts.get("packets_dropped", 0),
            first_knocks_left_out=counts.get("first_knocks_left_out", 0),
            config_path=house.config_path,
            config=said,
        )

    def _doors(self) -> Iterator[DoorAnswer]:
        ways = self._house.state.ways
        for door in self._house.config().doors:
            own = tuple(
                way for text in templates((door,)) for way in ways if way.startswith(f"{text}: ")
            )
            proof = "sequence" if door.one_time_file is None else "one-time sequences"
            unique = tuple(dict.fromkeys(own))
            yield DoorAnswer(door.name, proof, len(door.steps), door.timeout, unique)

    def _door(self, name: str) -> Door:
        doors = self._house.config().doors
        for door in doors:
            if door.name == name:
                return door
        there = ", ".join(door.name for door in doors)
        raise Refusal(f"no door is called {name}; there are: {there}")

    def _standing(self, door: str | None, source: str) -> list[Opening]:
        """What stands open. Raises Refusal if nothing does."""
        found = [
            opening
            for opening in self._house.doors.standing()
            if opening.plan.opening.source == source and door in (None, opening.plan.opening.door)
        ]
        if not found:
            if door is not None:
                self._door(door)
            what = "no door stands" if door is None else f"{door} does not stand"
            raise Refusal(f"{what} open for {source}; who is in: knockctl doors")
        return found

    def _outcome(self, event: Event) -> Visit | Refusal | None:
        if isinstance(event, Standing):
            opening = self._house.doors.get(event.opening)
            return None if opening is None else self._visit(opening, opening.plan.closing)
        if isinstance(event, Refused):
            return Refusal(f"{event.door.name} stays shut: {event.cause.value}")
        if isinstance(event, AlreadyThere):
            name = event.change.door
            return Refusal(f"the rule of {name} is there already, and not by knockd: it stays")
        if isinstance(event, CommandEnded):
            name, status = event.change.door, event.status
            return Refusal(f"the command of {name} has failed, with status {status}: see the log")
        return None

    def _visit(self, opening: Opening, closing: Change | None) -> Visit:
        change, stay = opening.plan.opening, self._house.state.open.get(opening.number)
        until = opening.until
        if stay is not None:
            since, cause = stay.since, stay.standing.cause
        else:
            # Its command has failed: nobody was told that it is open, and it is to be closed.
            since, cause = (until or monotonic()) - opening.plan.open_for, StandingCause.OPENED
        return Visit(
            change.door,
            change.source,
            wall(since),
            None if until is None else wall(until),
            cause.value,
            None if closing is None else closing.command,
        )


def _closing(opening: Opening) -> Change:
    """What closes it by hand. Raises Refusal if that is not known."""
    closing = closing_of(opening)
    if closing is None:
        raise Refusal(
            f"{opening.plan.opening.door} has no Stop_Command, and what its command has done is not"
            " known: knock at the door that closes it, or undo by hand what it has done"
        )
    return closing


def _is_about(event: Event, waiting: _Waiting) -> bool:
    """Whether it says what has become of a door's opening command."""
    if isinstance(event, Refused):
        return (event.door.name, event.source) == (waiting.door, waiting.source)
    if isinstance(event, (Standing, Closed)):
        return (event.door, event.source) == (waiting.door, waiting.source)
    if not isinstance(event, (AlreadyThere, CommandEnded, CommandHung)):
        return False
    change = event.change
    whose = (change.kind, change.door, change.source)
    return whose == (ChangeKind.OPEN, waiting.door, waiting.source)
