"""The doors: who has shown that he may gets in, and is let in no longer than meant.

Openings say what is to be done and when, the runner does it, the journal remembers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from shlex import join

from pyknockd.doors.families import missing_directives
from pyknockd.doors.journal import Journal
from pyknockd.doors.lifetime import Openings
from pyknockd.doors.opening import Opening, Plan
from pyknockd.doors.plans import change_of, plan, plan_of, refusal_of
from pyknockd.doors.runner import Runner
from pyknockd.doors.store import Left
from pyknockd.firewall import Firewall, delete_words, deletes_by_number, is_iptables
from pyknockd.model import Change, ChangeKind, Door, Limits, templates
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

MOST_WAITING = 10_000  # changes that wait for their turn or a place


class Doors:
    """Every opening, from the knock to its end."""

    def __init__(self, journal: Journal, limits: Limits) -> None:
        self._journal = journal
        self._limits = limits
        self._firewall = Firewall()
        self._runner = Runner(self._firewall, limits, self._is_ours)
        self._openings = Openings(limits.commands, journal.save)
        # Of what each lacks: every knock would tell it again.
        self._told: set[Door] = set()

    def fileno(self) -> int:
        """Readable when ``work`` has something to tell."""
        return self._runner.fileno()

    def prepare(self, doors: Iterable[Door], now: float) -> list[Event]:
        """Find out how each command will be run, and load what that takes."""
        self._told.clear()
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
        now = event.time
        if not event.door.opening.for_source(event.source):
            return
        refusal = refusal_of(event, self._openings.register.sources(event.door.name))
        if refusal is None and self._openings.waiting >= MOST_WAITING:
            refusal = RefusalCause.TOO_MANY_WAIT
        if refusal is RefusalCause.OTHER_FAMILY:
            yield self._misfit(event)
        elif refusal is not None:
            yield Refused(now, event.source, event.door, refusal)
        else:
            number = self._journal.number()
            self._openings.begin(plan_of(event, number, self._firewall.effect), now)
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
        for event in self._runner.begin_all(changes, now):
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
        return [opening for opening in self._openings.register.all() if opening.stands]

    def get(self, number: int) -> Opening | None:
        """The opening of that number, unless it is over."""
        return self._openings.register.get(number)

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

    def _is_ours(self, change: Change) -> bool:
        """Whether the rule that ``change`` is to make belongs to another opening already."""
        effect = self._firewall.effect(change.words) if change.words else None
        others = (
            one
            for one in self._openings.register.all()
            if one.number != change.opening and one.holds
        )
        return effect is not None and any(one.plan.makes == effect.rule for one in others)

    def _misfit(self, event: Opened) -> Refused:
        """What the file lacks is told once for each door."""
        missing = missing_directives(event.door, over_ipv6=":" in event.source)
        cause, text, told = (
            RefusalCause.OTHER_FAMILY,
            " and ".join(missing),
            event.door in self._told,
        )
        self._told.add(event.door)
        return Refused(event.time, event.source, event.door, cause, text, quiet=told)

    def _still_stands(self, plan: Plan, left: Left) -> bool:
        """Whether the rule is there of an opening without end; with a reboot rules go.

        One whose command was under way may have made it: then nobody else knows whose it is.
        """
        if plan.makes is None or left.rebooted:
            return False
        return bool(self._firewall.is_there(plan.opening.words or ()))

    def _plan_of(self, left: Left) -> Plan:
        opens = change_of(left.number, ChangeKind.OPEN, left.door, left.source, left.opening)
        closes = None
        if left.closing is not None:
            closes = change_of(left.number, ChangeKind.CLOSE, left.door, left.source, left.closing)
            closes = replace(closes, look_first=True)
        return plan(opens, closes, left.open_for, self._firewall.effect)


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


def _names_a_number(command: str) -> bool:
    """Whether an iptables command deletes a rule by its number."""
    words = split(command)
    return words is not None and is_iptables(words) and deletes_by_number(words)
