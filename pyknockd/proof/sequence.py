"""The sequences: which knock advances, ends or begins which attempt, and when one is over.

Theory of operation
-------------------

A *door* has a sequence of steps. An *attempt* is one source's progress through one door's
sequence: it is born at stage 1 by the door's first step, goes up by one with each further step,
and ends by opening the door, by a wrong knock, or by its timeout. A source has at most one attempt
at each door. Sources never touch each other's attempts.

A knock is *heard* when some door would listen to it: its destination is right for the door (its
``target``, or without one any address of the interface), its port and protocol occur anywhere in
the door's sequence, and a TCP segment's flags satisfy the door. What no door hears has no effect.

    heard knock of a source that has attempts     for each attempt whose door fits the destination:
      flags do not satisfy the attempt's door       it stays as it is
      it is the attempt's next step                 it goes up; after the last step the door opens
      anything else                                 it ends, silently
    heard knock of a source that has none         each door whose first step it is, and whose flags
                                                  and destination fit, gets an attempt at stage 1

The knock that ends an attempt begins none: whoever mistypes starts over with the next knock.

A timeout runs from the attempt's first knock and is exact: at ``timeout`` seconds the attempt is
over, whether or not a packet comes.

A SYN that nobody answers is sent again by the client's kernel, with the same ports and the same
sequence number. Such a retransmission is not a knock: it has no effect for as long as the source's
last knocks are remembered. A new connection to the same port is a knock.

Whatever happens is told, with its cause; that an attempt ends silently is said of the log. Time comes
with the knock, in seconds of a clock that never goes back. Memory is bounded: by ``limit``
attempts, by ``IDLE_SOURCES`` sources that are remembered without an attempt, by
``REMEMBERED_KNOCKS`` a source. When ``limit`` is reached the oldest attempt at stage 1 makes room;
those further on are kept, and a newcomer is turned away rather than one of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyknockd.model import Door, Flags, Knock, Limits, Listen, Protocol
from pyknockd.model.events import (
    AttemptEnded,
    AttemptEvent,
    EndCause,
    NotHeard,
    NotHeardCause,
    Opened,
    StageReached,
)

IDLE_SOURCES = 8_192
REMEMBERED_KNOCKS = 64
# Linux repeats an unanswered SYN 1, 3, 7, 15, 31 and 63 seconds after the first (tcp(7), tcp_syn_retries).
RETRANSMISSION_SECONDS = 65.0
_NEVER = float("inf")
_TCP, _UDP, _SYN = Protocol.TCP, Protocol.UDP, int(Flags.SYN)


@dataclass(frozen=True, slots=True)
class Listener:
    """A door as the machine looks at it: flags as bits, so that one comparison decides."""

    door: Door
    wanted: int
    looked_at: int

    def fits_destination(self, knock: Knock) -> bool:
        target = self.door.target
        return knock.local if target is None else knock.destination == target

    def fits_flags(self, knock: Knock) -> bool:
        return knock.flags & self.looked_at == self.wanted or knock.protocol is _UDP


@dataclass(slots=True, eq=False)
class _Attempt:
    """One source's way through one door's sequence; at ``deadline`` it is over."""

    source: _Source
    listener: Listener
    deadline: float
    stage: int = 1


@dataclass(slots=True, eq=False)
class _Source:
    """What is known of one address: its attempts, and its last SYNs and when each first came."""

    address: str
    attempts: list[_Attempt] = field(default_factory=list)
    syns: dict[int, float] = field(default_factory=dict)

    def repeats(self, knock: Knock, now: float) -> bool:
        """Whether ``knock`` is a retransmission; remembers it if not."""
        if not knock.flags & _SYN or knock.protocol is not _TCP:
            return False
        # Only the hash, for its size: one SYN in 2**58 is taken for another of the same source.
        identity = hash((knock.destination, knock.port, knock.source_port, knock.sequence_number))
        first = self.syns.pop(identity, -_NEVER)
        repeated = now - first < RETRANSMISSION_SECONDS
        if not repeated and len(self.syns) >= REMEMBERED_KNOCKS:
            del self.syns[next(iter(self.syns))]
        self.syns[identity] = first if repeated else now
        return repeated


def _listener(door: Door) -> Listener:
    return Listener(door, wanted=int(door.required), looked_at=int(door.required | door.forbidden))


def _heard_by(listeners: Iterable[Listener]) -> dict[tuple[int, bool], list[Listener]]:
    """Port, and whether it is UDP's → who may listen to it, in the order of the doors."""
    found: dict[tuple[int, bool], list[Listener]] = {}
    for listener in listeners:
        for step in dict.fromkeys(listener.door.steps):
            found.setdefault((step.port, step.protocol is _UDP), []).append(listener)
    return found


class Sequences:
    """Every attempt under way at ``doors``, at most ``limit`` of them."""

    def __init__(self, doors: Iterable[Door], limit: int = Limits().attempts) -> None:
        self._limit = limit
        self._listeners = [_listener(door) for door in doors]
        self._heard_by = _heard_by(self._listeners)
        self._sources: dict[str, _Source] = {}
        # Attempts in the order they began: all at stage 1, and all of each timeout.
        self._first_stage: OrderedDict[_Attempt, None] = OrderedDict()
        self._by_timeout: dict[float, OrderedDict[_Attempt, None]] = {}
        self._count = 0
        # No attempt is over before; so a flood need not look for one at each packet.
        self._quiet_until = _NEVER
        # Sources without an attempt, and until when they are remembered.
        self._idle: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many attempts are under way."""
        return self._count

    def listens(self) -> tuple[Listen, ...]:
        """What there is to listen for."""
        return tuple(
            Listen(
                step.protocol,
                step.port,
                step.port,
                target=door.target,
                required=door.required,
                forbidden=door.forbidden,
                can_wait=len(door.steps) > 1,
            )
            for door in (listener.door for listener in self._listeners)
            for step in dict.fromkeys(door.steps)
        )

    def feed(self, knock: Knock) -> list[AttemptEvent]:
        """What ``knock`` does, in the order it is to be told."""
        now = knock.time
        events = self.expire(now)
        hearing = self.hearing(knock)
        if not hearing:
            events += self._not_heard(knock)
            return events
        source = self._sources.get(knock.source)
        if source is None:
            source = self._sources[knock.source] = _Source(knock.source)
        events += self._overdue(source, now)
        if source.repeats(knock, now):
            events.append(NotHeard(now, knock, hearing[0].door, NotHeardCause.REPEATED))
        else:
            touched = [a for a in source.attempts if a.listener.fits_destination(knock)]
            if touched:
                events += self._advance(touched, knock)
            else:
                events += self._begin(source, hearing, knock)
        if not source.attempts:
            self._rest(source, now)
        return events

    def knows(self, source: str) -> bool:
        """Whether anything is remembered of this address."""
        return source in self._sources

    def hearing(self, knock: Knock) -> list[Listener]:
        """Those who listen to ``knock``; without any it has no effect."""
        listeners = self._heard_by.get((knock.port, knock.protocol is _UDP), ())
        return [one for one in listeners if one.fits_flags(knock) and one.fits_destination(knock)]

    def _not_heard(self, knock: Knock) -> list[AttemptEvent]:
        """Why nobody listens to ``knock``, if it is to a port of some sequence."""
        listeners = self._heard_by.get((knock.port, knock.protocol is _UDP), ())
        for one in listeners:
            if one.fits_destination(knock):
                return [NotHeard(knock.time, knock, one.door, NotHeardCause.FLAGS)]
        cause = NotHeardCause.NOT_ADDRESSED_HERE
        return [NotHeard(knock.time, knock, one.door, cause) for one in listeners[:1]]

    def expire(self, now: float) -> list[AttemptEvent]:
        """The attempts whose time is over at ``now``, oldest deadline first."""
        if now < self._quiet_until:
            return []
        over: list[_Attempt] = []
        self._quiet_until = _NEVER
        for queue in self._by_timeout.values():
            for attempt in queue:
                if attempt.deadline > now:
                    self._quiet_until = min(self._quiet_until, attempt.deadline)
                    break
                over.append(attempt)
        for attempt in over:
            self._end(attempt)
            if not attempt.source.attempts:
                self._rest(attempt.source, now)
        over.sort(key=lambda attempt: attempt.deadline)
        return [_ended(attempt, attempt.deadline, EndCause.TOO_LATE) for attempt in over]

    def replace(self, old: Door, new: Door, now: float) -> list[AttemptEvent]:
        """Let ``new`` stand in the place of ``old``, at which every attempt is over."""
        events: list[AttemptEvent] = []
        for attempt in list(self._by_timeout.get(old.timeout, ())):
            if attempt.listener.door is old:
                self._forget(attempt)
                events.append(_ended(attempt, now, EndCause.ONE_TIME_USED))
        listeners = self._listeners
        self._listeners = [_listener(new) if one.door is old else one for one in listeners]
        self._heard_by = _heard_by(self._listeners)
        return events

    def end_all(self, now: float) -> list[AttemptEvent]:
        """Every attempt is over, since other doors are to be guarded."""
        under_way = [attempt for queue in self._by_timeout.values() for attempt in queue]
        for attempt in under_way:
            self._forget(attempt)
        return [_ended(attempt, now, EndCause.RELOAD) for attempt in under_way]

    def next_deadline(self) -> float | None:
        """When the next attempt times out, or None."""
        firsts = [next(iter(queue)).deadline for queue in self._by_timeout.values() if queue]
        return min(firsts, default=None)

    def _overdue(self, source: _Source, now: float) -> list[AttemptEvent]:
        """What ``expire`` does not see: attempts by knocks older than those that came before them."""
        over = [attempt for attempt in source.attempts if attempt.deadline <= now]
        for attempt in over:
            self._end(attempt)
        return [_ended(attempt, attempt.deadline, EndCause.TOO_LATE) for attempt in over]

    def _advance(self, attempts: list[_Attempt], knock: Knock) -> list[AttemptEvent]:
        events: list[AttemptEvent] = []
        for attempt in attempts:
            listener = attempt.listener
            if not listener.fits_flags(knock):
                continue
            step = listener.door.steps[attempt.stage]
            if step.port != knock.port or step.protocol is not knock.protocol:
                self._end(attempt)
                is_port = step.port == knock.port
                cause = EndCause.WRONG_PROTOCOL if is_port else EndCause.WRONG_PORT
                events.append(_ended(attempt, knock.time, cause, knock))
                continue
            self._first_stage.pop(attempt, None)
            attempt.stage += 1
            events += self._reached(attempt, knock.time)
        return events

    def _begin(self, source: _Source, hearing: list[Listener], knock: Knock) -> list[AttemptEvent]:
        events: list[AttemptEvent] = []
        for listener in hearing:
            first = listener.door.steps[0]
            if first.port != knock.port or first.protocol is not knock.protocol:
                continue
            attempt = _Attempt(source, listener, knock.time + listener.door.timeout)
            if len(listener.door.steps) > 1:
                if not self._make_room(knock.time, events):
                    turned_away = NotHeardCause.TURNED_AWAY
                    events.append(NotHeard(knock.time, knock, listener.door, turned_away))
                    continue
                self._admit(attempt)
            events += self._reached(attempt, knock.time)
        return events

    def _reached(self, attempt: _Attempt, now: float) -> list[AttemptEvent]:
        source, door = attempt.source.address, attempt.listener.door
        events: list[AttemptEvent] = [StageReached(now, source, door, attempt.stage)]
        if attempt.stage == len(door.steps):
            events.append(Opened(now, source, door))
            if attempt.stage > 1:
                self._end(attempt)
        return events

    def _make_room(self, now: float, events: list[AttemptEvent]) -> bool:
        """Room for one more attempt; False if only those at further stages could make it."""
        if self._count < self._limit:
            return True
        oldest = next(iter(self._first_stage), None)
        if oldest is None:
            return False
        self._forget(oldest)
        events.append(_ended(oldest, now, EndCause.EVICTED))
        return True

    def _admit(self, attempt: _Attempt) -> None:
        # Its source may have been forgotten with the attempt that made room.
        self._sources[attempt.source.address] = attempt.source
        attempt.source.attempts.append(attempt)
        self._idle.pop(attempt.source.address, None)
        self._first_stage[attempt] = None
        self._by_timeout.setdefault(attempt.listener.door.timeout, OrderedDict())[attempt] = None
        self._count += 1
        if attempt.deadline < self._quiet_until:
            self._quiet_until = attempt.deadline

    def _end(self, attempt: _Attempt) -> None:
        attempt.source.attempts.remove(attempt)
        self._first_stage.pop(attempt, None)
        del self._by_timeout[attempt.listener.door.timeout][attempt]
        self._count -= 1

    def _forget(self, attempt: _Attempt) -> None:
        """End ``attempt``, and remember its source no longer than it has another."""
        self._end(attempt)
        if not attempt.source.attempts:
            del self._sources[attempt.source.address]

    def _rest(self, source: _Source, now: float) -> None:
        """Remember the last knocks of a source without attempts for a while, and forget others."""
        self._idle.pop(source.address, None)
        self._idle[source.address] = now + RETRANSMISSION_SECONDS
        while self._idle:
            oldest, until = next(iter(self._idle.items()))
            if until > now and len(self._idle) <= IDLE_SOURCES:
                break
            del self._idle[oldest], self._sources[oldest]


def _ended(
    attempt: _Attempt, now: float, cause: EndCause, knock: Knock | None = None
) -> AttemptEnded:
    source, door = attempt.source.address, attempt.listener.door
    return AttemptEnded(now, source, door, attempt.stage, cause, knock)
