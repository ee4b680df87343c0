"""Every opening that is not over, by its number, and whose each rule is. Knows no transitions."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import replace

from pyknockd.doors.opening import Opening, State
from pyknockd.model import Change


class Register:
    """The openings as they are now. ``changed`` is called with each that is other than before.

    ``copies`` says how often each rule is there by now; twice where a command that hung made it once
    more.
    """

    def __init__(self, changed: Callable[[Opening], None]) -> None:
        self.copies: Counter[Hashable] = Counter()
        self._changed = changed
        self._all: dict[int, Opening] = {}
        self._by_rule: dict[Hashable, dict[int, None]] = {}
        self._without_end: OrderedDict[int, None] = OrderedDict()
        self._not_begun: dict[Change, int] = {}
        self._sources: dict[str, Counter[str]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def all(self) -> Iterable[Opening]:
        """Each opening, oldest first."""
        return self._all.values()

    def get(self, number: int) -> Opening | None:
        """The opening of that number, unless it is over."""
        return self._all.get(number)

    def of(self, change: Change) -> Opening:
        """The opening that ``change`` belongs to, which is not over."""
        return self._all[change.opening]

    def add(self, opening: Opening) -> None:
        """Remember ``opening``."""
        number, plan = opening.number, opening.plan
        self._all[number] = opening
        self._sources.setdefault(plan.opening.door, Counter())[plan.opening.source] += 1
        if plan.makes is not None:
            self._by_rule.setdefault(plan.makes, {})[number] = None
        if opening.state is State.WAITING:
            self._not_begun[_alike(plan.opening)] = number
        self._heed_end(opening)

    def change(self, opening: Opening, **changes: object) -> Opening:
        """``opening`` with other values from now on."""
        before = self._all[opening.number]
        changed = replace(before, **changes)  # type: ignore[arg-type]
        self._all[opening.number] = changed
        if before.state is State.WAITING:
            self._forget_alike(changed)
        self._heed_end(changed)
        self._changed(changed)
        return changed

    def remove(self, opening: Opening) -> None:
        """It is over."""
        number, rule = opening.number, opening.plan.makes
        del self._all[number]
        sources = self._sources[opening.plan.opening.door]
        sources[opening.plan.opening.source] -= 1
        if not sources[opening.plan.opening.source]:
            del sources[opening.plan.opening.source]
        self._without_end.pop(number, None)
        if rule is not None:
            self._by_rule[rule].pop(number, None)
            if not self._by_rule[rule]:
                del self._by_rule[rule]
                self.copies.pop(rule, None)

    def holders(self, rule: Hashable, but: Opening) -> list[Opening]:
        """The openings, but for one, to which ``rule`` belongs."""
        found = (self._all[number] for number in self._by_rule.get(rule, ()))
        return [one for one in found if one.holds and one.number != but.number]

    def sources(self, door: str) -> Collection[str]:
        """Those with openings at ``door``."""
        return self._sources.get(door, ())

    def not_begun(self, change: Change) -> Opening | None:
        """One that waits to do for the same door and source what ``change`` does."""
        number = self._not_begun.get(_alike(change))
        return None if number is None else self._all[number]

    def too_many_without_end(self, most: int) -> Opening | None:
        """The oldest of those that nothing closes, if there are more than so many."""
        if len(self._without_end) <= most:
            return None
        return self._all[next(iter(self._without_end))]

    def _heed_end(self, opening: Opening) -> None:
        if opening.state is State.OPEN and opening.until is None:
            self._without_end[opening.number] = None
        else:
            self._without_end.pop(opening.number, None)

    def _forget_alike(self, opening: Opening) -> None:
        alike = _alike(opening.plan.opening)
        if self._not_begun.get(alike) == opening.number:
            del self._not_begun[alike]


def _alike(change: Change) -> Change:
    """What changes have in common that do the same for the same door and source."""
    return replace(change, opening=0)
