"""Commands of alerts, of the start and the stop: run beside everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.model import Alert, Door, When
from pyknockd.model.events import Alerted, Event, HookEnded, Opened
from pyknockd.report import alarms as alarms_module
from pyknockd.report.alarms import Alarms
from tests.support.lab import until

ME = "192.0.2.1"


def told(alarms: Alarms, now: float = 0.0) -> list[Event]:
    """What there is to tell once every command has ended."""
    events = list(alarms.work(now))

    def is_over() -> bool:
        events.extend(alarms.work(now))
        return not alarms.is_busy

    until(is_over, "every command has ended")
    return events


def test_the_command_of_an_alert_gets_the_last_ones_address_and_door(tmp_path: Path) -> None:
    command = f"echo %IP% %DOOR% >> {tmp_path}/told"
    alarms = Alarms([Alert(When.OPENED, count=2, command=command)])
    for _ in range(2):
        alarms.take(Opened(0.0, ME, Door("ssh")))
    (alerted,) = told(alarms)
    assert isinstance(alerted, Alerted)
    assert (tmp_path / "told").read_text() == f"{ME} ssh\n"


def test_a_command_that_fails_is_told_with_whose_it_is() -> None:
    alarms = Alarms()
    alarms.run("on_start", ("exit 3", "true"), 0.0)
    assert told(alarms) == [HookEnded(0.0, "on_start", "exit 3", 3)]


def test_no_more_run_at_once_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms_module, "MOST_AT_ONCE", 2)
    alarms = Alarms()
    alarms.run("on_start", ("sleep 0.1", "sleep 0.1", "echo"), 0.0)
    (event,) = told(alarms)
    assert event == HookEnded(0.0, "on_start", "echo", 0, "too many run already")


def test_one_that_takes_too_long_is_killed() -> None:
    alarms = Alarms()
    alarms.run("on_stop", ("sleep 981",), 0.0)
    assert alarms.next_deadline() == alarms_module.KILL_SECONDS
    (event,) = told(alarms, alarms_module.KILL_SECONDS)
    assert isinstance(event, HookEnded)
    assert event.status == 137
    assert alarms.next_deadline() is None


def test_other_alerts_hold_from_then_on() -> None:
    alarms = Alarms([Alert(When.OPENED)])
    alarms.heed([])
    alarms.take(Opened(0.0, ME, Door("ssh")))
    assert list(alarms.work(0.0)) == []
