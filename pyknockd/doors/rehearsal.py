"""What would be run: every opening as it would be if each command did at once what it says.

Nothing is run, and nothing is looked at: what the firewall holds is what the rehearsed commands would
have put there.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import count

from pyknockd.doors.lifetime import Openings
from pyknockd.doors.opening import Opening
from pyknockd.doors.plans import plan_of, refusal_of
from pyknockd.firewall import effect_unrun
from pyknockd.model import Change, ChangeKind, Limits
from pyknockd.model.events import CommandEnded, CommandStarted, Event, Opened, Refused


class Rehearsal:
    """In the place of ``Doors``."""

    def __init__(self, limits: Limits) -> None:
        self._openings = Openings(limits.commands, self._note)
        self._numbers = count(1)
        self._plans: dict[int, Opening] = {}
        self._there: set[Hashable] = set()

    def take(self, event: Opened) -> Iterator[Event]:
        """Open the door that ``event`` speaks of, for its source. Each event before what it is of."""
        if not event.door.opening.for_source(event.source):
            return
        refusal = refusal_of(event, self._openings.register.sources(event.door.name))
        if refusal is not None:
            yield Refused(event.time, event.source, event.door, refusal)
            return
        plan = plan_of(event, next(self._numbers), effect_unrun)
        self._openings.begin(plan, event.time)
        yield from self.work(event.time)

    def work(self, now: float) -> Iterator[Event]:
        """Whatever is due."""
        changes, told = self._openings.due(now)
        yield from told
        for change in changes:
            already = self._is_there_already(change)
            if not already:
                yield CommandStarted(now, change, rehearsed=True)
            yield from self._openings.take(CommandEnded(now, change, 0, already), now)

    def next_deadline(self) -> float | None:
        """When ``work`` has something to do, or None."""
        return self._openings.next_deadline()

    def _is_there_already(self, change: Change) -> bool:
        """Whether nothing is to be done, as the rule is there; if not, it is as ``change`` leaves it."""
        plan = self._plans[change.opening].plan
        if change.kind is ChangeKind.CLOSE:
            self._there.discard(plan.closes)
            return False
        self._there.discard(plan.takes)
        if plan.makes is None:
            return False
        already = plan.makes in self._there
        self._there.add(plan.makes)
        return already

    def _note(self, opening: Opening) -> None:
        if opening.cause is None:
            self._plans[opening.number] = opening
        else:
            self._plans.pop(opening.number, None)
