"""What waits for its time, its turn or a place."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count

from pyknockd.doors.schedule import Schedule
from pyknockd.model import Change, ChangeKind

_numbers = count(1)


def change() -> Change:
    return Change(next(_numbers), ChangeKind.OPEN, "ssh", "198.51.100.1", "true")


def queued(schedule: Schedule, *keys: Hashable) -> Change:
    one = change()
    schedule.queue(one, keys)
    return one


def begun(schedule: Schedule) -> list[Change]:
    found = []
    while (one := schedule.next()) is not None:
        found.append(one)
    return found


def test_an_opening_comes_up_at_its_time() -> None:
    schedule = Schedule(64)
    schedule.at(10.0, 7)
    assert schedule.next_deadline() == 10.0
    assert schedule.come_up(9.999, 100) == []
    assert schedule.come_up(10.0, 100) == [7]
    assert schedule.next_deadline() is None


def test_openings_come_up_in_the_order_of_their_times_and_so_many_at_a_time() -> None:
    schedule = Schedule(64)
    for number, time in ((1, 3.0), (2, 1.0), (3, 2.0)):
        schedule.at(time, number)
    assert schedule.come_up(5.0, 2) == [2, 3]
    assert schedule.come_up(5.0, 2) == [1]


def test_changes_with_a_key_in_common_run_one_after_the_other_in_their_order() -> None:
    schedule = Schedule(64)
    first, second, third = (queued(schedule, "a") for _ in range(3))
    assert begun(schedule) == [first]
    assert schedule.blocked_by(second) == first
    schedule.done(first)
    assert begun(schedule) == [second]
    schedule.done(second)
    assert begun(schedule) == [third]


def test_changes_without_a_key_in_common_never_wait_for_each_other() -> None:
    schedule = Schedule(64)
    changes = [queued(schedule, f"198.51.100.{n}") for n in range(20)]
    assert begun(schedule) == changes


def test_one_that_waits_for_one_key_lets_those_behind_it_wait_for_its_other() -> None:
    schedule = Schedule(64)
    first = queued(schedule, "a")
    both = queued(schedule, "a", "b")
    last = queued(schedule, "b")
    assert begun(schedule) == [first]
    schedule.done(first)
    assert begun(schedule) == [both]
    schedule.done(both)
    assert begun(schedule) == [last]


def test_no_more_than_the_limit_are_under_way_at_once() -> None:
    schedule = Schedule(at_once=64)
    changes = [queued(schedule, n) for n in range(100)]
    first = begun(schedule)
    assert len(first) == 64
    assert schedule.waiting == 36
    assert not schedule.has_ready
    for one in first:
        schedule.done(one)
    assert schedule.has_ready
    assert begun(schedule) == changes[64:]


def test_one_that_hung_gives_up_its_turn_and_its_place_once() -> None:
    schedule = Schedule(at_once=1)
    hung, following, last = (queued(schedule, "a") for _ in range(3))
    assert begun(schedule) == [hung]
    schedule.done(hung)
    assert begun(schedule) == [following]
    schedule.done(hung)
    assert begun(schedule) == []
    schedule.done(following)
    assert begun(schedule) == [last]


def test_one_that_hung_may_go_on_being_waited_for_by_one_key() -> None:
    schedule = Schedule(at_once=1)
    hung, same_rule, same_door = change(), change(), change()
    schedule.queue(hung, ["rule", "door"])
    schedule.queue(same_rule, ["rule"])
    schedule.queue(same_door, ["door"])
    assert begun(schedule) == [hung]
    schedule.done(hung, still="rule")
    assert begun(schedule) == [same_door]
    schedule.done(same_door)
    assert begun(schedule) == []
    schedule.done(hung)
    assert begun(schedule) == [same_rule]
    schedule.done(same_rule)
    assert not schedule.busy


def test_one_that_waits_can_be_taken_out() -> None:
    schedule = Schedule(64)
    first, waits, last = (queued(schedule, "a") for _ in range(3))
    schedule.done(waits)
    assert begun(schedule) == [first]
    schedule.done(first)
    assert begun(schedule) == [last]
    schedule.done(last)
    assert (schedule.waiting, schedule.busy) == (0, False)
