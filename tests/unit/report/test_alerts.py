"""Alerts: so often within so long, and not told again at once."""

from __future__ import annotations

import pytest

from pyknockd.model import Alert, Change, ChangeKind, Door, Knock, Per, Protocol, When
from pyknockd.model import events as e
from pyknockd.report import alerts as alerts_module
from pyknockd.report.alerts import Alerts

ME, OTHER = "192.0.2.1", "192.0.2.2"
SSH, WEB = Door("ssh"), Door("web")


def failed(time: float, source: str = ME, door: Door = SSH) -> e.AttemptEnded:
    return e.AttemptEnded(time, source, door, 1, e.EndCause.WRONG_PORT)


def raised(alert: Alert, *events: e.Event) -> list[tuple[float, str, str]]:
    alerts = Alerts([alert])
    for event in events:
        alerts.take(event)
    found = [(one.time, one.source, one.door) for one in alerts.raised()]
    assert alerts.raised() == []
    return found


def test_what_happens_so_often_within_the_time_is_told_once() -> None:
    alert = Alert(When.FAILED, count=3, within=60.0)
    times = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)
    assert raised(alert, *map(failed, times)) == [(20.0, ME, "ssh")]
    assert raised(alert, failed(0.0), failed(50.0), failed(61.0)) == []
    assert raised(alert, failed(0.0), failed(50.0), failed(61.0), failed(100.0)) == [
        (100.0, ME, "ssh")
    ]


def test_after_its_time_it_is_told_again() -> None:
    alert = Alert(When.FAILED, count=1, within=60.0)
    found = raised(alert, failed(0.0), failed(30.0), failed(60.0))
    assert [time for time, _, _ in found] == [0.0, 60.0]


@pytest.mark.parametrize(("per", "count"), [(Per.SOURCE, 0), (Per.DOOR, 0), (Per.ALL, 1)])
def test_what_is_counted_together(per: Per, count: int) -> None:
    alert = Alert(When.FAILED, count=3, within=60.0, per=per)
    events = (failed(0.0, ME, SSH), failed(1.0, OTHER, SSH), failed(2.0, OTHER, WEB))
    assert len(raised(alert, *events)) == count


@pytest.mark.parametrize(
    ("when", "event"),
    [
        (When.FAILED, failed(0.0)),
        (When.OPENED, e.Opened(0.0, ME, SSH)),
        (When.REFUSED, e.Refused(0.0, ME, SSH, e.RefusalCause.TOO_MANY_OPEN)),
        (
            When.DENIED,
            e.NotHeard(0.0, Knock(ME, OTHER, True, Protocol.TCP, 1), SSH, e.NotHeardCause.DENIED),
        ),
        (When.COMMAND_FAILED, e.CommandEnded(0.0, Change(1, ChangeKind.OPEN, "ssh", ME, "x"), 1)),
        (When.COMMAND_HUNG, e.CommandHung(0.0, Change(1, ChangeKind.OPEN, "ssh", ME, "x"), 60.0)),
    ],
)
def test_each_kind_is_counted_by_its_own_alert(when: When, event: e.Event) -> None:
    assert raised(Alert(when), event) == [(0.0, ME, "ssh")]
    others = [one for one in When if one is not when]
    assert all(raised(Alert(other), event) == [] for other in others)


@pytest.mark.parametrize(
    "event",
    [
        e.AttemptEnded(0.0, ME, SSH, 1, e.EndCause.RELOAD),
        e.AttemptEnded(0.0, ME, SSH, 1, e.EndCause.WRONG_PORT, quiet=True),
        e.CommandEnded(0.0, Change(1, ChangeKind.OPEN, "ssh", ME, "x"), 0),
        e.Stopping(0.0),
    ],
)
def test_what_is_nobodys_failure_is_not_counted(event: e.Event) -> None:
    assert all(raised(Alert(when), event) == [] for when in When)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_module, "MOST_COUNTED", 10)
    alerts = Alerts([Alert(When.FAILED, count=2)])
    for number in range(100):
        alerts.take(failed(0.0, f"192.0.2.{number}"))
    (rule,) = alerts._rules
    assert len(rule.counts) == 10
