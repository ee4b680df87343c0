"""The life of an opening: chosen stories, and any story at all held against a model of a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

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
)


@dataclass(frozen=True)
class Door:
    """A door of the tests: how long it is open, None for ever; and whether it takes rules away."""

    name: str
    open_for: float | None
    takes: bool = False


SHORT, LONG = Door("short", 3.0), Door("long", 8.0)
FOREVER, TAKER = Door("forever", None), Door("taker", None, takes=True)
DOORS = (SHORT, LONG, FOREVER, TAKER)
SOURCES = ("10.0.0.1", "10.0.0.2")


def plan_of(number: int, door: Door, source: str, shared: bool) -> Plan:
    """``shared``: one rule for everybody, as where the command has no ``%IP%``."""
    target = "all" if shared else source
    opening = Change(number, ChangeKind.OPEN, door.name, source, f"make {target}")
    closing = None
    if door.open_for is not None:
        closing = Change(number, ChangeKind.CLOSE, door.name, source, f"take {target}")
    return Plan(
        opening,
        closing,
        door.open_for or 0.0,
        makes=None if door.takes else target,
        takes=target if door.takes else None,
        closes=target if closing else None,
    )


@dataclass
class Rule:
    """A rule that is there: how often openings have made it, and whether the admin has."""

    ours: int = 0
    admins: bool = False


@dataclass
class World:
    """A firewall, the changes under way in it, and what each opening was promised.

    ``promises`` are the times until which a rule was asked for, infinity for one without end.
    ``hung`` are changes under way that nothing waits for, ``looking`` those that only look yet.
    """

    shared: bool = False
    now: float = 0.0
    rules: dict[str, Rule] = field(default_factory=dict)
    promises: dict[str, list[float]] = field(default_factory=dict)
    saved: dict[int, tuple[Opening, float]] = field(default_factory=dict)
    under_way: list[Change] = field(default_factory=list)
    hung: list[Change] = field(default_factory=list)
    looking: list[Change] = field(default_factory=list)
    since: dict[Change, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.openings = Openings(4, self.save)

    def save(self, opening: Opening) -> None:
        first = self.saved.get(opening.number, (opening, self.now))[1]
        stands = opening.state in (State.OPEN, State.OPENING_HUNG)
        was = self.saved.get(opening.number)
        if stands and was is not None and was[0].state is State.OPENING:
            first = self.now
        if opening.state is not State.WAITING:
            self.saved[opening.number] = (opening, first)

    def open(self, door: Door, source: str) -> int:
        self.number += 1
        self.openings.begin(plan_of(self.number, door, source, self.shared), self.now)
        self.work()
        return self.number

    def work(self) -> None:
        while True:
            changes, events = self.openings.due(self.now)
            self.events += events
            self.under_way += changes
            if not changes and not events:
                return

    def take(self, event: Event) -> None:
        self.events += [event, *self.openings.take(event, self.now)]
        self.work()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.work()

    def target(self, change: Change) -> str:
        return change.command.split()[1]

    def is_there(self, target: str) -> bool:
        return target in self.rules

    def end(self, change: Change, status: int = 0) -> None:
        """The command ends, and has done its work if ``status`` is 0."""
        if change in self.looking:
            self.looking.remove(change)
            self.take(GivenUp(self.now, change))
            return
        late = change in self.hung
        (self.hung if late else self.under_way).remove(change)
        target = self.target(change)
        if change.kind is ChangeKind.CLOSE or change.door == TAKER.name:
            self.take(self.take_away(change, target, status))
            return
        already = status == 0 and not late and self.is_there(target)
        if status == 0:
            made = self.rules.setdefault(target, Rule())
            made.ours += not already
            if made.ours:
                self.promise(change, self.since.get(change, self.now))
        elif late:
            self.withdraw(change)
        self.take(CommandEnded(self.now, change, status, already))

    def take_away(self, change: Change, target: str, status: int) -> Event:
        there = self.rules.get(target)
        if change.look_first and there is None:
            return RuleGone(self.now, change)
        if status or there is None:
            return CommandEnded(self.now, change, status or 1)
        if change.kind is ChangeKind.CLOSE:
            assert there.ours, "what nobody here had opened was closed"
            early = [until for until in self.promises.get(target, ()) if until > self.now]
            assert there.ours > 1 or not early, f"was to stay open until {max(early)}"
        there.ours -= 1
        if there.ours <= 0:
            self.promises.pop(target, None)
            del self.rules[target]
        return CommandEnded(self.now, change, 0)

    def promise(self, change: Change, since: float) -> None:
        door = next(one for one in DOORS if one.name == change.door)
        until = float("inf") if door.open_for is None else since + door.open_for
        self.promises.setdefault(self.target(change), []).append(until)

    def withdraw(self, change: Change) -> None:
        """It had hung, and has failed: nothing was opened by it."""
        before = self.promises.pop(self.target(change), [])
        self.promise(change, self.since[change])
        failed = self.promises.pop(self.target(change))[0]
        if failed in before:
            before.remove(failed)
        self.promises[self.target(change)] = before

    def hang(self, change: Change) -> None:
        """Where the rule is there already a command does no more than look."""
        self.under_way.remove(change)
        makes = change.kind is ChangeKind.OPEN and change.door != TAKER.name
        looks = makes and self.is_there(self.target(change))
        (self.looking if looks else self.hung).append(change)
        if makes:
            self.take(LooksFirst(self.now, change))
            if not looks:
                self.take(LooksFirst(self.now, change, found=False))
        if makes and not looks:
            self.since[change] = self.now
            self.promise(change, self.now)
        self.take(CommandHung(self.now, change, 60, looks))

    def restart(self, done: bool) -> None:
        """Killed and started again. ``done``: what was under way has just done its work."""
        for change in self.under_way:
            if change.kind is ChangeKind.OPEN and self.is_there(self.target(change)):
                self.take(LooksFirst(self.now, change))
        for change in self.under_way if done else ():
            target = self.target(change)
            there = self.rules.get(target)
            if change.kind is ChangeKind.CLOSE or change.door == TAKER.name:
                kept = max(self.promises.get(target, []), default=0.0) > self.now
                if (
                    there is not None
                    and there.ours
                    and not (kept and change.kind is ChangeKind.CLOSE)
                ):
                    del self.rules[target]
                    self.promises.pop(target, None)
            elif there is None:
                self.rules[target] = Rule(1)
                self.promise(change, self.saved[change.opening][1])
        for change in self.hung:
            if change in self.since:
                self.withdraw(change)
        self.under_way, self.hung, self.looking = [], [], []
        saved, self.saved = self.saved, {}
        self.openings = Openings(4, self.save)
        for opening, opened in saved.values():
            self.recover(opening, opened)
        self.work()

    def recover(self, opening: Opening, opened: float) -> None:
        """As ``Doors`` does: without end only if its rule is there."""
        plan, until = opening.plan, None
        if opening.state in (State.CLOSED, State.LOOKING, State.GIVEN_UP):
            return
        if plan.closing is not None:
            plan = replace(plan, closing=replace(plan.closing, look_first=True))
            until = max(self.now, opened + plan.open_for)
        elif opening.state is not State.OPEN or not self.is_there(str(plan.makes)):
            return
        self.saved[opening.number] = (replace(opening, plan=plan), opened)
        self.events += self.openings.recover(plan, until, self.now)

    def settle(self) -> None:
        """Everything that is under way ends well, and all time passes."""
        for _ in range(1_000):
            for change in [*self.under_way, *self.hung, *self.looking]:
                self.end(change)
            deadline = self.openings.next_deadline()
            if deadline is None and not (self.under_way or self.hung or self.looking):
                return
            self.now = max(self.now, deadline or 0.0)
            self.work()
        raise AssertionError("it never comes to rest")

    def closed(self, number: int) -> ClosedCause | None:
        found = [e for e in self.events if isinstance(e, Closed) and e.opening == number]
        assert len(found) <= 1, "an opening was over twice"
        return found[0].cause if found else None


class Stories(RuleBasedStateMachine):
    """Any order of openings, ends, hangs, failures, restarts and an admin's own hands."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(shared=st.booleans())
    @precondition(lambda self: not self.world.number and not self.world.rules)
    def choose_the_rules(self, shared: bool) -> None:
        self.world = World(shared=shared)

    @rule(door=st.sampled_from(DOORS), source=st.sampled_from(SOURCES))
    def knock(self, door: Door, source: str) -> None:
        self.world.open(door, source)

    @rule(seconds=st.sampled_from((0.5, 1.0, 2.5, 6.0)))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(data=st.data(), status=st.sampled_from((0, 0, 0, 1, 4, 126, 137)))
    @precondition(lambda self: self.world.under_way)
    def end(self, data: st.DataObject, status: int) -> None:
        change = data.draw(st.sampled_from(self.world.under_way))
        # A closing that fails for good, status 1, says that there is nothing to close; an opening
        # whose rule is there runs nothing that might fail.
        there = self.world.is_there(self.world.target(change))
        opens = change.kind is ChangeKind.OPEN
        self.world.end(change, 0 if (there if opens else status == 1) else status)

    @rule(data=st.data())
    @precondition(lambda self: self.world.under_way)
    def hang(self, data: st.DataObject) -> None:
        self.world.hang(data.draw(st.sampled_from(self.world.under_way)))

    @rule(data=st.data(), status=st.sampled_from((0, 0, 137)))
    @precondition(lambda self: self.world.hung or self.world.looking)
    def end_late(self, data: st.DataObject, status: int) -> None:
        late = self.world.hung + self.world.looking
        self.world.end(data.draw(st.sampled_from(late)), status)

    @rule(source=st.sampled_from(SOURCES))
    def the_admin_makes_the_rule_himself(self, source: str) -> None:
        target = "all" if self.world.shared else source
        quiet = not (self.world.openings.busy or self.world.hung or self.world.looking)
        standing = any(one.plan.makes == target for one in self.world.openings.all)
        if quiet and not standing and not self.world.is_there(target):
            self.world.rules[target] = Rule(0, admins=True)
            self.world.promises.pop(target, None)

    @rule(source=st.sampled_from(SOURCES))
    def the_admin_takes_the_rule_away(self, source: str) -> None:
        target = "all" if self.world.shared else source
        self.world.rules.pop(target, None)
        self.world.promises.pop(target, None)

    @rule(done=st.booleans())
    @precondition(lambda self: all(one.ours <= 1 for one in self.world.rules.values()))
    def kill_it_and_start_again(self, done: bool) -> None:
        self.world.restart(done)

    def teardown(self) -> None:
        world = self.world
        world.settle()
        for target, there in world.rules.items():
            without_end = float("inf") in world.promises.get(target, ())
            assert not there.ours or without_end, (
                f"{target} was opened here with an end, and nobody closes it"
            )


TestStories = Stories.TestCase
TestStories.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, phases=[Phase.generate]
)
