"""What the daemon does for whoever asks it: knockctl's side of the house."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic

from pyknockd import __version__
from pyknockd.control import Door as DoorAnswer
from pyknockd.control import Interface, Refusal, Visit
from pyknockd.control import Status as StatusAnswer
from pyknockd.doors import Doors, Journal, Opening
from pyknockd.model import Config, Door, Past, Question, templates
from pyknockd.model.events import ByHand, Event, HandAction, Opened
from pyknockd.report import State, Status, exposition
from pyknockd.system.clock import wall


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


class Desk:
    """Answers for ``house``; what each method does, ``control`` says."""

    def __init__(self, house: House) -> None:
        self._house = house

    def status(self, answer: Callable[[StatusAnswer], None]) -> None:
        self._house.check(lambda said: answer(self._status(said)))

    def visits(self) -> list[Visit]:
        """Who is in, those first who are there for longest."""
        stays = self._house.state.open.values()
        return [self._visit(stay.standing.opening) for stay in stays]

    def history(self, question: Question, answer: Callable[[list[Past]], None]) -> None:
        if not self._house.journal.ask(question, answer):
            raise Refusal("there is no journal: nothing is remembered")

    def open(self, door: str, source: str, who: str) -> Visit | None:
        house, now, found = self._house, monotonic(), self._door(door)
        if not found.opening.for_source(source):
            key = "Start_Command_6" if ":" in source else "Start_Command"
            raise Refusal(f"{door} does nothing for {source}: it has no {key}")
        before = set(house.state.open)
        house.tell([ByHand(now, HandAction.OPEN, door, source, who)])
        house.tell(house.doors.take(Opened(now, source, found)))
        house.tell(())
        new = [number for number in house.state.open if number not in before]
        return self._visit(new[-1]) if new else None

    def close(self, door: str | None, source: str, who: str) -> list[Visit]:
        house, now = self._house, monotonic()
        openings = self._standing(door, source)
        visits = [self._visit(opening.number) for opening in openings]
        for opening in openings:
            if opening.plan.closing is None:
                name = opening.plan.opening.door
                raise Refusal(f"{name} has no Stop_Command: nothing is known that would close it")
        for opening in openings:
            name = opening.plan.opening.door
            house.tell([ByHand(now, HandAction.CLOSE, name, source, who)])
        house.doors.close_by_hand(openings, now)
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
        house.tell(())
        return self._visit(opening.number)

    def reload(self) -> tuple[str, ...]:
        return self._house.reload()

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
            own = tuple(way for text in templates((door,)) for way in ways if way.startswith(text))
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

    def _visit(self, number: int) -> Visit:
        stay = self._house.state.open[number]
        standing, opening = stay.standing, self._house.doors.get(number)
        closing = opening.plan.closing.command if opening and opening.plan.closing else None
        until = opening.until if opening is not None else standing.until
        return Visit(
            standing.door,
            standing.source,
            wall(stay.since),
            None if until is None else wall(until),
            standing.cause.value,
            closing,
        )
