"""systemd's status line."""

from __future__ import annotations

from pyknockd.model import Door
from pyknockd.model.events import Closed, ClosedCause, Opened, Standing, StandingCause
from pyknockd.report.status import Status

ME = "192.0.2.1"


def standing(opening: int, cause: StandingCause = StandingCause.OPENED) -> Standing:
    return Standing(0.0, opening, "ssh", ME, None, cause)


def closed(opening: int) -> Closed:
    return Closed(0.0, opening, "ssh", ME, ClosedCause.TIME)


def test_at_first_no_door_is_open() -> None:
    assert Status().text() == "0 doors open"


def test_every_opening_is_counted_while_it_stands() -> None:
    status = Status()
    status.take(standing(1))
    assert status.text() == "1 door open"
    status.take(standing(2, StandingCause.RECOVERED))
    assert status.text() == "2 doors open"
    status.take(closed(1))
    assert status.text() == "1 door open"


def test_a_door_that_stands_open_for_longer_is_counted_once() -> None:
    status = Status()
    status.take(standing(1))
    status.take(standing(1, StandingCause.RENEWED))
    assert status.text() == "1 door open"


def test_what_never_stood_open_and_what_is_no_opening_change_nothing() -> None:
    status = Status()
    status.take(closed(7))
    status.take(Opened(0.0, ME, Door("ssh")))
    assert status.text() == "0 doors open"
