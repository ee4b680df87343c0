"""The register of openings."""

from __future__ import annotations

import pytest

from pyknockd.doors.opening import Opening, State
from pyknockd.doors.register import Register
from tests.support.openings import FOREVER, LONG, ONE, SHORT, TWO, plan_of

RULE = "accept"


def registered(register: Register, number: int, state: State, source: str = ONE) -> Opening:
    """A new opening whose rule is ``RULE``."""
    opening = Opening(plan_of(number, SHORT, source, RULE))
    register.add(opening)
    return opening if state is State.WAITING else register.change(opening, state=state)


@pytest.fixture
def told() -> list[Opening]:
    return []


@pytest.fixture
def register(told: list[Opening]) -> Register:
    return Register(told.append)


def test_each_change_is_told_and_is_the_opening_from_then_on(
    register: Register, told: list[Opening]
) -> None:
    opening = registered(register, 1, State.WAITING)
    changed = register.change(opening, state=State.OPENING)
    assert told == [changed]
    assert register.get(1) == register.of(opening.plan.opening) == changed
    assert (list(register.all()), len(register)) == ([changed], 1)
    register.remove(changed)
    assert register.get(1) is None
    assert len(register) == 0


@pytest.mark.parametrize("state", State)
def test_a_rule_belongs_to_those_that_may_have_it_there(register: Register, state: State) -> None:
    holds = {
        State.OPENING_HUNG,
        State.OPEN,
        State.CLOSE_WAITING,
        State.CLOSING_HUNG,
        State.RETRYING,
    }
    first = registered(register, 1, state)
    second = registered(register, 2, State.OPEN, TWO)
    assert register.holders(RULE, second) == ([first] if state in holds else [])
    assert register.holders("another", second) == []


def test_of_a_rule_that_nobody_has_any_more_no_copies_are_counted(register: Register) -> None:
    first = registered(register, 1, State.OPEN)
    second = registered(register, 2, State.OPEN, TWO)
    register.copies[RULE] = 2
    register.remove(first)
    assert register.copies[RULE] == 2
    register.remove(second)
    assert RULE not in register.copies


def test_one_that_has_not_begun_is_found_by_what_it_is_to_do(register: Register) -> None:
    opening = registered(register, 1, State.WAITING)
    like_it = plan_of(2, SHORT, ONE, RULE).opening
    assert register.not_begun(like_it) == opening
    assert register.not_begun(plan_of(2, SHORT, TWO, RULE).opening) is None
    assert register.not_begun(plan_of(2, LONG, ONE, RULE).opening) is None
    register.change(opening, state=State.OPENING)
    assert register.not_begun(like_it) is None


def test_of_too_many_that_nothing_closes_the_oldest_is_named(register: Register) -> None:
    openings = [
        Opening(plan_of(number, FOREVER, ONE, str(number)), State.OPEN) for number in (1, 2, 3)
    ]
    for opening in openings:
        register.add(opening)
    register.add(Opening(plan_of(4, SHORT, ONE, RULE), State.OPEN, until=7.0))
    assert register.too_many_without_end(3) is None
    assert register.too_many_without_end(2) == openings[0]
    register.remove(openings[0])
    assert register.too_many_without_end(2) is None
