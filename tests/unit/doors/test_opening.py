"""An opening as a value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyknockd.doors.opening import Opening, Plan, State, failed_in_passing
from pyknockd.model import Change, ChangeKind
from pyknockd.model.events import CommandEnded

OPENS = Change(7, ChangeKind.OPEN, "ssh", "192.0.2.1", "open")


def test_an_opening_begins_with_waiting_and_has_its_changes_number() -> None:
    opening = Opening(Plan(OPENS, None, 10.0))
    assert (opening.number, opening.state, opening.until) == (7, State.WAITING, None)


def test_it_waits_for_those_of_its_door_and_source_and_of_each_rule_that_it_speaks_of() -> None:
    plan = Plan(OPENS, None, 10.0, makes="made", takes="taken", closes="closed")
    assert Opening(plan).keys == (("ssh", "192.0.2.1"), "made", "taken", "closed")
    assert Opening(Plan(OPENS, None, 10.0)).keys == (("ssh", "192.0.2.1"),)


def test_a_rule_belongs_to_an_opening_from_when_it_may_be_there_until_it_is_taken_away() -> None:
    holding = [state.value for state in State if Opening(Plan(OPENS, None, 10.0), state).holds]
    assert holding == ["opening-hung", "open", "close-waiting", "closing-hung", "retrying"]


def test_the_journals_words_for_states_never_change() -> None:
    """What a version before this one has written is read by this one."""
    assert [state.value for state in State] == [
        *("waiting", "opening", "looking", "opening-hung", "given-up", "open"),
        *("close-waiting", "closing", "closing-hung", "retrying", "lingering", "closed"),
    ]


def test_a_closing_closes_what_it_takes_away_or_what_the_same_words_close() -> None:
    closing = Change(7, ChangeKind.CLOSE, "ssh", "192.0.2.1", "close")
    other = replace(closing, command="close otherwise")
    rule = Plan(OPENS, closing, 10.0, makes="made", closes="made")
    assert rule.closes_for(Plan(OPENS, None, 10.0, makes="made"))
    assert not rule.closes_for(Plan(OPENS, closing, 10.0, makes="other"))
    script = Plan(OPENS, closing, 10.0)
    assert script.closes_for(script)
    assert not script.closes_for(Plan(OPENS, other, 10.0))
    assert not script.closes_for(Plan(OPENS, None, 10.0))
    assert Plan(OPENS, None, 10.0).closes_for(script)


def test_an_opening_without_end_ends_by_no_time() -> None:
    opening = Opening(Plan(OPENS, None, 10.0), until=5.0)
    assert [opening.ends_by(time) for time in (4.9, 5.0, None)] == [False, True, True]
    without = Opening(Plan(OPENS, None, 10.0))
    assert [without.ends_by(time) for time in (4.9, None)] == [False, True]


@pytest.mark.parametrize(
    ("status", "problem", "passing"),
    [
        (0, "", False),
        (1, "", False),
        (4, "", True),
        (126, "", True),
        (137, "", True),
        (2, "x", True),
    ],
)
def test_what_may_be_over_the_next_time_is_known_by_its_status(
    status: int, problem: str, passing: bool
) -> None:
    assert failed_in_passing(CommandEnded(0.0, OPENS, status, problem=problem)) is passing


def test_by_hand_it_is_closed_by_its_own_closing_or_by_what_takes_away_its_rule() -> None:
    closing = Change(7, ChangeKind.CLOSE, "ssh", "192.0.2.1", "close")
    timed = Plan(OPENS, closing, 10.0, makes="made", closes="closed").closed_by_hand(closing)
    assert (timed.closing, timed.closes) == (replace(closing, by_hand=True), "closed")
    without_end = Plan(OPENS, None, 10.0, makes="made").closed_by_hand(closing)
    assert (without_end.closing, without_end.closes) == (replace(closing, by_hand=True), "made")
