"""A firewall of a few lines in which openings are carried out, and what it knows of right and wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pyknockd.doors.lifetime import Openings
from pyknockd.doors.opening import Opening, Plan, State
from pyknockd.model import Change, ChangeKind
from pyknockd.model.events import (
    Closed,
    ClosedCause,
    CommandEnded,
    CommandHung,
    Event,
    GivenUp,
    LooksFirst,
    RuleGone,
    Standing,
)

FOR_EVER = float("inf")
AT_ONCE = 4
HUNG_SECONDS = 60.0


@dataclass(frozen=True)
class Door:
    """A door of the tests.

    ``open_for`` is how long it is open, for ever if need be. ``takes``: it takes a rule away.
    ``known``: its commands are iptables', so that the rule is known that they speak of; all doors
    with such commands speak of the same.
    """

    name: str
    open_for: float
    takes: bool = False
    known: bool = True


SHORT, LONG = Door("short", 3.0), Door("long", 8.0)
FOREVER, TAKER = Door("forever", FOR_EVER), Door("taker", FOR_EVER, takes=True)
SCRIPT = Door("script", 3.0, known=False)
DOORS = {door.name: door for door in (SHORT, LONG, FOREVER, TAKER, SCRIPT)}
ONE, TWO = "10.0.0.1", "10.0.0.2"


def plan_of(number: int, door: Door, source: str, target: str) -> Plan:
    """What the opening ``number`` is to do to the rule ``target``."""
    opening = Change(number, ChangeKind.OPEN, door.name, source, f"make {target}")
    closing = None
    if door.open_for != FOR_EVER:
        closing = Change(number, ChangeKind.CLOSE, door.name, source, f"take {target}")
    return Plan(
        opening,
        closing,
        door.open_for,
        makes=target if door.known and not door.takes else None,
        takes=target if door.known and door.takes else None,
        closes=target if door.known and closing else None,
    )


def door_of(change: Change) -> Door:
    return DOORS[change.door]


def target_of(change: Change) -> str:
    """The rule that ``change`` speaks of; what a script does is each opening's own."""
    return change.command.split()[1] if door_of(change).known else f"script {change.opening}"


def makes(change: Change) -> bool:
    return change.kind is ChangeKind.OPEN and not door_of(change).takes


@dataclass
class Rule:
    """A rule that is there, and how many copies of it openings have made; none: it is the admin's."""

    ours: int = 0


@dataclass
class World:
    """The rules that are there, the changes under way, and until when each rule was asked for.

    ``shared``: one rule for everybody, as where commands have no ``%IP%``. ``hung`` are changes under
    way that nothing waits for, ``looking`` those that only look yet, ``since`` when each hung.
    ``doubtful`` are rules of which nobody can know how many copies there are. ``journal`` holds each
    opening as it was saved last, and when it began to stand open.
    """

    shared: bool = False
    now: float = 0.0
    number: int = 0
    stopping: bool = False
    rules: dict[str, Rule] = field(default_factory=dict)
    promises: dict[str, list[float]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    under_way: list[Change] = field(default_factory=list)
    hung: list[Change] = field(default_factory=list)
    looking: list[Change] = field(default_factory=list)
    since: dict[Change, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    standing: set[int] = field(default_factory=set)
    journal: dict[int, tuple[Opening, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.openings = Openings(AT_ONCE, self._save)

    # --- what happens ----------------------------------------------------------------------------

    def knock(self, door: Door, source: str = ONE) -> int:
        """Returns the opening's number."""
        self.number += 1
        plan = plan_of(self.number, door, source, self.rule_of(source))
        self.openings.begin(plan, self.now)
        self._work()
        return self.number

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self._work()

    def end(self, change: Change, status: int = 0) -> None:
        """The command ends, and has done its work if ``status`` is 0."""
        if change in self.looking:
            self.looking.remove(change)
            self._take(GivenUp(self.now, change))
            return
        late = change in self.hung
        (self.hung if late else self.under_way).remove(change)
        if makes(change):
            self._take(self._make(change, late, status))
        else:
            self._take(self._take_away(change, status))

    def likely(self, change: Change, status: int) -> int:
        """``status`` where it is possible.

        An opening whose rule is there runs nothing that could fail, unless it hung before. A closing
        that fails with 1 says that there is nothing to close.
        """
        if makes(change):
            found = self.is_there(target_of(change)) and change not in self.hung
            return 0 if found else status
        return 0 if status == 1 else status

    def end_all(self) -> None:
        """Everything ends well that nobody has called hung, and what begins by that."""
        while self.under_way:
            self.end(self.under_way[0])

    def hang(self, change: Change) -> None:
        """Where its rule is there already a command does no more than look."""
        self.under_way.remove(change)
        known = makes(change) and door_of(change).known
        looks = known and self.is_there(target_of(change))
        (self.looking if looks else self.hung).append(change)
        if known:
            self._take(LooksFirst(self.now, change))
            if not looks:
                self._take(LooksFirst(self.now, change, found=False))
        if makes(change) and not looks and door_of(change).open_for != FOR_EVER:
            self.since[change] = self.now
            self._promise(change, self.now)
        self._take(CommandHung(self.now, change, HUNG_SECONDS, looks))

    def make_by_hand(self, target: str) -> None:
        """The admin makes a rule that no opening knows of; of others nobody could tell whose it is."""
        quiet = not (self.openings.busy or self.hung or self.looking)
        claimed = any(one.plan.makes == target for one in self.openings.register.all())
        if quiet and not claimed and not self.is_there(target):
            self.rules[target] = Rule()
            self.promises.pop(target, None)

    def take_by_hand(self, target: str) -> None:
        """What a hung command makes after that is taken for a second copy by whoever saw nothing."""
        if self.rules.pop(target, None) and target in map(target_of, self.hung):
            self.doubtful.add(target)
        self.promises.pop(target, None)

    def stop(self) -> None:
        """Everything timed is to be closed."""
        self.stopping = True
        for target, ends in self.promises.items():
            self.promises[target] = [end if end == FOR_EVER else self.now for end in ends]
        self._tell(self.openings.close_all(self.now))
        self._work()

    def restart(self, done: bool) -> None:
        """Killed and started again. ``done``: what was under way had just done its work."""
        for change in self.under_way:
            if makes(change) and door_of(change).known and self.is_there(target_of(change)):
                self._take(LooksFirst(self.now, change))
            elif done and makes(change):
                self.rules[target_of(change)] = Rule(1)
            elif done and self.is_there(target_of(change)) and self.rules[target_of(change)].ours:
                del self.rules[target_of(change)]
        self.under_way, self.hung, self.looking = [], [], []
        self.stopping = False
        self.standing.clear()
        saved, self.journal = self.journal, {}
        self.openings = Openings(AT_ONCE, self._save)
        for opening, opened in saved.values():
            self._recover(opening, opened)
        # Whose rule it is cannot be told from its being there: it may have been made anew.
        self.promises.clear()
        for one in self.openings.register.all():
            target = target_of(one.plan.opening)
            if self.is_there(target) and self.rules[target].ours:
                until = FOR_EVER if one.until is None else one.until
                self.promises.setdefault(target, []).append(until)
        self._work()

    def settle(self) -> None:
        """Everything that is under way ends well, and all time passes."""
        for _ in range(1_000):
            for change in [*self.under_way, *self.hung, *self.looking]:
                self.end(change)
            deadline = self.openings.next_deadline()
            if deadline is None and not self.is_anything_under_way:
                return
            self.now = max(self.now, deadline or 0.0)
            self._work()
        raise AssertionError("it never comes to rest")

    # --- what is so ------------------------------------------------------------------------------

    def rule_of(self, source: str) -> str:
        return "everybody" if self.shared else source

    def is_there(self, target: str = ONE) -> bool:
        return target in self.rules

    @property
    def is_anything_under_way(self) -> bool:
        return bool(self.under_way or self.hung or self.looking)

    def closed(self, number: int) -> ClosedCause | None:
        """Why an opening is over, None if it is not."""
        found = [e for e in self.events if isinstance(e, Closed) and e.opening == number]
        assert len(found) <= 1, "an opening was over twice"
        return found[0].cause if found else None

    def check_ends(self) -> None:
        """What stands open by now has time left, or somebody who tries again to close it."""
        if self.is_anything_under_way:
            return
        claimed = {
            target_of(one.plan.opening)
            for one in self.openings.register.all()
            if self._has_time(one)
        }
        for target, rule in self.rules.items():
            if rule.ours and target not in self.doubtful | claimed:
                until = max(self.promises.get(target, ()), default=self.now)
                assert until > self.now, f"{target} was opened until {until}, and nobody closes it"

    def _has_time(self, opening: Opening) -> bool:
        """One without end has all time only where it was promised."""
        return opening.until is not None and opening.until > self.now

    def check_rest(self) -> None:
        """Once all has come to rest only what has no end is left, and is known to stand open."""
        left = {one.number for one in self.openings.register.all()}
        assert all(one.plan.closing is None for one in self.openings.register.all())
        assert self.standing == left
        assert not self.openings.busy and not self.openings.waiting
        for number in range(1, self.number + 1):
            self.closed(number)

    # --- within ----------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            changes, events = self.openings.due(self.now)
            self._tell(events)
            self.under_way += changes
            if not changes and not events:
                return

    def _take(self, event: Event) -> None:
        self._tell([event, *self.openings.take(event, self.now)])
        self._work()

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, Standing):
                self.standing.add(event.opening)
            elif isinstance(event, Closed):
                self.standing.discard(event.opening)

    def _make(self, change: Change, late: bool, status: int) -> CommandEnded:
        target = target_of(change)
        already = status == 0 and not late and self.is_there(target)
        if status == 0:
            rule = self.rules.setdefault(target, Rule())
            rule.ours += not already
            if rule.ours:
                self._promise(change, self.since.get(change, self.now))
            if late and self._is_being_taken(target):
                self.doubtful.add(target)
        elif change in self.since:
            self._withdraw(change)
        return CommandEnded(self.now, change, status, already)

    def _is_being_taken(self, target: str) -> bool:
        others = [*self.under_way, *self.hung]
        return any(target_of(other) == target and not makes(other) for other in others)

    def _take_away(self, change: Change, status: int) -> Event:
        target = target_of(change)
        rule = self.rules.get(target)
        if rule is None and change.look_first and door_of(change).known:
            return RuleGone(self.now, change)
        if status or rule is None:
            return CommandEnded(self.now, change, status or 1)
        if change.kind is ChangeKind.CLOSE and target not in self.doubtful:
            assert rule.ours, "what nobody here had opened was closed"
            early = [until for until in self.promises.get(target, ()) if until > self.now]
            assert rule.ours > 1 or not early, f"{target} was to stay open until {max(early)}"
        rule.ours -= 1
        if rule.ours <= 0:
            del self.rules[target]
            self.promises.pop(target, None)
        return CommandEnded(self.now, change, 0)

    def _promise(self, change: Change, since: float) -> None:
        until = since + door_of(change).open_for
        if self.stopping and until != FOR_EVER:
            until = self.now
        self.promises.setdefault(target_of(change), []).append(until)

    def _withdraw(self, change: Change) -> None:
        """It had hung, and has failed: nothing was opened by it."""
        ends = self.promises.get(target_of(change), [])
        failed = self.since.pop(change) + door_of(change).open_for
        if failed in ends:
            ends.remove(failed)

    def _save(self, opening: Opening) -> None:
        was, began = self.journal.get(opening.number, (opening, self.now))
        if opening.state in (State.OPEN, State.OPENING_HUNG) and was.state is State.OPENING:
            began = self.now
        if opening.state is not State.WAITING:
            self.journal[opening.number] = (opening, began)

    def _recover(self, opening: Opening, opened: float) -> None:
        """As ``Doors`` does: without end only if its rule is there."""
        plan, until = opening.plan, None
        if opening.state in (State.CLOSED, State.LOOKING, State.GIVEN_UP):
            return
        if plan.closing is not None:
            plan = replace(plan, closing=replace(plan.closing, look_first=True))
            until = max(self.now, opened + plan.open_for)
        elif not self.is_there(str(plan.makes)):
            return
        self.journal[opening.number] = (replace(opening, plan=plan), opened)
        self._tell(self.openings.recover(plan, until, self.now))
