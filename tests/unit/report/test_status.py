"""systemd's status line."""

from __future__ import annotations

from pyknockd.model import Door
from pyknockd.model.events import (
    Closed,
    ClosedCause,
    ConfigTaken,
    InterfaceChanged,
    InterfaceState,
    LastGoodTaken,
    Opened,
    Standing,
    StandingCause,
)
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


def test_that_the_doors_are_those_of_a_copy_is_said_until_a_file_is_taken() -> None:
    status = Status()
    status.take(LastGoodTaken(0.0, ("f:1: a", "f:2: b"), "/copy", "2026-11-25 03:12"))
    said = "MISTAKES, taken are the doors of 2026-11-25 03:12: f:1: a; 0 doors open"
    assert status.text() == said
    status.take(ConfigTaken(0.0, other_interfaces=False))
    assert status.text() == "0 doors open"


def test_what_never_stood_open_and_what_is_no_opening_change_nothing() -> None:
    status = Status()
    status.take(closed(7))
    status.take(Opened(0.0, ME, Door("ssh")))
    assert status.text() == "0 doors open"


def interface(name: str, state: InterfaceState) -> InterfaceChanged:
    return InterfaceChanged(0.0, name, state, there=("lo", "host0"))


def test_whoever_listens_nowhere_is_deaf_and_says_what_is_waited_for() -> None:
    status = Status()
    status.take(interface("enp1s0", InterfaceState.MISSING))
    assert status.text() == "DEAF: waiting for enp1s0 (there are: lo, host0)"
    status.take(interface("enp1s0", InterfaceState.COME))
    assert status.text() == "0 doors open"
    status.take(interface("enp1s0", InterfaceState.MISSING))
    assert status.text().startswith("DEAF: ")


def test_one_of_several_interfaces_is_enough() -> None:
    status = Status()
    status.take(interface("wg0", InterfaceState.MISSING))
    status.take(interface("eth0", InterfaceState.COME))
    assert status.text() == "0 doors open"
    status.take(interface("eth0", InterfaceState.GONE))
    assert status.text() == "DEAF: waiting for wg0 (there are: lo, host0)"
