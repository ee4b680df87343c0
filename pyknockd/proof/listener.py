"""A door as the attempts look at it: what it listens to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyknockd.model import Door, Flags, Knock, Listen, Policy, Protocol, Step

_UDP = Protocol.UDP
_HIGHEST_PORT = 65_535
_SYN = Flags.SYN
_NOT_A_FIRST = Flags.ACK | Flags.RST | Flags.FIN


@dataclass(frozen=True, slots=True)
class Listener:
    """Flags are bits here, so that one comparison decides."""

    door: Door
    policy: Policy | None
    wanted: int
    looked_at: int

    def fits_destination(self, knock: Knock) -> bool:
        """Whether it goes where the door listens."""
        target = self.door.target
        return knock.local if target is None else knock.destination == target

    def begins_with(self, knock: Knock) -> bool:
        """Whether it is the first step."""
        return is_step(self.door.steps[0], knock)

    def fits_flags(self, knock: Knock) -> bool:
        """Whether its flags are those that the door wants."""
        return knock.flags & self.looked_at == self.wanted or knock.protocol is _UDP


# Port, and whether it is UDP's → who may listen to it, in the order of the doors.
HeardBy = dict[tuple[int, bool], list[Listener]]


def listener_of(door: Door) -> Listener:
    """What ``door`` listens to."""
    policy = door.policy if door.policy != Policy() else None
    looked_at = int(door.required | door.forbidden)
    return Listener(door, policy, wanted=int(door.required), looked_at=looked_at)


def is_step(step: Step, knock: Knock) -> bool:
    """Whether ``knock`` goes where ``step`` does."""
    return step.port == knock.port and step.protocol is knock.protocol


def heard_by(listeners: Iterable[Listener]) -> HeardBy:
    """Who may listen to what."""
    found: HeardBy = {}
    for listener in listeners:
        for step in dict.fromkeys(listener.door.steps):
            found.setdefault((step.port, step.protocol is _UDP), []).append(listener)
    return found


def listens_of(listener: Listener) -> tuple[Listen, ...]:
    """What is to be captured for it. A strict door hears the beginning of every TCP connection."""
    door = listener.door
    steps = tuple(
        Listen(
            step.protocol,
            step.port,
            step.port,
            target=door.target,
            required=door.required,
            forbidden=door.forbidden,
            can_wait=len(door.steps) > 1,
        )
        for step in dict.fromkeys(door.steps)
    )
    if not door.policy.strict or not door.steps:
        return steps
    every = Listen(
        Protocol.TCP, 1, _HIGHEST_PORT, target=door.target, required=_SYN, forbidden=_NOT_A_FIRST
    )
    return (*steps, every)
