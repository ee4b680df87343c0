"""The life of an opening: chosen stories, and any story at all in a firewall of a few lines."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyknockd.doors import lifetime
from pyknockd.doors.lifetime import AT_A_TIME, FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, Openings
from pyknockd.doors.opening import Opening, State
from pyknockd.model import Change, ChangeKind
from pyknockd.model.events import (
    AlreadyThere,
    Closed,
    ClosedCause,
    ClosingFailed,
    CommandEnded,
    Event,
    RuleGone,
    Standing,
    StandingCause,
)
from tests.support.openings import (
    DOORS,
    FOREVER,
    LONG,
    ONE,
    SCRIPT,
    SHORT,
    TAKER,
    TWO,
    Door,
    World,
    plan_of,
)

STORIES = int(os.environ.get("PYKNOCKD_STORIES", "200"))
SOURCES = st.sampled_from((ONE, TWO))


class Stories(RuleBasedStateMachine):
    """Any order of knocks, ends, hangs, failures, restarts and an admin's own hands, and a stop."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.closes = False

    @initialize(shared=st.booleans(), closes=st.booleans())
    def choose(self, shared: bool, closes: bool) -> None:
        """One rule for everybody or one each, and what a stop does with what is timed."""
        self.world = World(shared=shared)
        self.closes = closes

    @rule(door=st.sampled_from(list(DOORS.values())), source=SOURCES)
    def knock(self, door: Door, source: str) -> None:
        self.world.knock(door, source)

    @rule(seconds=st.sampled_from((0.5, 1.0, 2.5, 6.0)))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(data=st.data(), status=st.sampled_from((0, 0, 0, 1, 4, 126, 137)))
    @precondition(lambda self: self.world.under_way)
    def end(self, data: st.DataObject, status: int) -> None:
        change = data.draw(st.sampled_from(self.world.under_way))
        self.world.end(change, self.world.likely(change, status))

    @rule(data=st.data())
    @precondition(lambda self: self.world.under_way)
    def hang(self, data: st.DataObject) -> None:
        self.world.hang(data.draw(st.sampled_from(self.world.under_way)))

    @rule(data=st.data(), status=st.sampled_from((0, 0, 1, 137)))
    @precondition(lambda self: self.world.hung or self.world.looking)
    def end_late(self, data: st.DataObject, status: int) -> None:
        change = data.draw(st.sampled_from(self.world.hung + self.world.looking))
        self.world.end(change, self.world.likely(change, status))

    @rule(source=SOURCES)
    def the_admin_makes_the_rule_himself(self, source: str) -> None:
        self.world.make_by_hand(self.world.rule_of(source))

    @rule(source=SOURCES)
    def the_admin_takes_the_rule_away(self, source: str) -> None:
        self.world.take_by_hand(self.world.rule_of(source))

    @rule(done=st.booleans())
    @precondition(lambda self: all(one.ours <= 1 for one in self.world.rules.values()))
    def kill_it_and_start_again(self, done: bool) -> None:
        self.world.restart(done)

    @invariant()
    def what_stands_open_has_time_left(self) -> None:
        self.world.check_ends()

    def teardown(self) -> None:
        if self.closes:
            self.world.stop()
            self.world.check_ends()
        self.world.settle()
        self.world.check_ends()
        self.world.check_rest()


TestStories = Stories.TestCase
# To shrink a story takes minutes.
TestStories.settings = settings(
    max_examples=STORIES, stateful_step_count=40, deadline=None, phases=[Phase.generate]
)


def closing(world: World) -> Change:
    """The only closing under way."""
    (change,) = world.under_way
    assert change.kind is ChangeKind.CLOSE
    return change


def of_closed(world: World) -> list[tuple[int, ClosedCause]]:
    return [(one.opening, one.cause) for one in world.events if isinstance(one, Closed)]


def state_of(world: World, number: int) -> State:
    return next(one.state for one in world.openings.register.all() if one.number == number)


# --- one opening ---------------------------------------------------------------------------------


def test_a_timed_door_is_closed_when_its_time_comes_and_not_before() -> None:
    world = World()
    number = world.knock(SHORT)
    world.pass_time(100.0)
    world.end_all()
    world.pass_time(2.999)
    assert world.under_way == []
    world.pass_time(0.001)
    world.end(closing(world))
    assert world.closed(number) is ClosedCause.TIME
    assert not world.rules
    world.check_rest()


@pytest.mark.parametrize(
    ("door", "status", "closes"),
    [(SHORT, 1, False), (SHORT, 137, True), (SCRIPT, 1, True), (SCRIPT, 127, True)],
)
def test_an_opening_that_failed_is_closed_unless_it_is_certain_that_it_made_nothing(
    door: Door, status: int, closes: bool
) -> None:
    world = World()
    number = world.knock(door)
    world.end(world.under_way[0], status)
    assert not any(isinstance(event, Standing) for event in world.events)
    world.pass_time(3.0)
    assert bool(world.under_way) is closes
    if not closes:
        assert world.closed(number) is ClosedCause.NOTHING_TO_CLOSE


def test_a_rule_that_was_there_before_is_somebody_elses_and_stays() -> None:
    world = World()
    world.make_by_hand(ONE)
    number = world.knock(SHORT)
    world.end_all()
    assert world.closed(number) is ClosedCause.NOT_OURS
    assert any(isinstance(event, AlreadyThere) for event in world.events)
    world.settle()
    assert world.is_there()


def test_a_door_without_a_closing_command_stands_until_another_door_takes_its_rule() -> None:
    world = World()
    opened = world.knock(FOREVER)
    world.end_all()
    world.pass_time(1e9)
    assert world.under_way == [] and world.is_there()
    taker = world.knock(TAKER)
    world.end_all()
    assert world.closed(opened) is ClosedCause.BY_DOOR
    assert world.closed(taker) is ClosedCause.NOTHING_TO_CLOSE


def test_a_script_without_a_closing_command_leaves_nothing_that_is_known_to_stand() -> None:
    """Not even while it hangs, as where it is a program that goes on running."""
    world = World()
    world.knock(TAKER)
    world.hang(world.under_way[0])
    assert world.standing == set()
    world.settle()
    world.check_rest()


# --- one rule of several openings ----------------------------------------------------------------


@pytest.mark.parametrize("doors", [(SHORT, LONG), (LONG, SHORT)], ids=["short first", "long first"])
def test_of_a_short_door_and_a_long_door_with_one_rule_the_latest_end_holds(
    doors: tuple[Door, Door],
) -> None:
    world = World()
    for door in doors:
        world.knock(door)
    world.end_all()
    world.pass_time(3.0)
    assert world.under_way == [], "the long one has time left"
    world.pass_time(5.0)
    world.end(closing(world))
    assert not world.rules
    world.settle()
    world.check_rest()


def test_a_door_that_is_open_already_gets_more_time_and_one_closing() -> None:
    world = World()
    first = world.knock(SHORT)
    world.end_all()
    world.pass_time(2.0)
    second = world.knock(SHORT)
    world.end_all()
    assert world.closed(first) is ClosedCause.SUPERSEDED
    (renewed,) = [e for e in world.events if isinstance(e, Standing) and e.opening == second]
    assert (renewed.cause, renewed.until) == (StandingCause.RENEWED, 5.0)
    world.pass_time(2.999)
    assert world.under_way == []
    world.settle()
    assert of_closed(world) == [(first, ClosedCause.SUPERSEDED), (second, ClosedCause.TIME)]


def test_a_door_without_an_end_is_not_closed_by_a_timed_ones_timer() -> None:
    for doors in ((FOREVER, SHORT), (SHORT, FOREVER)):
        world = World()
        for door in doors:
            world.knock(door)
        world.end_all()
        world.settle()
        assert world.is_there()
        world.check_rest()
        assert len(world.openings) == 1


@pytest.mark.parametrize("hangs", [False, True])
def test_while_a_rule_for_everybody_is_closed_for_one_another_waits_and_makes_it_anew(
    hangs: bool,
) -> None:
    world = World(shared=True)
    world.knock(SHORT, ONE)
    world.end_all()
    world.pass_time(3.0)
    ending = closing(world)
    if hangs:
        world.hang(ending)
    second = world.knock(LONG, TWO)
    assert second not in {change.opening for change in world.under_way}
    world.end(ending)
    world.end_all()
    assert world.is_there("everybody")
    world.pass_time(7.999)
    assert world.under_way == []
    world.settle()
    assert not world.rules


def test_what_the_admin_took_away_is_made_again_and_then_only_the_new_opening_counts() -> None:
    world = World()
    first = world.knock(FOREVER)
    world.end_all()
    world.take_by_hand(ONE)
    second = world.knock(SHORT)
    world.end_all()
    assert world.closed(first) is ClosedCause.GONE
    world.settle()
    assert world.closed(second) is ClosedCause.TIME
    assert not world.rules


def test_what_the_admin_took_away_cannot_be_closed_and_that_is_told_by_its_status() -> None:
    world = World()
    number = world.knock(SHORT)
    world.end_all()
    world.take_by_hand(ONE)
    world.settle()
    assert world.closed(number) is ClosedCause.FAILED
    (ended,) = [e for e in world.events if isinstance(e, CommandEnded) and e.status]
    assert ended.status == 1


# --- by hand -------------------------------------------------------------------------------------


def close_by_hand(world: World, number: int) -> None:
    opening = world.openings.register.get(number)
    assert opening is not None and opening.stands
    change = opening.plan.closing or replace(
        opening.plan.opening, kind=ChangeKind.CLOSE, command=f"take {ONE}"
    )
    world.openings.end_by_hand(opening, change, world.now)
    world.promises.clear()  # whoever was let in need not stay in
    world.pass_time(0.0)


@pytest.mark.parametrize("door", [SHORT, FOREVER, SCRIPT], ids=lambda door: door.name)
def test_by_hand_a_door_is_closed_before_its_time_and_once(door: Door) -> None:
    world = World()
    number = world.knock(door)
    world.end_all()
    close_by_hand(world, number)
    assert closing(world).by_hand
    world.end_all()
    assert world.closed(number) is ClosedCause.BY_HAND
    world.settle()
    assert not world.rules
    assert len(of_closed(world)) == 1


def test_by_hand_a_rule_that_another_opening_needs_stays_as_long_as_that() -> None:
    world = World()
    short, _ = world.knock(SHORT), world.knock(LONG)
    world.end_all()
    if world.openings.register.get(short) is None:  # the long one serves both
        short = world.knock(SHORT)
        world.end_all()
    close_by_hand(world, short)
    assert world.under_way == []
    assert world.is_there()
    world.settle()
    assert not world.rules


def test_one_that_hangs_is_closed_by_hand_too() -> None:
    world = World()
    number = world.knock(SCRIPT)
    world.hang(world.under_way[0])
    close_by_hand(world, number)
    assert closing(world).by_hand


def test_a_closing_by_hand_that_fails_in_passing_is_tried_again_and_is_by_hand_still() -> None:
    world = World()
    number = world.knock(SHORT)
    world.end_all()
    close_by_hand(world, number)
    world.end(closing(world), 4)
    world.pass_time(FIRST_RETRY_SECONDS)
    world.end(closing(world))
    assert world.closed(number) is ClosedCause.BY_HAND


def test_a_door_that_is_extended_is_closed_at_its_new_time_and_not_at_the_old() -> None:
    world = World()
    number = world.knock(SHORT)
    world.end_all()
    opening = world.openings.register.get(number)
    assert opening is not None
    (told,) = world.openings.end_at(opening, 10.0, world.now)
    assert isinstance(told, Standing)
    assert (told.opening, told.until, told.cause) == (number, 10.0, StandingCause.RENEWED)
    world.pass_time(9.999)
    assert world.under_way == []
    world.pass_time(0.001)
    world.end(closing(world))
    assert world.closed(number) is ClosedCause.TIME


# --- waiting -------------------------------------------------------------------------------------


def test_identical_openings_that_have_not_begun_are_one() -> None:
    world = World()
    world.knock(SHORT)
    waits = world.knock(SHORT)
    for _ in range(100):
        world.knock(SHORT)
    assert [one.number for one in world.openings.register.all()] == [1, waits]
    assert world.openings.waiting == 1
    world.end_all()
    world.knock(SHORT)
    assert len(world.openings) == 2, "one that has begun does not serve a knock that came later"


def test_doors_of_one_source_do_not_wait_for_each_other_unless_they_share_a_rule() -> None:
    world = World()
    world.knock(SHORT)
    world.knock(SCRIPT)
    assert [change.door for change in world.under_way] == ["short", "script"]
    world.knock(LONG)
    assert [change.door for change in world.under_way] == ["short", "script"]
    world.end(world.under_way[0])
    assert [change.door for change in world.under_way] == ["script", "long"]


def test_sources_do_not_wait_for_each_other_unless_they_share_a_rule() -> None:
    apart, together = World(), World(shared=True)
    for world in (apart, together):
        world.knock(SHORT, ONE)
        world.knock(SHORT, TWO)
    assert len(apart.under_way) == 2
    assert len(together.under_way) == 1


def test_no_turn_takes_more_than_so_many_changes() -> None:
    openings = Openings(1_000, lambda opening: None)
    for number in range(1, 201):
        openings.begin(plan_of(number, SHORT, f"10.1.0.{number}", f"10.1.0.{number}"), 0.0)
    turns = []
    while openings.next_deadline() == 0.0:
        changes, _ = openings.due(0.0)
        turns.append(len(changes))
    assert turns == [AT_A_TIME, AT_A_TIME, AT_A_TIME, 200 - 3 * AT_A_TIME]


def test_other_numbers_of_places_hold_from_then_on() -> None:
    openings = Openings(1, lambda opening: None)
    for number in range(1, 4):
        openings.begin(plan_of(number, SCRIPT, f"10.1.0.{number}", ""), 0.0)
    assert len(openings.due(0.0)[0]) == 1
    openings.allow(2)
    assert len(openings.due(0.0)[0]) == 1
    openings.allow(0)
    assert openings.due(0.0)[0] == []
    assert openings.waiting == 1


# --- hung ----------------------------------------------------------------------------------------


def test_a_hung_opening_counts_from_when_it_was_called_hung() -> None:
    world = World()
    number = world.knock(SCRIPT)
    world.pass_time(60.0)
    world.hang(world.under_way[0])
    assert any(e for e in world.events if isinstance(e, Standing) and e.until == 63.0)
    world.pass_time(3.0)
    world.end(closing(world))
    assert state_of(world, number) is State.LINGERING


@pytest.mark.parametrize("door", [SHORT, SCRIPT])
def test_what_a_hung_opening_does_after_its_time_is_undone(door: Door) -> None:
    world = World()
    number = world.knock(door)
    world.hang(world.under_way[0])
    world.pass_time(3.0)
    for change in list(world.under_way):
        world.end(change)
    assert world.closed(number) is None
    world.end(world.hung[0])
    assert world.rules
    world.end(closing(world))
    assert not world.rules
    assert world.closed(number) is ClosedCause.TIME


@pytest.mark.parametrize("hangs", [False, True])
def test_what_a_hung_opening_does_while_it_is_being_closed_is_undone(hangs: bool) -> None:
    world = World()
    number = world.knock(SCRIPT)
    world.hang(world.under_way[0])
    world.pass_time(3.0)
    ending = closing(world)
    if hangs:
        world.hang(ending)
    world.end(world.hung[0])
    world.end(ending, 1)  # it has found nothing: it was too early
    assert world.rules
    world.end(closing(world))
    assert not world.rules
    assert world.closed(number) is ClosedCause.TIME


def test_a_hung_opening_holds_up_nobody() -> None:
    world = World()
    world.knock(SHORT)
    world.hang(world.under_way[0])
    second = world.knock(SHORT)
    assert [change.opening for change in world.under_way] == [second]


def test_what_a_hung_opening_has_not_made_yet_is_not_closed() -> None:
    """Meanwhile the rule may be another's, who makes it just then."""
    world = World()
    number = world.knock(SHORT)
    world.hang(world.under_way[0])
    world.pass_time(3.0)
    assert world.under_way == []
    world.end(world.hung[0], 1)
    assert world.closed(number) is ClosedCause.NOTHING_TO_CLOSE
    assert world.under_way == []


def test_that_a_rule_is_not_there_is_remembered_of_one_that_hangs() -> None:
    world = World()
    first = world.knock(SHORT)
    world.end_all()
    world.take_by_hand(ONE)
    world.knock(LONG)
    world.hang(world.under_way[0])
    assert world.closed(first) is ClosedCause.GONE
    world.pass_time(8.0)
    assert world.under_way == []


def test_a_hung_opening_takes_over_a_rule_that_it_closes_in_its_time() -> None:
    """Though it has made none itself."""
    world = World()
    world.knock(LONG)
    world.hang(world.under_way[0])
    world.knock(SHORT)
    world.end_all()
    world.pass_time(3.0)
    assert world.is_there()
    world.pass_time(5.0)
    world.end(closing(world))
    assert not world.rules


def test_a_hung_opening_without_an_end_takes_over_no_rule() -> None:
    """Should it fail, nobody would close."""
    world = World()
    world.knock(FOREVER)
    world.hang(world.under_way[0])
    world.knock(SHORT)
    world.end_all()
    world.pass_time(3.0)
    world.end(closing(world))
    world.end(world.hung[0], 137)
    assert not world.rules
    world.check_rest()


def test_two_copies_of_a_rule_are_taken_away_by_two_closings() -> None:
    world = World()
    world.knock(SHORT)
    world.hang(world.under_way[0])
    world.knock(LONG)
    world.end_all()
    world.end(world.hung[0])
    assert world.rules[ONE].ours == 2
    world.pass_time(8.0)
    world.end(closing(world))
    world.end(closing(world))
    assert not world.rules
    world.settle()
    world.check_rest()


def test_a_rule_made_twice_is_not_taken_for_one_that_had_gone() -> None:
    world = World()
    world.knock(FOREVER)
    world.hang(world.under_way[0])
    second = world.knock(SHORT)
    world.end_all()
    world.end(world.hung[0])
    assert world.closed(second) is None
    world.settle()
    assert world.is_there()


def test_a_rule_that_another_takes_away_while_its_own_closing_hangs_is_not_made_before_that_ends() -> (
    None
):
    world = World()
    world.knock(TAKER)
    world.hang(world.under_way[0])
    world.knock(SHORT)
    world.end_all()
    world.pass_time(3.0)
    world.hang(closing(world))
    taker, ending = world.hung
    world.end(taker)
    third = world.knock(SHORT)
    assert third not in {change.opening for change in world.under_way}
    world.end(ending)
    world.end_all()
    assert world.is_there()


def test_an_opening_that_hangs_while_it_looks_is_given_up() -> None:
    world = World()
    world.knock(SHORT)
    world.end_all()
    second = world.knock(LONG)
    world.hang(world.under_way[0])
    assert world.standing == {1}
    assert state_of(world, second) is State.GIVEN_UP
    world.end(world.looking[0])
    assert world.closed(second) is ClosedCause.FAILED
    world.settle()
    assert world.closed(1) is ClosedCause.TIME


# --- closing that fails --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [4, 126, 127, 130, 255])
def test_a_closing_that_could_not_be_started_is_tried_again_with_growing_delays(
    status: int,
) -> None:
    world = World()
    number = world.knock(SHORT)
    world.end_all()
    world.pass_time(3.0)
    delays = []
    for _ in range(16):
        world.end(closing(world), status)
        failed = world.events[-1]
        assert isinstance(failed, ClosingFailed)
        delays.append(failed.again - world.now)
        world.pass_time(delays[-1] * 0.99)
        assert world.under_way == []
        world.pass_time(failed.again - world.now)
    assert delays == [min(FIRST_RETRY_SECONDS * 2**n, LAST_RETRY_SECONDS) for n in range(16)]
    world.end(closing(world))
    assert world.closed(number) is ClosedCause.TIME


def test_a_closing_that_fails_for_a_problem_of_its_own_is_tried_again() -> None:
    world = World()
    world.knock(SCRIPT)
    world.end_all()
    world.pass_time(3.0)
    change = closing(world)
    (failed,) = world.openings.take(
        CommandEnded(world.now, change, 2, problem="no more processes"), world.now
    )
    assert failed == ClosingFailed(world.now, change, world.now + FIRST_RETRY_SECONDS)


def test_a_closing_that_failed_for_good_is_not_tried_again() -> None:
    world = World()
    number = world.knock(SCRIPT)
    world.end_all()
    world.pass_time(3.0)
    world.end(closing(world), 3)
    assert world.closed(number) is ClosedCause.FAILED
    assert len(world.openings) == 0


def test_a_door_that_is_opened_again_while_its_closing_is_retried_is_open_for_its_whole_time() -> (
    None
):
    world = World()
    first = world.knock(SHORT)
    world.end_all()
    world.pass_time(3.0)
    world.end(closing(world), 4)
    second = world.knock(LONG)
    world.end_all()
    world.pass_time(1.0)
    assert world.under_way == []
    assert world.closed(first) is ClosedCause.SUPERSEDED
    world.settle()
    assert world.closed(second) is ClosedCause.TIME
    assert not world.rules


# --- an end, and a beginning ---------------------------------------------------------------------


def test_close_all_closes_what_stands_open_and_what_is_still_being_opened() -> None:
    world = World()
    standing = world.knock(LONG, ONE)
    world.end_all()
    opening = world.knock(LONG, TWO)
    waiting = world.knock(SHORT, TWO)
    world.stop()
    assert world.closed(waiting) is ClosedCause.CANCELLED
    assert {(c.opening, c.kind) for c in world.under_way} == {
        (opening, ChangeKind.OPEN),
        (standing, ChangeKind.CLOSE),
    }
    world.end_all()
    assert not world.rules
    assert not world.openings.busy
    assert world.closed(opening) is world.closed(standing) is ClosedCause.TIME


def test_close_all_leaves_alone_what_has_no_end() -> None:
    world = World()
    world.knock(FOREVER)
    world.end_all()
    world.stop()
    assert world.under_way == []
    assert world.is_there()


def test_close_all_does_not_wait_for_a_closing_that_is_retried_or_an_opening_that_hangs() -> None:
    world = World()
    world.knock(SHORT, ONE)
    world.end_all()
    world.knock(LONG, TWO)
    world.hang(world.under_way[0])
    world.pass_time(3.0)
    world.end(closing(world), 4)
    world.stop()
    world.end(closing(world), 4)
    assert not world.openings.busy
    world.settle()
    assert not world.rules


def test_what_an_earlier_daemon_left_open_is_closed_in_its_time() -> None:
    world = World()
    world.knock(LONG)
    world.end_all()
    world.pass_time(3.0)
    world.restart(done=False)
    (standing,) = [e for e in world.events if isinstance(e, Standing) and e.time == 3.0]
    assert (standing.cause, standing.until) == (StandingCause.RECOVERED, 8.0)
    world.pass_time(4.999)
    assert world.under_way == []
    world.pass_time(0.001)
    assert closing(world).look_first
    world.end(closing(world))
    assert world.closed(1) is ClosedCause.TIME


def test_what_an_earlier_daemon_left_open_may_be_gone_already() -> None:
    world = World()
    number = world.knock(LONG)
    world.end_all()
    world.restart(done=False)
    world.take_by_hand(ONE)
    world.settle()
    assert any(isinstance(event, RuleGone) for event in world.events)
    assert world.closed(number) is ClosedCause.GONE
    world.check_rest()


def test_of_the_doors_without_an_end_the_oldest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifetime, "MOST_WITHOUT_END", 3)
    openings = Openings(10, lambda opening: None)
    told: list[Event] = []
    for number in range(1, 5):
        source = f"10.1.0.{number}"
        openings.begin(plan_of(number, FOREVER, source, source), 0.0)
        (change,), _ = openings.due(0.0)
        told += openings.take(CommandEnded(0.0, change, 0), 0.0)
    for number in range(5, 7):
        source = f"10.1.0.{number}"
        told += openings.recover(plan_of(number, FOREVER, source, source), None, 0.0)
    forgotten = [(e.opening, e.cause) for e in told if isinstance(e, Closed)]
    assert forgotten == [(number, ClosedCause.FORGOTTEN) for number in (1, 2, 3)]
    assert len(openings) == 3


def test_each_change_of_an_opening_is_told() -> None:
    told: list[Opening] = []
    openings = Openings(1, told.append)
    openings.begin(plan_of(1, SHORT, ONE, ONE), 0.0)
    (change,), _ = openings.due(0.0)
    openings.take(CommandEnded(0.0, change, 0), 0.0)
    (change,), _ = openings.due(3.0)
    openings.take(CommandEnded(3.0, change, 0), 3.0)
    states = [State.OPENING, State.OPEN, State.CLOSE_WAITING, State.CLOSING, State.CLOSED]
    assert [opening.state for opening in told] == states
    assert told[-1].cause is ClosedCause.TIME
