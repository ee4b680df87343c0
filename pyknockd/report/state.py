"""What there is as of now, out of the events: who is in, what is listened on, and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pyknockd.model.events import (
    AttemptEnded,
    Closed,
    CommandEnded,
    CommandHung,
    ConfigRefused,
    ConfigTaken,
    Event,
    FirewallPrepared,
    FirstKnocksLeftOut,
    InterfaceChanged,
    InterfaceState,
    InternalFault,
    LastGoodTaken,
    NotHeard,
    Opened,
    PacketsDropped,
    Refused,
    StageReached,
    Standing,
    Started,
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted: what came to pass, at which door, and why; the latter are empty if none."""

    what: str
    door: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """A door that stands open since ``since``, as its last event says. Times are the loop's."""

    since: float
    standing: Standing


class State:
    """Reads events. ``version`` is another as soon as who is in or what is listened on is another."""

    def __init__(self) -> None:
        self.version = 0
        self.started: float | None = None
        self.open: dict[int, Stay] = {}
        self.interfaces: dict[str, InterfaceChanged] = {}
        self.ways: tuple[str, ...] = ()
        self.refused: ConfigRefused | None = None  # unless the files have been taken over since
        self.last_good = ""  # that the doors are those of a copy, and why
        self.counts: Counter[Tally] = Counter()

    def take(self, event: Event) -> None:
        """Heed ``event``."""
        tally = _tally(event)
        if tally is not None:
            self.counts[tally] += _count(event)
        if isinstance(event, Standing):
            before = self.open.get(event.opening)
            self.open[event.opening] = Stay(before.since if before else event.time, event)
            self.version += 1
        elif isinstance(event, Closed):
            self.open.pop(event.opening, None)
            self.version += 1
        elif isinstance(event, InterfaceChanged):
            self._heed_interface(event)
            self.version += 1
        elif isinstance(event, FirewallPrepared):
            self.ways = event.ways
        elif isinstance(event, Started):
            self.started = event.time
        elif isinstance(event, ConfigRefused):
            self.refused = event
        elif isinstance(event, LastGoodTaken):
            self.last_good = f"MISTAKES, taken are the doors of {event.taken}: {event.lines[0]}; "
            self.version += 1
        elif isinstance(event, ConfigTaken):
            self.refused, self.last_good = None, ""
            self.version += 1

    def _heed_interface(self, event: InterfaceChanged) -> None:
        if event.state is InterfaceState.GONE:
            self.interfaces.pop(event.name, None)
        else:
            self.interfaces[event.name] = event

    @property
    def is_deaf(self) -> bool:
        """Whether nothing is listened on, though something is to be."""
        states = [event.state for event in self.interfaces.values()]
        return InterfaceState.MISSING in states and InterfaceState.COME not in states


def _tally(event: Event) -> Tally | None:
    name = _NAMES.get(type(event))
    if name is None:
        return None
    if isinstance(event, (StageReached, Opened)):
        return Tally(name, event.door.name)
    if isinstance(event, (AttemptEnded, NotHeard, Refused)):
        return Tally(name, event.door.name, event.cause.value)
    if isinstance(event, (Standing, Closed)):
        return Tally(name, event.door, event.cause.value)
    if isinstance(event, CommandEnded):
        return Tally(name, event.change.door, "failed" if event.status else "ok")
    if isinstance(event, CommandHung):
        return Tally(name, event.change.door)
    return Tally(name)


def _count(event: Event) -> int:
    if isinstance(event, (PacketsDropped, FirstKnocksLeftOut, InternalFault)):
        return event.count
    return 1


_NAMES: dict[type, str] = {
    StageReached: "stages",
    AttemptEnded: "attempts_ended",
    NotHeard: "not_heard",
    Opened: "opened",
    Refused: "refused",
    Standing: "standing",
    Closed: "closed",
    CommandEnded: "commands",
    CommandHung: "commands_hung",
    PacketsDropped: "packets_dropped",
    FirstKnocksLeftOut: "first_knocks_left_out",
    InternalFault: "internal_faults",
    ConfigRefused: "reloads_refused",
}
