"""systemd's status line."""

from __future__ import annotations

import pytest

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
from pyknockd.report.state import State
from pyknockd.report.status import Status

ME = "203.0.113.7"


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def status(state: State) -> Status:
    return Status(state, lambda moment: f"14:{moment:02.0f}")


def standing(
    opening: int, until: float | None = 32.0, cause: StandingCause = StandingCause.OPENED
) -> Standing:
    return Standing(0.0, opening, "ssh", ME, until, cause)


def closed(opening: int) -> Closed:
    return Closed(0.0, opening, "ssh", ME, ClosedCause.TIME)


def test_at_first_no_door_is_open(status: Status) -> None:
    assert status.text() == "0 doors open"


def test_who_is_in_is_named_with_his_time(state: State, status: Status) -> None:
    state.take(standing(1))
    assert status.text() == "1 open: ssh for 203.0.113.7 until 14:32"
    state.take(closed(1))
    assert status.text() == "0 doors open"


def test_who_is_in_until_somebody_closes_has_no_time(state: State, status: Status) -> None:
    state.take(standing(1, None))
    assert status.text() == "1 open: ssh for 203.0.113.7"


def test_that_the_doors_are_those_of_a_copy_is_said_until_a_file_is_taken(
    state: State, status: Status
) -> None:
    state.take(LastGoodTaken(0.0, ("f:1: a", "f:2: b"), "/copy", "2026-11-25 03:12"))
    said = "MISTAKES, taken are the doors of 2026-11-25 03:12: f:1: a; 0 doors open"
    assert status.text() == said
    state.take(ConfigTaken(0.0, other_interfaces=False))
    assert status.text() == "0 doors open"


def test_of_more_than_three_the_others_are_counted(state: State, status: Status) -> None:
    for number in range(1, 4):
        state.take(Standing(0.0, number, f"d{number}", ME, None))
    named = "d1 for 203.0.113.7, d2 for 203.0.113.7, d3 for 203.0.113.7"
    assert status.text() == f"3 open: {named}"
    state.take(standing(4))
    state.take(standing(5, cause=StandingCause.RECOVERED))
    assert status.text() == f"5 open: {named} and 2 more"


def test_a_door_that_stands_open_for_longer_is_counted_once(state: State, status: Status) -> None:
    state.take(standing(1))
    state.take(standing(1, 45.0, StandingCause.RENEWED))
    assert status.text() == "1 open: ssh for 203.0.113.7 until 14:45"


def test_what_never_stood_open_and_what_is_no_opening_change_nothing(
    state: State, status: Status
) -> None:
    state.take(closed(7))
    state.take(Opened(0.0, ME, Door("ssh")))
    assert status.text() == "0 doors open"


def interface(name: str, state: InterfaceState) -> InterfaceChanged:
    return InterfaceChanged(0.0, name, state, there=("lo", "host0"))


def test_whoever_listens_nowhere_is_deaf_and_says_what_is_waited_for(
    state: State, status: Status
) -> None:
    state.take(standing(1))
    state.take(interface("enp1s0", InterfaceState.MISSING))
    assert status.text() == "DEAF: waiting for enp1s0 (there are: lo, host0)"
    state.take(interface("enp1s0", InterfaceState.COME))
    assert status.text().startswith("1 open: ")
    state.take(interface("enp1s0", InterfaceState.MISSING))
    assert status.text().startswith("DEAF: ")


def test_one_of_several_interfaces_is_enough(state: State, status: Status) -> None:
    state.take(interface("wg0", InterfaceState.MISSING))
    state.take(interface("eth0", InterfaceState.COME))
    assert status.text() == "0 doors open"
    state.take(interface("eth0", InterfaceState.GONE))
    assert status.text() == "DEAF: waiting for wg0 (there are: lo, host0)"
