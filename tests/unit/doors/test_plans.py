"""What an opening is to do, from a door and a source."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pyknockd.doors.plans import MOST_COMMAND_BYTES, plan_of, refusal_of
from pyknockd.firewall import Effect, effect_unrun
from pyknockd.model import Command, Door, Policy
from pyknockd.model.events import Opened, RefusalCause

ME, ME_6 = "192.0.2.7", "2001:db8::7"
RULE = "INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"


def opened(door: Door, source: str = ME) -> Opened:
    return Opened(1.0, source, door)


def knows_none(words: Sequence[str]) -> Effect | None:
    return None


def test_the_address_stands_in_both_commands() -> None:
    door = Door("ssh", opening=Command("open %IP%"), closing=Command("close %IP%", "close6 %IP%"))
    plan = plan_of(opened(door, ME_6), 3, knows_none)
    assert plan.closing is not None
    assert (plan.opening.command, plan.closing.command) == (f"open {ME_6}", f"close6 {ME_6}")
    assert plan.opening.words == ("open", ME_6)
    assert plan.opening.opening == 3


def test_a_door_without_a_closing_command_has_none() -> None:
    assert plan_of(opened(Door("ssh", opening=Command("open"))), 1, knows_none).closing is None


def test_both_changes_of_a_timed_door_speak_of_one_rule() -> None:
    door = Door(
        "ssh", opening=Command(f"iptables -I {RULE}"), closing=Command(f"iptables -D {RULE}")
    )
    plan = plan_of(opened(door), 1, effect_unrun)
    assert plan.makes is not None
    assert plan.makes == plan.closes
    assert plan.takes is None


def test_a_door_that_closes_another_takes_its_rule_away() -> None:
    makes = plan_of(
        opened(Door("a", opening=Command(f"iptables -I {RULE}"))), 1, effect_unrun
    ).makes
    plan = plan_of(opened(Door("b", opening=Command(f"iptables -D {RULE}"))), 2, effect_unrun)
    assert (plan.takes, plan.makes) == (makes, None)


@pytest.mark.parametrize(
    ("door", "cause"),
    [
        (Door("a", opening=Command("o"), closing=Command("c")), None),
        (
            Door("a", opening=Command("o" * (MOST_COMMAND_BYTES + 1))),
            RefusalCause.START_COMMAND_TOO_LONG,
        ),
        (
            Door("a", opening=Command("o"), closing=Command("%IP%" * 1000)),
            RefusalCause.STOP_COMMAND_TOO_LONG,
        ),
    ],
)
def test_what_knockd_would_not_run_is_refused(door: Door, cause: RefusalCause | None) -> None:
    assert refusal_of(opened(door), ()) is cause


def test_no_more_are_in_than_may_be_and_who_is_in_may_stay_longer() -> None:
    door = Door("a", opening=Command("o"), policy=Policy(max_open=1))
    assert refusal_of(opened(door), ()) is None
    assert refusal_of(opened(door), [ME]) is None
    assert refusal_of(opened(door), [ME_6]) is RefusalCause.TOO_MANY_OPEN
