"""What waits for its time, its turn or a place."""

from __future__ import annotations

from pyknockd.doors.schedule import Schedule
from pyknockd.model import Action, ActionKind, Door


def action(source: str = "198.51.100.1", kind: ActionKind = ActionKind.OPEN) -> Action:
    return Action(kind, Door("ssh"), source, "true")


def test_an_action_comes_up_at_its_time() -> None:
    schedule, one = Schedule(), action()
    schedule.add(one, 10.0)
    assert schedule.next_deadline() == 10.0
    assert schedule.due(9.999) == []
    assert schedule.due(10.0) == [one]
    assert schedule.next_deadline() is None


def test_actions_of_one_source_run_one_after_the_other() -> None:
    schedule, first, second = Schedule(), action(), action(kind=ActionKind.CLOSE)
    schedule.add(first, 0)
    schedule.add(second, 0)
    assert schedule.due(1) == [first]
    assert schedule.due(2) == []
    schedule.done(first)
    assert schedule.due(3) == [second]


def test_they_run_in_the_order_in_which_they_fell_due() -> None:
    schedule, late, early = Schedule(), action(), action()
    schedule.add(late, 2)
    schedule.add(early, 1)
    assert schedule.due(5) == [early]
    schedule.done(early)
    assert schedule.due(5) == [late]


def test_sources_never_wait_for_each_other() -> None:
    schedule = Schedule()
    actions = [action(f"198.51.100.{n}") for n in range(20)]
    for one in actions:
        schedule.add(one, 0)
    assert schedule.due(0) == actions


def test_no_more_than_the_limit_run_at_once() -> None:
    schedule = Schedule(at_once=64)
    actions = [action(f"198.51.100.{n}") for n in range(100)]
    for one in actions:
        schedule.add(one, 0)
    first = schedule.due(0)
    assert len(first) == 64
    assert len(schedule) == 36
    for one in first:
        schedule.done(one)
    assert schedule.due(0) == actions[64:]


def test_a_hung_action_gives_up_its_turn_and_its_place_once() -> None:
    schedule, hung, following, last = Schedule(at_once=1), action(), action(), action()
    for one in (hung, following, last):
        schedule.add(one, 0)
    assert schedule.due(0) == [hung]
    schedule.done(hung)
    assert schedule.due(0) == [following]
    schedule.done(hung)
    assert schedule.due(0) == []
    schedule.done(following)
    assert schedule.due(0) == [last]


def test_clear_gives_back_all_that_is_to_come() -> None:
    schedule, running, queued, later, sooner = Schedule(), action(), action(), action(), action()
    schedule.add(running, 0)
    schedule.add(queued, 0)
    schedule.add(later, 9)
    schedule.add(sooner, 5)
    assert schedule.due(0) == [running]
    assert schedule.clear() == [queued, sooner, later]
    assert len(schedule) == 0
    assert schedule.next_deadline() is None
