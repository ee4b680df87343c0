"""How much is said a second, of each kind."""

from __future__ import annotations

import pytest

from pyknockd.model import Change, ChangeKind, Door, Limits, Protocol, Step
from pyknockd.model.events import (
    AttemptEnded,
    CommandEnded,
    CommandOutput,
    CommandStarted,
    EndCause,
    Event,
    Opened,
    PacketsDropped,
    StageReached,
    Stopping,
)
from pyknockd.report.budgets import Budgets, Kind, LeftOut, kind_of

ME = "192.0.2.1"
SSH = Door("ssh", (Step(7000, Protocol.TCP),))
CHANGE = Change(1, ChangeKind.OPEN, "ssh", ME, "true")


def budgets(most: int) -> Budgets:
    found = Budgets()
    found.most = most
    return found


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (StageReached(0, ME, SSH, 1), Kind.FIRST_KNOCKS),
        (AttemptEnded(0, ME, SSH, 1, EndCause.TOO_LATE), Kind.FIRST_KNOCKS),
        (StageReached(0, ME, SSH, 2), Kind.FURTHER_KNOCKS),
        (AttemptEnded(0, ME, SSH, 2, EndCause.TOO_LATE), Kind.FURTHER_KNOCKS),
        (Opened(0, ME, SSH), Kind.OPENINGS),
        (CommandStarted(0, CHANGE), Kind.OPENINGS),
        (CommandEnded(0, CHANGE, 1), Kind.OPENINGS),
        (CommandOutput(0, "ssh", ("hello",)), Kind.OUTPUT),
        (PacketsDropped(0, 1), None),
        (Stopping(0), None),
    ],
)
def test_what_strangers_bring_about_is_of_one_kind(event: Event, kind: Kind | None) -> None:
    assert kind_of(event) is kind


def test_so_many_have_room_in_a_second_and_the_rest_is_counted() -> None:
    few = budgets(2)
    room = [few.has_room(Kind.FIRST_KNOCKS, 5.0 + tenth / 10) for tenth in range(5)]
    assert room == [True, True, False, False, False]
    assert few.over(5.9) == []
    assert few.next_deadline() == 6.0
    assert few.over(6.0) == [LeftOut(Kind.FIRST_KNOCKS, 3)]
    assert few.over(6.0) == few.end() == []
    assert few.next_deadline() is None
    assert few.has_room(Kind.FIRST_KNOCKS, 6.0)


def test_no_kind_takes_the_room_of_another() -> None:
    few = budgets(1)
    for kind in Kind:
        assert few.has_room(kind, 5.0)
    for kind in (Kind.FIRST_KNOCKS, Kind.FURTHER_KNOCKS):
        assert not few.has_room(kind, 5.0)
    assert few.end() == [LeftOut(Kind.FIRST_KNOCKS, 1), LeftOut(Kind.FURTHER_KNOCKS, 1)]


@pytest.mark.parametrize("most", [0, 1, 1000])
@pytest.mark.parametrize("kind", [Kind.OPENINGS, Kind.OUTPUT])
def test_whatever_the_limit_some_have_the_room_of_the_default(kind: Kind, most: int) -> None:
    some = budgets(most)
    room = [some.has_room(kind, 5.0) for _ in range(1001)]
    assert room.count(True) == max(most, Limits().log_lines)


def test_what_is_left_out_unasked_is_counted_too_and_never_lost() -> None:
    few = budgets(0)
    few.leave_out(Kind.FIRST_KNOCKS, 100, 5.0)
    few.leave_out(Kind.FIRST_KNOCKS, 10, 7.0)
    assert not few.has_room(Kind.FIRST_KNOCKS, 9.0)
    assert few.end() == [LeftOut(Kind.FIRST_KNOCKS, 111)]
