"""The doors: who has shown that he may gets in, and is let in no longer than meant.

Openings say what is to be done and when, the runner does it, the journal remembers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from shlex import join

from pyknockd.doors.journal import Journal
from pyknockd.doors.lifetime import Openings
from pyknockd.doors.opening import Opening, Plan
from pyknockd.doors.runner import Runner
from pyknockd.doors.store import Left
from pyknockd.firewall import Effect, Firewall, delete_words, deletes_by_number, is_iptables
from pyknockd.model import Change, ChangeKind, Door, Limits, expand, templates
from pyknockd.model.events import (
    Closed,
    ClosedCause,
    Event,
    FirewallPrepared,
    Opened,
    RefusalCause,
    Refused,
)
from pyknockd.system.shell import split

MOST_COMMAND_BYTES = 4095  # knockd runs nothing that is longer
MOST_WAITING = 10_000  # changes that wait for their turn or a place


class Doors:
    """Every opening, from the knock to its end."""

    def __init__(self, journal: Journal, limits: Limits) -> None:
        self._journal = journal
        self._limits = limits
        self._firewall = Firewall()
        self._runner = Runner(self._firewall, limits)
        self._openings = Openings(limits.commands, journal.save)

    def prepare(self, doors: Iterable[Door], now: float) -> list[Event]:
        """Find out how each command will be run, and load what that takes."""
        prepared = self._firewall.prepare(templates(doors))
        return [FirewallPrepared(now, prepared.ways, prepared.warnings)]

    def change_limits(self, limits: Limits) -> None:
        """Heed other limits from now on."""
        self._limits = limits
        self._openings.allow(limits.commands)
        self._runner.limits = limits

    def recover(self, now: float) -> list[Event]:
        """Take over what was left open, each to be closed when its time comes."""
        events: list[Event] = []
        for left in self._journal.left():
            plan = self._plan_of(left)
            if left.closing is None and not self._still_stands(plan, left):
                self._journal.forget(left)
            elif left.closing is not None and _names_a_number(left.closing):
                # By now the number is another rule's.
                self._journal.forget(left)
                cause = ClosedCause.BY_NUMBER
                events.append(Closed(now, left.number, left.door, left.source, cause, left.closing))
            else:
                until = None if left.closing is None else now + left.seconds_left
                events += self._openings.recover(plan, until, now)
        return events

    def take(self, event: Opened) -> Iterator[Event]:
        """Open the door that ``event`` speaks of, for its source. Each event before what it is of."""
        door, source, now = event.door, event.source, event.time
        if not door.opening.for_source(source):
            return
        opening = expand(door.opening.for_source(source), source)
        closing = expand(door.closing.for_source(source), source)
        if _too_long(opening):
            yield Refused(now, source, door, RefusalCause.START_COMMAND_TOO_LONG)
        elif _too_long(closing):
            yield Refused(now, source, door, RefusalCause.STOP_COMMAND_TOO_LONG)
        elif self._openings.waiting >= MOST_WAITING:
            yield Refused(now, source, door, RefusalCause.TOO_MANY_WAIT)
        else:
            number = self._journal.number()
            opens = self._change(number, ChangeKind.OPEN, door.name, source, opening)
            closes = None
            if door.closing.is_there(source):
                closes = self._change(number, ChangeKind.CLOSE, door.name, source, closing)
            self._openings.begin(self._plan(opens, closes, door.open_for), now)
            yield from self.work(now)

    def work(self, now: float) -> Iterator[Event]:
        """Take note of what has ended, and begin what is due. Each event before what it is of."""
        self._journal.work(now)
        yield from self._journal.events()
        yield from self.recover(now)  # a journal that could not be had before
        for event in self._runner.work(now):
            yield event
            yield from self._openings.take(event, now)
        changes, told = self._openings.due(now)
        yield from told
        for change in changes:
            for event in self._runner.begin(change, now):
                yield event
                yield from self._openings.take(event, now)
        if changes:
            self._journal.trim(self._limits.history_rows, self._limits.history_days)

    def next_deadline(self, now: float) -> float | None:
        """When ``work`` is to be called at the latest, or None. An ended program calls for it too."""
        deadlines = (
            self._openings.next_deadline(),
            self._runner.next_deadline(now),
            self._journal.next_deadline(),
        )
        return min((one for one in deadlines if one is not None), default=None)

    def close_all(self, now: float) -> Iterator[Event]:
        """Have every timed door closed now, and let nothing open any more."""
        yield from self._openings.close_all(now)
        yield from self.work(now)

    def standing(self) -> list[Opening]:
        """What stands open, oldest first."""
        return [opening for opening in self._openings.all if opening.stands]

    def get(self, number: int) -> Opening | None:
        """The opening of that number, unless it is over."""
        return self._openings.get(number)

    def close_by_hand(self, opening: Opening, closing: Change, now: float) -> None:
        """Have one that stands open closed in the next ``work``, by ``closing``, see ``closing_of``."""
        self._openings.end_by_hand(opening, closing, now)

    def extend(self, opening: Opening, until: float, now: float) -> list[Event]:
        """Let one that stands open, and has a closing, stand until then."""
        return self._openings.end_at(opening, until, now)

    def is_busy(self, now: float) -> bool:
        """Whether anything is under way or due."""
        deadline = self._openings.next_deadline()
        return self._openings.busy or (deadline is not None and deadline <= now)

    def _change(
        self, number: int, kind: ChangeKind, door: str, source: str, command: str
    ) -> Change:
        words = split(command)
        return Change(number, kind, door, source, command, None if words is None else tuple(words))

    def _plan(self, opens: Change, closes: Change | None, open_for: float) -> Plan:
        effect = self._effect(opens)
        end = self._effect(closes) if closes is not None else None
        return Plan(
            opens,
            closes,
            open_for,
            makes=effect.rule if effect is not None and effect.makes else None,
            takes=effect.rule if effect is not None and not effect.makes else None,
            closes=end.rule if end is not None and not end.makes else None,
        )

    def _effect(self, change: Change) -> Effect | None:
        if change.words is None or not is_iptables(change.words):
            return None
        return self._firewall.effect(change.words)

    def _still_stands(self, plan: Plan, left: Left) -> bool:
        """Whether the rule is there of an opening without end; with a reboot rules go.

        One whose command was under way may have made it: then nobody else knows whose it is.
        """
        if plan.makes is None or left.rebooted:
            return False
        return bool(self._firewall.is_there(plan.opening.words or ()))

    def _plan_of(self, left: Left) -> Plan:
        opens = self._change(left.number, ChangeKind.OPEN, left.door, left.source, left.opening)
        closes = None
        if left.closing is not None:
            closes = self._change(
                left.number, ChangeKind.CLOSE, left.door, left.source, left.closing
            )
            closes = replace(closes, look_first=True)
        return self._plan(opens, closes, left.open_for)


def closing_of(opening: Opening) -> Change | None:
    """What closes ``opening``: its own closing, else what takes away the rule that it made, if known."""
    plan, opens = opening.plan, opening.plan.opening
    if plan.closing is not None or plan.makes is None:
        return plan.closing
    words = delete_words(opens.words or ())
    if not words:
        return None
    change = replace(opens, kind=ChangeKind.CLOSE, command=join(words), words=words)
    return replace(change, look_first=True)


def _too_long(command: str) -> bool:
    return len(command.encode("utf-8", "surrogateescape")) > MOST_COMMAND_BYTES


def _names_a_number(command: str) -> bool:
    """Whether an iptables command deletes a rule by its number."""
    words = split(command)
    return words is not None and is_iptables(words) and deletes_by_number(words)
