"""What waits for its time, its turn or a place."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from pyknockd.doors.schedule import LONG_SECONDS, Schedule
from pyknockd.model import Change, ChangeKind

_numbers = count(1)


def change(source: str = "198.51.100.1", kind: ChangeKind = ChangeKind.OPEN) -> Change:
    return Change(next(_numbers), kind, "ssh", source, "true")


def begin(schedule: Schedule) -> list[Change]:
    """All whose turn it is and for which there is a place."""
    found = []
    while (one := schedule.next()) is not None:
        found.append(one)
    return found


def queue(schedule: Schedule, one: Change, *keys: Hashable) -> Change:
    """By its door and source, and by ``keys``."""
    schedule.queue(one, ((one.door, one.source), *keys), 0.0)
    return one


def test_an_opening_comes_up_at_its_time() -> None:
    schedule = Schedule(64)
    schedule.at(10.0, 7)
    assert schedule.next_deadline() == 10.0
    assert schedule.come_up(9.999, 64) == []
    assert schedule.come_up(10.0, 64) == [7]
    assert schedule.next_deadline() is None


def test_openings_come_up_in_the_order_of_their_times_and_then_of_their_telling() -> None:
    schedule = Schedule(64)
    for time, opening in ((2.0, 1), (1.0, 2), (2.0, 3), (1.0, 4), (3.0, 5)):
        schedule.at(time, opening)
    assert schedule.come_up(2.5, 64) == [2, 4, 1, 3]


def test_an_opening_comes_up_at_each_time_given_for_it() -> None:
    schedule = Schedule(64)
    schedule.at(1.0, 7)
    schedule.at(2.0, 7)
    assert schedule.come_up(5.0, 64) == [7, 7]


def test_no_more_than_so_many_come_up_at_a_time() -> None:
    schedule = Schedule(64)
    for opening in range(5):
        schedule.at(1.0, opening)
    assert schedule.come_up(1.0, 3) == [0, 1, 2]
    assert schedule.next_deadline() == 1.0
    assert schedule.come_up(1.0, 3) == [3, 4]


def test_changes_of_one_door_and_source_run_one_after_the_other() -> None:
    schedule = Schedule(64)
    first = queue(schedule, change())
    second = queue(schedule, change(kind=ChangeKind.CLOSE))
    assert begin(schedule) == [first]
    assert not schedule.has_ready
    assert schedule.blocked_by(second) == first
    schedule.done(first)
    assert schedule.blocked_by(second) is None
    assert begin(schedule) == [second]
    schedule.done(second)
    assert not schedule.busy


def test_they_run_in_the_order_in_which_they_were_queued() -> None:
    schedule = Schedule(64)
    changes = [queue(schedule, change()) for _ in range(4)]
    for one in changes:
        assert begin(schedule) == [one]
        schedule.done(one)


def test_sources_never_wait_for_each_other() -> None:
    schedule = Schedule(64)
    changes = [queue(schedule, change(f"198.51.100.{n}")) for n in range(20)]
    assert begin(schedule) == changes


def test_sources_wait_for_each_other_where_they_speak_of_one_rule() -> None:
    schedule = Schedule(64)
    first = queue(schedule, change("198.51.100.1"), "rule")
    second = queue(schedule, change("198.51.100.2"), "rule")
    assert begin(schedule) == [first]
    assert schedule.blocked_by(second) == first
    schedule.done(first)
    assert begin(schedule) == [second]


def test_one_that_waits_for_one_key_keeps_its_turn_for_the_other() -> None:
    schedule = Schedule(64)
    first = queue(schedule, change("198.51.100.1"), "rule")
    second = queue(schedule, change("198.51.100.2"), "rule")
    third = queue(schedule, change("198.51.100.2"))
    assert begin(schedule) == [first]
    schedule.done(first)
    assert begin(schedule) == [second]
    schedule.done(second)
    assert begin(schedule) == [third]


def test_a_key_that_is_given_twice_counts_once() -> None:
    schedule = Schedule(64)
    first = queue(schedule, change(), "rule", "rule")
    second = queue(schedule, change(), "rule")
    assert begin(schedule) == [first]
    schedule.done(first)
    assert begin(schedule) == [second]


def test_no_more_than_the_limit_run_at_once() -> None:
    schedule = Schedule(64)
    changes = [queue(schedule, change(f"198.51.100.{n}")) for n in range(100)]
    first = begin(schedule)
    assert first == changes[:64]
    assert schedule.waiting == 36
    for one in first:
        schedule.done(one)
    assert begin(schedule) == changes[64:]
    assert schedule.waiting == 0


def test_another_limit_holds_from_then_on() -> None:
    schedule = Schedule(1)
    changes = [queue(schedule, change(f"198.51.100.{n}")) for n in range(3)]
    assert begin(schedule) == changes[:1]
    schedule.at_once = 3
    assert begin(schedule) == changes[1:]


def test_a_hung_change_gives_up_its_turn_and_its_place_once() -> None:
    schedule = Schedule(1)
    hung, following, last = (queue(schedule, change()) for _ in range(3))
    assert begin(schedule) == [hung]
    schedule.done(hung)
    assert begin(schedule) == [following]
    schedule.done(hung)
    assert begin(schedule) == []
    schedule.done(following)
    assert begin(schedule) == [last]


def test_a_hung_change_holds_up_those_that_share_the_rule_it_is_about_to_take_away() -> None:
    schedule = Schedule(1)
    hung = queue(schedule, change(), "rule")
    same_rule = queue(schedule, change(), "rule")
    other_rule = queue(schedule, change("198.51.100.2"), "other")
    assert begin(schedule) == [hung]
    schedule.done(hung, still="rule")
    assert begin(schedule) == [other_rule], "its place is free"
    assert schedule.blocked_by(same_rule) == hung
    schedule.done(other_rule)
    assert begin(schedule) == []
    schedule.done(hung)
    assert begin(schedule) == [same_rule]


def test_a_hung_change_holds_up_nobody_else_of_its_door_and_source() -> None:
    schedule = Schedule(64)
    hung = queue(schedule, change(), "rule")
    following = queue(schedule, change(), "another rule")
    assert begin(schedule) == [hung]
    schedule.done(hung, still="rule")
    assert begin(schedule) == [following]
    assert schedule.busy
    schedule.done(following)
    assert not schedule.busy, "nothing waits for what hangs"


def test_a_change_that_is_not_to_be_done_after_all_lets_the_next_have_its_turn() -> None:
    schedule = Schedule(64)
    first, second, third = (queue(schedule, change()) for _ in range(3))
    assert begin(schedule) == [first]
    schedule.done(second)
    assert schedule.waiting == 1
    schedule.done(first)
    assert begin(schedule) == [third]


def test_what_was_never_queued_may_be_done_with() -> None:
    schedule = Schedule(64)
    schedule.done(change())
    assert not schedule.busy
    assert schedule.blocked_by(change()) is None


def test_what_waits_for_long_is_told_once_with_what_it_waits_for() -> None:
    schedule = Schedule(64)
    first, second, third = change(), change(), change()
    for one in (first, second, third):
        queue(schedule, one)
    assert begin(schedule) == [first]
    assert schedule.next_deadline() == LONG_SECONDS
    assert schedule.waiting_for_long(LONG_SECONDS - 0.001) == []
    assert schedule.waiting_for_long(LONG_SECONDS) == [second, third]
    # Not the second, which waits itself.
    assert schedule.blocked_by(third) == first
    assert schedule.waiting_for_long(2 * LONG_SECONDS) == []
    assert schedule.next_deadline() is None


def test_what_went_on_in_time_is_not_told_of_and_wakes_nobody() -> None:
    schedule = Schedule(64)
    first, second = queue(schedule, change()), queue(schedule, change())
    assert begin(schedule) == [first]
    schedule.done(first)
    assert begin(schedule) == [second]
    assert schedule.next_deadline() is None
    assert schedule.waiting_for_long(LONG_SECONDS) == []


def test_who_waits_for_a_place_waits_for_nobody_in_particular() -> None:
    schedule = Schedule(1)
    first, second = queue(schedule, change("a")), queue(schedule, change("b"))
    third = queue(schedule, change("b"))
    assert begin(schedule) == [first]
    assert schedule.waiting_for_long(LONG_SECONDS) == [second, third]
    assert schedule.blocked_by(second) is None
    assert schedule.blocked_by(third) is None


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_in_any_order_each_is_begun_once_and_none_beside_one_with_a_key_in_common(
    data: st.DataObject,
) -> None:
    schedule = Schedule(3)
    keys: dict[Change, frozenset[str]] = {}
    under_way: list[Change] = []
    begun: list[Change] = []
    for _ in range(data.draw(st.integers(0, 12))):
        if data.draw(st.booleans()):
            one = change()
            keys[one] = frozenset(data.draw(st.sets(st.sampled_from("abcd"), min_size=1)))
            schedule.queue(one, keys[one], 0.0)
        elif under_way:
            schedule.done(under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
        for one in begin(schedule):
            assert all(not keys[one] & keys[other] for other in under_way)
            under_way.append(one)
            begun.append(one)
        assert len(under_way) <= 3
    while under_way:
        schedule.done(under_way.pop())
        fresh = begin(schedule)
        under_way += fresh
        begun += fresh
    assert sorted(one.opening for one in begun) == [one.opening for one in keys]
    for key in "abcd":
        order = [one.opening for one in begun if key in keys[one]]
        assert order == sorted(order), "of those with a key in common the first comes first"
    assert not schedule.busy and not schedule.waiting
