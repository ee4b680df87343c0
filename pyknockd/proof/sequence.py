"""The sequences: which knock begins, advances or ends which attempt, and when one is over.

Theory of operation
-------------------

A *door* has a sequence of steps, and it opens when the last knocks heard from a source are its
sequence, within its timeout.

A knock is *heard* when some door would listen to it: its destination is right for the door (its
``target``, or without one any address of the interface), its port and protocol occur anywhere in
the door's sequence, and a TCP segment's flags satisfy the door. What no door hears has no effect.

An *attempt* is one source's progress through one door's sequence. With a heard knock of its source

    each door whose first step it is gets a new attempt at stage 1, whatever else is under way;
    each attempt whose door it fits by destination and flags
      goes up a stage, if it is its next step; after the last step the door opens
      ends, if it is anything else

and an attempt ends with its time, which runs from its first knock and is exact, whether or not a
packet comes. An opening ends all attempts of its source at its door. Sources never touch each other's
attempts.

knockd 0.8 has one attempt of a source at a door, and begins none while it has another at any: an
attempt that it would have had is told as it tells it. One that it would not have had is *quiet*
until it is the furthest that its source has.

A SYN that nobody answers is sent again by the client's kernel, with the same ports and the same
sequence number: it has no effect. But there are clients, made by hand, whose SYNs are all alike; they
are known by having none of the options that every TCP sends. Where such a repeated knock is the step
that is due, or a first one, it counts, and it ends no attempt. What had no effect is not remembered.

A door's *policy* (policy.py) may have it not hear some sources, end its attempts with a connection to
any other port, or let the step just done come again. Whatever happens is told, with its cause, also
that a knock does nothing; the log leaves things out. Time comes with the knock, in seconds of a clock
that never goes back. Memory is bounded: by ``limit`` attempts, and by the SYNs that are remembered
(repeats.py). When ``limit`` is reached the oldest attempt at stage 1 makes room; those further on are
kept, and a newcomer is turned away rather than one of them.
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
from pyknockd.proof.listener import Listener, heard_by, is_step, listener_of, listens_of
from pyknockd.proof.policy import Gate
from pyknockd.proof.repeats import Repeats

MOST_RECENT = 8_192  # sources without an attempt that are still known
LATE_SECONDS = 60.0  # for so long it is told that a knock has missed its attempt
_NEVER = float("inf")
_UDP = Protocol.UDP
_LOOKED_AT = int(Flags.SYN | Flags.ACK | Flags.RST | Flags.FIN)


@dataclass(slots=True, eq=False)
class _Attempt:
    """One source's way through one door's sequence; at ``deadline`` it is over.

    ``extra``: knockd would not have it. ``told``: the log has spoken of it. ``over``: it has ended.
    ``first_port`` is where its first knock came from, ``last_port`` its last if that is another.
    """

    source: _Source
    listener: Listener
    deadline: float
    first_port: int
    extra: bool = False
    told: bool = False
    forgiven: int = 0
    stage: int = 1
    over: bool = False
    last_port: int = 0


@dataclass(slots=True, eq=False)
class _Source:
    """An address and its attempts."""

    address: str
    attempts: list[_Attempt] = field(default_factory=list)


class Sequences:
    """Every attempt under way at ``doors``, at most ``limit`` of them."""

    def __init__(self, doors: Iterable[Door], limit: int = Limits().attempts) -> None:
        self._limit = limit
        self._listeners = [listener_of(door) for door in doors]
        self._heard_by = heard_by(self._listeners)
        self._sources: dict[str, _Source] = {}
        # Attempts in the order they began: all at stage 1, and all of each timeout.
        self._first_stage: OrderedDict[_Attempt, None] = OrderedDict()
        self._by_timeout: dict[float, OrderedDict[_Attempt, None]] = {}
        self._count = 0
        # No attempt is over before; so a flood need not look for one at each packet.
        self._quiet_until = _NEVER
        self._repeats = Repeats()
        self._gate = Gate()
        # Sources that had an attempt, the last ones, with it if it took too long: whoever tries again
        # is known, and so is what he is too late for.
        self._recent: OrderedDict[str, _Attempt | None] = OrderedDict()

    def __len__(self) -> int:
        """How many attempts are under way."""
        return self._count

    def listens(self) -> tuple[Listen, ...]:
        """What there is to listen for."""
        found = (listens_of(listener) for listener in self._listeners)
        return tuple(listen for listens in found for listen in listens)

    def feed(self, knock: Knock) -> list[AttemptEvent]:
        """What ``knock`` does, in the order it is to be told."""
        now = knock.time
        events = self.expire(now)
        hearing = self.hearing(knock)
        if not hearing:
            return [*events, *self._end_strict(knock), *self._not_heard(knock)]
        source = self._sources.get(knock.source)
        if source is None:
            source = _Source(knock.source)
        events += self._overdue(source, now)
        repeated = self._repeats.has(knock)
        late = self._recent.get(knock.source)
        effects: list[AttemptEvent] = []
        if not repeated or knock.bare:
            effects = self._effects(source, hearing, knock, repeated)
        missed = () if late is None else _missed(late, knock, effects)
        if effects:
            self._repeats.add(knock)
        elif not missed:
            cause = NotHeardCause.REPEATED if repeated else NotHeardCause.NO_ATTEMPT
            events.append(NotHeard(now, knock, hearing[0].door, cause))
        if missed:
            events += missed
        return events + effects

    def _effects(
        self, source: _Source, hearing: list[Listener], knock: Knock, repeated: bool
    ) -> list[AttemptEvent]:
        touched = [
            a
            for a in source.attempts
            if a.listener.fits_destination(knock) and a.listener.fits_flags(knock)
        ]
        # knockd begins none while one of its own has the right destination, whatever its flags.
        extra = any(not a.extra and a.listener.fits_destination(knock) for a in source.attempts)
        events, reached = self._advance(touched, knock, repeated)
        opened = [a.listener for a in reached if a.stage == len(a.listener.door.steps)]
        firsts = [one for one in hearing if one.begins_with(knock) and one not in opened]
        reached += self._begin(source, firsts, knock, extra, events)
        shown = [attempt for attempt in reached if _is_shown(attempt)]
        for attempt in reached:
            attempt.told = attempt.told or attempt in shown
            events += self._reached(attempt, knock.time, quiet=attempt not in shown)
        return events

    def knows(self, source: str) -> bool:
        """Whether this address has an attempt, or had one lately."""
        return source in self._sources or source in self._recent

    def hearing(self, knock: Knock) -> list[Listener]:
        """Those who listen to ``knock``; without any it has no effect."""
        listeners = self._heard_by.get((knock.port, knock.protocol is _UDP), ())
        return [
            one
            for one in listeners
            if one.fits_flags(knock)
            and one.fits_destination(knock)
            and (one.policy is None or self._gate.refusal(one.door, knock) is None)
        ]

    def _not_heard(self, knock: Knock) -> list[AttemptEvent]:
        """Why nobody listens to ``knock``, if it is to a port of some sequence."""
        listeners = self._heard_by.get((knock.port, knock.protocol is _UDP), ())
        for one in listeners:
            if one.fits_destination(knock):
                cause = NotHeardCause.FLAGS
                if one.fits_flags(knock):
                    cause = self._gate.refusal(one.door, knock) or cause
                return [NotHeard(knock.time, knock, one.door, cause)]
        cause = NotHeardCause.NOT_ADDRESSED_HERE
        return [NotHeard(knock.time, knock, one.door, cause) for one in listeners[:1]]

    def _end_strict(self, knock: Knock) -> list[AttemptEvent]:
        """A connection to a port that no door hears ends the attempts at strict doors."""
        source = self._sources.get(knock.source)
        if source is None or knock.flags & _LOOKED_AT != int(Flags.SYN) or not knock.local:
            return []
        over = [a for a in source.attempts if a.listener.door.policy.strict]
        for attempt in over:
            self._end(attempt)
        return [_ended(attempt, knock.time, EndCause.STRICT, knock) for attempt in over]

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
            self._end(attempt, late=True)
        over.sort(key=lambda attempt: attempt.deadline)
        return [_ended(attempt, attempt.deadline, EndCause.TOO_LATE) for attempt in over]

    def replace(self, old: Door, new: Door, now: float) -> list[AttemptEvent]:
        """Let ``new`` stand in the place of ``old``, at which every attempt is over."""
        events: list[AttemptEvent] = []
        for attempt in list(self._by_timeout.get(old.timeout, ())):
            if attempt.listener.door is old:
                self._end(attempt)
                events.append(_ended(attempt, now, EndCause.ONE_TIME_USED))
        listeners = self._listeners
        self._listeners = [listener_of(new) if one.door is old else one for one in listeners]
        self._heard_by = heard_by(self._listeners)
        return events

    def end_all(self, now: float, cause: EndCause) -> list[AttemptEvent]:
        """Every attempt is over, for ``cause``."""
        under_way = [attempt for queue in self._by_timeout.values() for attempt in queue]
        for attempt in under_way:
            self._end(attempt)
        return [_ended(attempt, now, cause) for attempt in under_way]

    def next_deadline(self) -> float | None:
        """When the next attempt times out, or None."""
        firsts = [next(iter(queue)).deadline for queue in self._by_timeout.values() if queue]
        return min(firsts, default=None)

    def _overdue(self, source: _Source, now: float) -> list[AttemptEvent]:
        """What ``expire`` does not see: attempts by knocks older than those that came before them."""
        over = [attempt for attempt in source.attempts if attempt.deadline <= now]
        for attempt in over:
            self._end(attempt, late=True)
        return [_ended(attempt, attempt.deadline, EndCause.TOO_LATE) for attempt in over]

    def _advance(
        self, attempts: list[_Attempt], knock: Knock, repeated: bool
    ) -> tuple[list[AttemptEvent], list[_Attempt]]:
        """The attempts that go up a stage, and the ends of those for which ``knock`` is wrong."""
        ended: list[AttemptEvent] = []
        reached = []
        for attempt in attempts:
            step = attempt.listener.door.steps[attempt.stage]
            if is_step(step, knock):
                self._first_stage.pop(attempt, None)
                attempt.stage += 1
                attempt.last_port = knock.source_port
                reached.append(attempt)
            elif not repeated and _is_forgiven(attempt, knock):
                attempt.forgiven += 1
                forgiven = NotHeardCause.FORGIVEN
                ended.append(NotHeard(knock.time, knock, attempt.listener.door, forgiven))
            elif not repeated:
                self._end(attempt)
                is_port = step.port == knock.port
                cause = EndCause.WRONG_PROTOCOL if is_port else EndCause.WRONG_PORT
                ended.append(_ended(attempt, knock.time, cause, knock))
        return ended, reached

    def _begin(
        self,
        source: _Source,
        firsts: list[Listener],
        knock: Knock,
        extra: bool,
        events: list[AttemptEvent],
    ) -> list[_Attempt]:
        """New attempts at ``firsts``; ``events`` get what it takes to have room for them."""
        begun = []
        for listener in firsts:
            deadline = knock.time + listener.door.timeout
            attempt = _Attempt(source, listener, deadline, knock.source_port, extra)
            if len(listener.door.steps) > 1:
                if not self._make_room(knock.time, events):
                    turned_away = NotHeardCause.TURNED_AWAY
                    events.append(NotHeard(knock.time, knock, listener.door, turned_away))
                    continue
                self._admit(attempt)
            begun.append(attempt)
        return begun

    def _reached(self, attempt: _Attempt, now: float, *, quiet: bool) -> list[AttemptEvent]:
        source, door = attempt.source, attempt.listener.door
        if attempt.over:  # another one has just opened this door
            return []
        events: list[AttemptEvent] = [StageReached(now, source.address, door, attempt.stage, quiet)]
        if attempt.stage == len(door.steps):
            events.append(Opened(now, source.address, door))
            self._gate.opened(door, source.address, now)
            for other in [a for a in source.attempts if a.listener is attempt.listener]:
                self._end(other)
                if other is not attempt:
                    events.append(_ended(other, now, EndCause.OPENED))
        return events

    def _make_room(self, now: float, events: list[AttemptEvent]) -> bool:
        """Room for one more attempt; False if only those at further stages could make it."""
        if self._count < self._limit:
            return True
        oldest = next(iter(self._first_stage), None)
        if oldest is None:
            return False
        self._end(oldest)
        events.append(_ended(oldest, now, EndCause.EVICTED))
        return True

    def _admit(self, attempt: _Attempt) -> None:
        # Its source may have been forgotten with the attempt that made room.
        self._sources[attempt.source.address] = attempt.source
        attempt.source.attempts.append(attempt)
        self._first_stage[attempt] = None
        self._by_timeout.setdefault(attempt.listener.door.timeout, OrderedDict())[attempt] = None
        self._count += 1
        if attempt.deadline < self._quiet_until:
            self._quiet_until = attempt.deadline

    def _rest(self, source: str, late: _Attempt | None) -> None:
        """``source`` has no attempt any more; ``late`` was the last, if it took too long."""
        del self._sources[source]
        self._recent.pop(source, None)
        self._recent[source] = late
        if len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)

    def _end(self, attempt: _Attempt, *, late: bool = False) -> None:
        attempt.over = True
        attempt.source.attempts.remove(attempt)
        if not attempt.source.attempts:
            self._rest(attempt.source.address, attempt if late else None)
        self._first_stage.pop(attempt, None)
        del self._by_timeout[attempt.listener.door.timeout][attempt]
        self._count -= 1


def _is_shown(attempt: _Attempt) -> bool:
    """Whether the log speaks of it, which has just gone up a stage.

    Where knockd would not have it: if it opens, or is as far as others that knockd would not have,
    and further than those that it would.
    """
    if not attempt.extra or attempt.stage == len(attempt.listener.door.steps):
        return True
    others = (other for other in attempt.source.attempts if other is not attempt)
    return all(attempt.stage >= other.stage + (not other.extra) for other in others)


def _ended(
    attempt: _Attempt, now: float, cause: EndCause, knock: Knock | None = None
) -> AttemptEnded:
    source, door = attempt.source.address, attempt.listener.door
    quiet = attempt.extra and not attempt.told
    earlier = 0 if knock is None else _earlier_port(attempt, knock)
    return AttemptEnded(now, source, door, attempt.stage, cause, knock, quiet, earlier)


def _earlier_port(attempt: _Attempt, knock: Knock) -> int:
    """Where the attempt's own knock came from that went where ``knock`` goes, if it is known."""
    steps = attempt.listener.door.steps
    if attempt.stage > 1 and is_step(steps[attempt.stage - 1], knock):
        return attempt.last_port
    return attempt.first_port if is_step(steps[0], knock) else 0


def _missed(late: _Attempt, knock: Knock, effects: Iterable[AttemptEvent]) -> list[AttemptEvent]:
    """What to tell if ``knock``, which has had ``effects``, is the next step of ``late``, now over."""
    listener, door = late.listener, late.listener.door
    if knock.time - late.deadline > LATE_SECONDS or not is_step(door.steps[late.stage], knock):
        return []
    others = any(isinstance(event, StageReached) and event.door is door for event in effects)
    if others or not listener.fits_destination(knock) or not listener.fits_flags(knock):
        return []
    began = late.deadline - door.timeout
    return [NotHeard(knock.time, knock, door, NotHeardCause.TOO_LATE, began=began)]


def _is_forgiven(attempt: _Attempt, knock: Knock) -> bool:
    """Whether ``knock`` is the step just done, once more, and the door lets that pass."""
    door = attempt.listener.door
    return attempt.forgiven < door.policy.forgive and is_step(door.steps[attempt.stage - 1], knock)
