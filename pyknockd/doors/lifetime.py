"""The life of an opening, from the knock to its end: every transition there is.

Theory of operation
-------------------

An *opening* is what comes of one knock that was right: a command that opens, and perhaps one that
closes. It is in one state at a time::

                 LOOKING ──→ GIVEN_UP
                  ↑   ↓
    WAITING ──→ OPENING ──→ OPEN ──→ CLOSE_WAITING ──→ CLOSING ──→ CLOSED
                   │         ↑            ↑    ↑           │
                   ↓         │            │    └─ RETRYING ┤  a closing that failed in passing
              OPENING_HUNG ──┴────────────┘                ↓
                   └──────────── LINGERING ←───────── CLOSING_HUNG

A command that takes too long is *hung*: nothing waits for it any more, and its door is closed when its
time comes all the same. What a hung opening command may still do after that is undone as well, when
it ends at last: until then the opening is LINGERING. An opening that hung before it had done
anything, while it looked whether its rule is there, is GIVEN_UP.

Commands of one door and source run one after the other, and so do all that make or take away the
same *rule*, whoever asked. A rule belongs to every opening that made it or found it made by another of
these. It is taken away when the last of their times has come, never while one of them still has
time, and not at all if one of them is to stay open until somebody closes it. A rule that was there
before any opening is somebody else's, and stays. When a rule is taken away, whoever did it, all
openings that it belonged to are over.

Openings are pure: time comes in as ``now``, seconds of a clock that never goes back; the changes to be
carried out come out of ``due``, and what becomes of them goes into ``take``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from pyknockd.doors.opening import Opening, Plan, State, failed_in_passing
from pyknockd.doors.register import Register
from pyknockd.doors.schedule import LONG_SECONDS, Schedule
from pyknockd.model import Change, ChangeKind
from pyknockd.model.events import (
    AlreadyThere,
    Closed,
    ClosedCause,
    ClosingFailed,
    CommandEnded,
    CommandHung,
    CommandWaits,
    Event,
    GivenUp,
    LooksFirst,
    RuleGone,
    StandingCause,
)

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 3600.0
# So many openings come up in one turn of the loop: packets and signals wait no longer than they take.
AT_A_TIME = 64
# Those that stay until somebody closes them; the oldest of more is remembered no longer.
MOST_WITHOUT_END = 10_000


class Openings:
    """Every opening that is not over, and in ``register`` as it is now, for whoever wants to look.

    ``changed`` is called with each that is other than before.
    """

    def __init__(self, at_once: int, changed: Callable[[Opening], None]) -> None:
        self._schedule = Schedule(at_once)
        self.register = Register(changed)
        self._stopping = False

    def __len__(self) -> int:
        return len(self.register)

    @property
    def waiting(self) -> int:
        """How many changes wait for their turn or a place."""
        return self._schedule.waiting

    @property
    def busy(self) -> bool:
        """Whether anything waits for its turn, is under way, or is due."""
        return self._schedule.busy

    def allow(self, at_once: int) -> None:
        """Let so many changes be under way at the same time from now on."""
        self._schedule.at_once = at_once

    def begin(self, plan: Plan, now: float) -> None:
        """A knock was right. One like it that has not begun yet serves both."""
        if self.register.not_begun(plan.opening) is None:
            opening = Opening(plan)
            self.register.add(opening)
            self._schedule.queue(plan.opening, opening.keys, now)

    def recover(self, plan: Plan, until: float | None, now: float) -> list[Event]:
        """Take over one that was left open by a daemon before this one, to be closed at ``until``."""
        opening = Opening(plan, State.OPEN, until)
        self.register.add(opening)
        self._set_timer(opening)
        return [opening.standing(now, StandingCause.RECOVERED), *self._bound(now)]

    def due(self, now: float) -> tuple[list[Change], list[Event]]:
        """The changes to be carried out now, and what else has come to pass.

        Whoever carries them out tells ``take`` of each what became of it.
        """
        events: list[Event] = []
        for number in self._schedule.come_up(now, AT_A_TIME):
            opening = self.register.get(number)
            if opening is not None and opening.until is not None and opening.until <= now:
                self._time_is_over(opening, now)
        for waiting in self._schedule.waiting_for_long(now):
            behind = self._schedule.blocked_by(waiting)
            events.append(CommandWaits(now, waiting, LONG_SECONDS, behind))
        changes: list[Change] = []
        while len(changes) < AT_A_TIME and (change := self._schedule.next()):
            if self._is_to_be_done(change, now, events):
                changes.append(change)
            else:
                self._schedule.done(change)
        return changes, events

    def next_deadline(self) -> float | None:
        """When ``due`` has something to do, though nothing ends before, or None."""
        return 0.0 if self._schedule.has_ready else self._schedule.next_deadline()

    def take(self, event: Event, now: float) -> list[Event]:
        """What follows from what became of a change."""
        if isinstance(event, CommandEnded):
            self._schedule.done(event.change)
            if event.change.kind is ChangeKind.OPEN:
                return self._opened(event, now)
            return self._closed(event, now)
        if isinstance(event, CommandHung):
            return self._hung(event, now)
        if isinstance(event, LooksFirst):
            return self._looked(event, now)
        if isinstance(event, GivenUp):
            return self._end(self.register.of(event.change), ClosedCause.FAILED, now)
        if isinstance(event, RuleGone):
            self._schedule.done(event.change)
            return self._end(self.register.of(event.change), ClosedCause.GONE, now)
        return []

    def close_all(self, now: float) -> list[Event]:
        """Have every timed opening closed now, and let none begin any more."""
        self._stopping = True
        events: list[Event] = []
        for opening in list(self.register.all()):
            if opening.state is State.WAITING:
                self._schedule.done(opening.plan.opening)
                events += self._end(opening, ClosedCause.CANCELLED, now)
            elif opening.until is not None and opening.plan.closing is not None:
                self._set_timer(self.register.change(opening, until=now))
        return events

    def end_by_hand(self, opening: Opening, closing: Change, now: float) -> None:
        """Have one that stands open closed now, by ``closing``."""
        plan = opening.plan.closed_by_hand(closing)
        self._set_timer(self.register.change(opening, plan=plan, until=now))

    def end_at(self, opening: Opening, until: float, now: float) -> list[Event]:
        """Let one that stands open, and has a closing, stand until then."""
        changed = self.register.change(opening, until=until)
        self._set_timer(changed)
        return [changed.standing(now, StandingCause.RENEWED)]

    # --- opening ---------------------------------------------------------------------------------

    def _looked(self, event: LooksFirst, now: float) -> list[Event]:
        opening = self.register.of(event.change)
        state = State.LOOKING if event.found is None else State.OPENING
        self.register.change(opening, state=state)
        if event.found is None:
            return []
        self.register.copies[opening.plan.makes] = 0
        return self._not_there(opening, now)

    def _not_there(self, opening: Opening, now: float) -> list[Event]:
        """The rule of ``opening`` had to be made: somebody has taken away that of the others."""
        return self._end_holders(opening.plan.makes, ClosedCause.GONE, now, but=opening)

    def _opened(self, event: CommandEnded, now: float) -> list[Event]:
        opening = self.register.get(event.change.opening)
        if opening is None:
            return []
        rule = opening.plan.makes
        if opening.state in (State.OPENING, State.LOOKING):
            if rule is not None and not event.status and not event.already:
                self.register.copies[rule] = 1
            return self._stands(opening, event, now)
        # It had hung: meanwhile another may have made the same rule, and its time runs already.
        if rule is not None and not event.status:
            self.register.copies[rule] += 1
        if opening.plan.closing is None:
            return self._stands(self.register.change(opening, opening_runs=False), event, now)
        if opening.state in (State.CLOSING, State.CLOSING_HUNG):
            self.register.change(opening, opening_runs=False, undo=rule is None or not event.status)
            return []
        if opening.state is State.LINGERING:
            if opening.plan.made_nothing(event.status):
                return self._end(opening, ClosedCause.NOTHING_TO_CLOSE, now, event.status)
            self._queue_closing(self.register.change(opening, opening_runs=False), now)
            return []
        state = State.OPEN if opening.state is State.OPENING_HUNG else opening.state
        self.register.change(opening, state=state, opening_runs=False, status=event.status)
        return []

    def _stands(self, opening: Opening, event: CommandEnded, now: float) -> list[Event]:
        """The opening command has ended in time: what stands open now, and until when."""
        plan = opening.plan
        events: list[Event] = []
        if plan.takes is not None and not event.status:
            self.register.copies[plan.takes] = max(0, self.register.copies[plan.takes] - 1)
            events = self._taken_away(plan.takes, ClosedCause.BY_DOOR, now, but=opening)
        others = self.register.holders(plan.makes, but=opening)
        if event.already and not others:
            events.append(AlreadyThere(now, plan.opening))
            return events + self._end(opening, ClosedCause.NOT_OURS, now, event.status)
        if plan.made_nothing(event.status) or (
            plan.closing is None and (plan.makes is None or event.status)
        ):
            return events + self._end(opening, ClosedCause.NOTHING_TO_CLOSE, now, event.status)
        until = self._end_of(plan, now)
        opening = self.register.change(opening, state=State.OPEN, until=until, status=event.status)
        self._set_timer(opening)
        cause = StandingCause.RENEWED if event.already else StandingCause.OPENED
        if not event.status:
            events.append(opening.standing(now, cause))
        return events + self._settle_others(opening, others, event, now) + self._bound(now)

    def _settle_others(
        self, opening: Opening, others: list[Opening], event: CommandEnded, now: float
    ) -> list[Event]:
        """What becomes of the openings to which the rule of ``opening`` belonged before."""
        if not event.already:
            is_only_one = self.register.copies[opening.plan.makes] == 1 and not event.status
            return self._not_there(opening, now) if is_only_one else []
        events: list[Event] = []
        for other in others:
            if not other.opening_runs and self._is_served_by(other, opening):
                events += self._end(other, ClosedCause.SUPERSEDED, now)
        return events

    def _is_served_by(self, other: Opening, opening: Opening) -> bool:
        in_time = other.state is State.OPEN and other.ends_by(opening.until)
        return in_time and other.plan.closes_for(opening.plan)

    def _end_of(self, plan: Plan, now: float) -> float | None:
        if plan.closing is None:
            return None
        return now if self._stopping else now + plan.open_for

    def _bound(self, now: float) -> list[Event]:
        """Of those without end the oldest are forgotten."""
        oldest = self.register.too_many_without_end(MOST_WITHOUT_END)
        return [] if oldest is None else self._end(oldest, ClosedCause.FORGOTTEN, now)

    def _hung(self, event: CommandHung, now: float) -> list[Event]:
        opening = self.register.of(event.change)
        if event.change.kind is ChangeKind.CLOSE:
            # What it takes away at last must not be another's by then.
            self._schedule.done(event.change, still=opening.plan.closes)
            self.register.change(opening, state=State.CLOSING_HUNG)
            return []
        self._schedule.done(event.change)
        if event.looking:
            self.register.change(opening, state=State.GIVEN_UP)
            return []
        until = self._end_of(opening.plan, now)
        opening = self.register.change(
            opening, state=State.OPENING_HUNG, until=until, opening_runs=True
        )
        self._set_timer(opening)
        opens = opening.plan.makes is not None or opening.plan.closing is not None
        return [opening.standing(now, StandingCause.OPENED)] if opens else []

    # --- closing ---------------------------------------------------------------------------------

    def _time_is_over(self, opening: Opening, now: float) -> None:
        if opening.state not in (State.OPEN, State.OPENING_HUNG, State.RETRYING):
            return
        rule = opening.plan.makes
        if opening.opening_runs and rule is not None and not self.register.copies[rule]:
            # There is nothing to be closed yet, and what another makes meanwhile is not to be.
            self.register.change(opening, state=State.LINGERING)
        else:
            self._queue_closing(opening, now)

    def _queue_closing(self, opening: Opening, now: float) -> None:
        closing = opening.plan.closing
        if closing is not None:
            self.register.change(opening, state=State.CLOSE_WAITING)
            self._schedule.queue(closing, opening.keys, now)

    def _is_to_be_done(self, change: Change, now: float, events: list[Event]) -> bool:
        """Note that ``change`` begins, unless there is no need for it any more."""
        opening = self.register.get(change.opening)
        if opening is None:
            return False
        if change.kind is ChangeKind.OPEN:
            self.register.change(opening, state=State.OPENING)
            return True
        if self._is_kept_open(opening, now):
            if opening.opening_runs:
                self.register.change(opening, state=State.LINGERING)
            else:
                events += self._end(opening, ClosedCause.SUPERSEDED, now)
            return False
        self.register.change(opening, state=State.CLOSING)
        return True

    def _is_kept_open(self, opening: Opening, now: float) -> bool:
        """Whether what its closing takes away belongs to another that has time left.

        One without end that hung is no such: should it fail at last, nobody would close.
        """
        rule = opening.plan.makes if opening.plan.closes is None else opening.plan.closes
        return any(
            not other.ends_by(now)
            and opening.plan.closes_for(other.plan)
            and (not other.opening_runs or other.plan.closing is not None)
            for other in self.register.holders(rule, opening)
        )

    def _closed(self, event: CommandEnded, now: float) -> list[Event]:
        opening = self.register.get(event.change.opening)
        if opening is None:
            return []
        if failed_in_passing(event):
            delay = min(max(FIRST_RETRY_SECONDS, 2 * opening.delay), LAST_RETRY_SECONDS)
            changes = {"state": State.RETRYING, "until": now + delay, "delay": delay}
            self._set_timer(self.register.change(opening, status=event.status, **changes))
            return [ClosingFailed(now, event.change, now + delay)]
        events: list[Event] = []
        rule = opening.plan.closes
        if rule is not None:
            self.register.copies[rule] = (
                0 if event.status else max(0, self.register.copies[rule] - 1)
            )
            if not event.status:
                events = self._taken_away(rule, ClosedCause.GONE, now, but=opening)
        if opening.undo or (rule is not None and self.register.copies[rule] > 0):
            self._queue_closing(self.register.change(opening, undo=False), now)
            return events
        if opening.opening_runs:
            self.register.change(opening, state=State.LINGERING, status=event.status)
            return events
        in_time = ClosedCause.BY_HAND if event.change.by_hand else ClosedCause.TIME
        cause = ClosedCause.FAILED if event.status else in_time
        return events + self._end(opening, cause, now, event.status)

    def _taken_away(
        self, rule: Hashable, cause: ClosedCause, now: float, but: Opening
    ) -> list[Event]:
        """``rule`` is gone: every opening that it belonged to is over."""
        return [] if self.register.copies[rule] else self._end_holders(rule, cause, now, but)

    def _end_holders(
        self, rule: Hashable, cause: ClosedCause, now: float, but: Opening
    ) -> list[Event]:
        """Those with a command under way are over when that has ended."""
        events: list[Event] = []
        for other in self.register.holders(rule, but):
            if not other.opening_runs and other.state is not State.CLOSING_HUNG:
                events += self._end(other, cause, now)
        return events

    # --- its end ---------------------------------------------------------------------------------

    def _set_timer(self, opening: Opening) -> None:
        if opening.until is not None:
            self._schedule.at(opening.until, opening.number)

    def _end(
        self, opening: Opening, cause: ClosedCause, now: float, status: int | None = None
    ) -> list[Event]:
        closed = self.register.change(opening, state=State.CLOSED, cause=cause, status=status)
        for change in (closed.plan.opening, closed.plan.closing):
            if change is not None:
                self._schedule.done(change)
        self.register.remove(closed)
        change = closed.plan.opening
        command = closed.plan.closing.command if closed.plan.closing else ""
        return [Closed(now, closed.number, change.door, change.source, cause, command)]
