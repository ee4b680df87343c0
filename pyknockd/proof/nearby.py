"""What comes near a sequence without being heard: a port off, by the other protocol, elsewhere.

Nothing comes of such a packet. It is told to whoever wonders why a knock does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyknockd.model import Door, Flags, Knock, Protocol, Step
from pyknockd.model.events import NotHeard, NotHeardCause

NEAR_PORTS = 3  # so many numbers off is near
_FIRST, _LOOKED_AT = int(Flags.SYN), int(Flags.SYN | Flags.ACK | Flags.RST | Flags.FIN)


@dataclass(frozen=True, slots=True)
class _Place:
    """A step of a door."""

    door: Door
    step: Step


class Nearby:
    """Knows what is near to a step of ``doors``."""

    def __init__(self, doors: Iterable[Door]) -> None:
        self._at: dict[int, list[_Place]] = {}
        for door in doors:
            for step in dict.fromkeys(door.steps):
                self._at.setdefault(step.port, []).append(_Place(door, step))

    def near(self, knock: Knock) -> list[NotHeard]:
        """At most one event: of the nearest step, the other protocol being nearer than a port."""
        if not self._at or not _begins_something(knock):
            return []
        for place in self._at.get(knock.port, ()):
            if _fits(place.door, knock):
                return [_event(knock, place, NotHeardCause.WRONG_PROTOCOL)]
        for off in range(1, NEAR_PORTS + 1):
            for port in (knock.port - off, knock.port + off):
                for place in self._at.get(port, ()):
                    if place.step.protocol is knock.protocol and _fits(place.door, knock):
                        return [_event(knock, place, NotHeardCause.NEAR_PORT)]
        return []

    def elsewhere(self, knock: Knock) -> list[NotHeard]:
        """At most one event: of the first door that has such a step, wherever ``knock`` goes."""
        for place in self._at.get(knock.port, ()):
            if place.step.protocol is knock.protocol and _begins_something(knock):
                return [_event(knock, place, NotHeardCause.NOT_LISTENED_ON)]
        return []


def _begins_something(knock: Knock) -> bool:
    """Not a packet of a connection: those go to whatever port its client happens to have."""
    return knock.protocol is Protocol.UDP or knock.flags & _LOOKED_AT == _FIRST


def _fits(door: Door, knock: Knock) -> bool:
    return knock.local if door.target is None else knock.destination == door.target


def _event(knock: Knock, place: _Place, cause: NotHeardCause) -> NotHeard:
    return NotHeard(knock.time, knock, place.door, cause, place.step)
