"""What would be run, without anything being run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyknockd.doors.rehearsal import Rehearsal
from pyknockd.model import Command, Door, Limits, Policy
from pyknockd.model.events import (
    Closed,
    ClosedCause,
    CommandStarted,
    Event,
    Opened,
    RefusalCause,
    Refused,
    Standing,
    StandingCause,
)

ME, OTHER = "192.0.2.7", "192.0.2.8"
RULE = "INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
OPEN, CLOSE = Command(f"iptables -I {RULE}"), Command(f"iptables -D {RULE}")
TIMED = Door("ssh", opening=OPEN, closing=CLOSE, open_for=10)


def take(rehearsal: Rehearsal, door: Door, now: float, source: str = ME) -> list[Event]:
    return list(rehearsal.take(Opened(now, source, door)))


def run_out(rehearsal: Rehearsal) -> list[Event]:
    events: list[Event] = []
    while (deadline := rehearsal.next_deadline()) is not None:
        events += rehearsal.work(deadline)
    return events


def commands(events: list[Event]) -> list[tuple[float, str]]:
    return [(e.time, e.change.command) for e in events if isinstance(e, CommandStarted)]


def test_a_timed_door_opens_and_closes_in_its_time() -> None:
    rehearsal = Rehearsal(Limits())
    assert commands(take(rehearsal, TIMED, 100.0)) == [
        (100.0, f"iptables -I {RULE}".replace("%IP%", ME))
    ]
    assert commands(run_out(rehearsal)) == [(110.0, f"iptables -D {RULE}".replace("%IP%", ME))]


def test_each_command_is_told_as_one_that_would_have_run() -> None:
    events = take(Rehearsal(Limits()), TIMED, 0.0)
    assert [e.rehearsed for e in events if isinstance(e, CommandStarted)] == [True]


def test_nothing_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    rehearsal = Rehearsal(Limits())
    take(rehearsal, Door("ssh", opening=Command(f"touch {mark}")), 0.0)
    run_out(rehearsal)
    assert not mark.exists()


def test_who_knocks_again_has_the_door_open_for_longer() -> None:
    rehearsal = Rehearsal(Limits())
    take(rehearsal, TIMED, 0.0)
    again = take(rehearsal, TIMED, 5.0)
    assert commands(again) == []
    assert [(e.cause, e.until) for e in again if isinstance(e, Standing)] == [
        (StandingCause.RENEWED, 15.0)
    ]
    assert [time for time, _ in commands(run_out(rehearsal))] == [15.0]


def test_another_door_closes_what_one_has_opened() -> None:
    rehearsal = Rehearsal(Limits())
    take(rehearsal, Door("open", opening=OPEN), 0.0)
    events = take(rehearsal, Door("close", opening=CLOSE), 1.0)
    assert len(commands(events)) == 1
    causes = [(e.door, e.cause) for e in events if isinstance(e, Closed)]
    assert ("open", ClosedCause.BY_DOOR) in causes


def test_sources_have_rules_of_their_own() -> None:
    rehearsal = Rehearsal(Limits())
    take(rehearsal, TIMED, 0.0)
    assert len(commands(take(rehearsal, TIMED, 1.0, OTHER))) == 1


def test_a_door_without_commands_does_nothing() -> None:
    assert take(Rehearsal(Limits()), Door("ssh"), 0.0) == []


def test_what_would_not_be_run_is_refused() -> None:
    (event,) = take(Rehearsal(Limits()), Door("ssh", opening=Command("x" * 5000)), 0.0)
    assert isinstance(event, Refused)
    assert event.cause is RefusalCause.START_COMMAND_TOO_LONG


def test_no_more_get_in_than_may_and_others_once_one_has_left() -> None:
    rehearsal = Rehearsal(Limits())
    full = replace(TIMED, policy=Policy(max_open=1))
    assert len(commands(take(rehearsal, full, 0.0))) == 1
    (event,) = take(rehearsal, full, 1.0, OTHER)
    assert isinstance(event, Refused)
    assert event.cause is RefusalCause.TOO_MANY_OPEN
    run_out(rehearsal)
    assert len(commands(take(rehearsal, full, 20.0, OTHER))) == 1
