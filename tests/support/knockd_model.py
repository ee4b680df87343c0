"""knockd 0.8's rules of a knock as a few lines of Python, its faults as switches.

With every fault on it does what the real program does, to the line; with every fault off it does
what pyknockd should. What lies between the two is thereby explained, not excused: see test_rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Flag, auto
from math import floor

from pyknockd.model import Door, Flags, Knock, Link, Protocol
from pyknockd.proof.repeats import RETRANSMISSION_SECONDS


class Fault(Flag):
    """What knockd does wrong, as far as it decides which door opens."""

    NONE = 0
    FORGETTING = auto()
    """When the oldest attempt is taken off the list, all others of all sources go with it."""
    WHOLE_SECONDS = auto()
    """Its clock is rounded down to seconds, so an attempt may get up to one second less."""
    RETRANSMISSION = auto()
    """A SYN that TCP sends again counts as a second knock."""
    DEAFNESS = auto()
    """IPv6 reaches it over Ethernet only. And where the interface has no address of a ``Target``'s
    family it looks for that family's TCP flags in the other's header: a door that puts conditions
    on them does not hear its knocks."""
    ONE_AT_A_TIME = auto()
    """A knock that ends an attempt begins none, and neither does any other while there is one."""
    ALL = FORGETTING | WHOLE_SECONDS | RETRANSMISSION | DEAFNESS | ONE_AT_A_TIME


@dataclass(slots=True, eq=False)
class _Attempt:
    door: Door
    source: str
    began: float
    stage: int = 0
    failed: bool = False
    extra: bool = False
    told: bool = False

    @property
    def ended(self) -> bool:
        return self.failed or self.stage == len(self.door.steps)


class Model:
    """A knockd with these ``faults`` that guards ``doors``.

    Its interface has a ``link`` header and the addresses ``own``.
    """

    def __init__(
        self, doors: Sequence[Door], link: Link, own: Sequence[str], faults: Fault
    ) -> None:
        self._doors = doors
        self._link = link
        self._families = {":" in address for address in own}
        self._faults = faults
        self._attempts: list[_Attempt] = []
        self._syns: dict[tuple[object, ...], float] = {}

    def feed(self, knock: Knock, now: float) -> list[str]:
        """The lines that knockd prints about a packet that comes in at ``now``, in their order."""
        if not any(_hears(d, knock) and not self._is_deaf(d, knock) for d in self._doors):
            return []
        seconds = floor(now) if Fault.WHOLE_SECONDS in self._faults else now
        lines = self._sweep(seconds)
        repeated = Fault.RETRANSMISSION not in self._faults and self._is_repeated(knock, now)
        if Fault.ONE_AT_A_TIME not in self._faults:
            return lines + self._candidates(knock, now, seconds, repeated)
        if repeated:
            return lines
        self._remember(knock, now)
        mine = [a for a in self._attempts if a.source == knock.source and _reaches(a.door, knock)]
        if mine:
            touched = [a for a in mine if _has_flags(a.door, knock)]
        else:
            doors = [d for d in self._doors if _hears(d, knock) and _is_step(d, 0, knock)]
            touched = [_Attempt(door, knock.source, seconds) for door in doors]
            self._attempts += touched
        return lines + [line for attempt in touched for line in _step(attempt, knock)]

    def _candidates(self, knock: Knock, now: float, seconds: float, repeated: bool) -> list[str]:
        """Every first step begins an attempt; a repeated knock ends none, or does nothing at all."""
        if repeated and not knock.bare:
            return []
        mine = [a for a in self._attempts if a.source == knock.source and not a.ended]
        near = [a for a in mine if _reaches(a.door, knock)]
        reached = []
        for attempt in near:
            if not _has_flags(attempt.door, knock):
                continue
            if _is_step(attempt.door, attempt.stage, knock):
                attempt.stage += 1
                reached.append(attempt)
            elif not repeated:
                attempt.failed = True
        had_effect = bool(reached) or any(a.failed for a in near)
        opened = [a.door for a in reached if a.ended]
        extra = any(not a.extra for a in near)
        for door in self._doors:
            begins = _hears(door, knock) and _is_step(door, 0, knock)
            if begins and not any(door is other for other in opened):
                reached.append(_Attempt(door, knock.source, seconds, 1, extra=extra))
                self._attempts.append(reached[-1])
                mine.append(reached[-1])
        if had_effect or reached:
            self._remember(knock, now)
        return [line for attempt in reached for line in self._tell(attempt, mine)]

    def _tell(self, attempt: _Attempt, mine: list[_Attempt]) -> list[str]:
        if attempt.failed:
            return []
        opens = attempt.stage == len(attempt.door.steps)
        others = [a for a in mine if a is not attempt and not a.failed]
        furthest = all(attempt.stage >= a.stage + (not a.extra) for a in others)
        shown = opens or not attempt.extra or furthest
        attempt.told = attempt.told or shown
        lines = [_line(attempt, f"Stage {attempt.stage}")] if shown else []
        if opens:
            lines.append(_line(attempt, "OPEN SESAME"))
            for other in mine:
                if other.door is attempt.door and other is not attempt:
                    other.failed = True
        return lines

    def _is_deaf(self, door: Door, knock: Knock) -> bool:
        ipv6 = ":" in knock.source
        conditions = knock.protocol is Protocol.TCP and bool(door.required | door.forbidden)
        missed = (ipv6 and self._link is Link.IP) or (conditions and ipv6 not in self._families)
        return missed and Fault.DEAFNESS in self._faults

    def _sweep(self, seconds: float) -> list[str]:
        """Take out what has ended or timed out since the last packet; it is noticed only now."""
        lines = []
        oldest = self._attempts[0] if self._attempts else None
        for attempt in list(self._attempts):
            if not attempt.ended:
                if seconds - attempt.began < attempt.door.timeout:
                    continue
                if attempt.told or not attempt.extra:
                    lines.append(_line(attempt, f"sequence timeout (stage {attempt.stage})"))
            if attempt is oldest and Fault.FORGETTING in self._faults:
                self._attempts = []
            elif attempt in self._attempts:
                self._attempts.remove(attempt)
        return lines

    def _is_repeated(self, knock: Knock, now: float) -> bool:
        if knock.protocol is Protocol.UDP or not knock.flags & Flags.SYN:
            return False
        first = self._syns.get(_identity(knock), -RETRANSMISSION_SECONDS)
        return now - first < RETRANSMISSION_SECONDS

    def _remember(self, knock: Knock, now: float) -> None:
        is_syn = knock.protocol is Protocol.TCP and knock.flags & Flags.SYN
        if is_syn and not self._is_repeated(knock, now):
            self._syns[_identity(knock)] = now


def _identity(knock: Knock) -> tuple[object, ...]:
    connection = (knock.source, knock.source_port, knock.destination, knock.port)
    return (*connection, knock.sequence_number)


def _step(attempt: _Attempt, knock: Knock) -> list[str]:
    if not _is_step(attempt.door, attempt.stage, knock):
        attempt.failed = True
        return []
    attempt.stage += 1
    opened = [_line(attempt, "OPEN SESAME")] if attempt.ended else []
    return [_line(attempt, f"Stage {attempt.stage}"), *opened]


def _line(attempt: _Attempt, what: str) -> str:
    return f"{attempt.source}: {attempt.door.name}: {what}"


def _hears(door: Door, knock: Knock) -> bool:
    anywhere = any(_is_step(door, stage, knock) for stage in range(len(door.steps)))
    return anywhere and _reaches(door, knock) and _has_flags(door, knock)


def _is_step(door: Door, stage: int, knock: Knock) -> bool:
    step = door.steps[stage]
    return (step.port, step.protocol) == (knock.port, knock.protocol)


def _reaches(door: Door, knock: Knock) -> bool:
    return knock.local if door.target is None else knock.destination == door.target


def _has_flags(door: Door, knock: Knock) -> bool:
    if knock.protocol is Protocol.UDP:
        return True
    missing = door.required & ~knock.flags
    return not missing and not door.forbidden & knock.flags
