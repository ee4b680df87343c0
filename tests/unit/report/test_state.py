"""What there is as of now, out of the events."""

from __future__ import annotations

import pytest

from pyknockd.model import Change, ChangeKind, Door
from pyknockd.model import events as e
from pyknockd.report.state import State, Tally

ME = "192.0.2.1"
SSH = Door("ssh")
OPENING = Change(1, ChangeKind.OPEN, "ssh", ME, "true")


def after(*events: e.Event) -> State:
    state = State()
    for event in events:
        state.take(event)
    return state


def test_a_stay_lasts_from_its_first_event_to_its_end_as_the_last_one_says() -> None:
    first = e.Standing(10.0, 1, "ssh", ME, 40.0)
    longer = e.Standing(20.0, 1, "ssh", ME, 50.0, e.StandingCause.RENEWED)
    other = e.Standing(30.0, 2, "web", ME, None)
    state = after(first, longer, other)
    assert [(stay.since, stay.standing) for stay in state.open.values()] == [
        (10.0, longer),
        (30.0, other),
    ]
    state.take(e.Closed(50.0, 1, "ssh", ME, e.ClosedCause.TIME))
    assert list(state.open) == [2]


def test_the_version_is_another_when_who_is_in_or_what_is_heard_is_another() -> None:
    state = State()
    versions = [state.version]
    for event in (
        e.Standing(0.0, 1, "ssh", ME, None),
        e.Closed(0.0, 1, "ssh", ME, e.ClosedCause.TIME),
        e.InterfaceChanged(0.0, "eth0", e.InterfaceState.COME),
    ):
        state.take(event)
        versions.append(state.version)
    assert len(set(versions)) == 4
    state.take(e.StageReached(0.0, ME, SSH, 1))
    assert state.version == versions[-1]


def test_interfaces_are_those_that_are_to_be_listened_on() -> None:
    come = e.InterfaceChanged(0.0, "eth0", e.InterfaceState.COME)
    missing = e.InterfaceChanged(0.0, "wg0", e.InterfaceState.MISSING)
    state = after(come, missing)
    assert state.interfaces == {"eth0": come, "wg0": missing}
    assert not state.is_deaf
    state.take(e.InterfaceChanged(0.0, "eth0", e.InterfaceState.GONE))
    assert state.is_deaf
    state.take(e.InterfaceChanged(0.0, "wg0", e.InterfaceState.GONE))
    assert not state.is_deaf


def test_what_a_reload_refused_stands_until_one_is_taken_over() -> None:
    refused = e.ConfigRefused(1.0, ("a mistake",))
    state = after(e.Started(0.5, ("eth0",)), e.FirewallPrepared(0.0, ("way",), ()), refused)
    assert (state.started, state.ways, state.refused) == (0.5, ("way",), refused)
    state.take(e.ConfigTaken(2.0, False))
    assert state.refused is None


COUNTED: list[tuple[e.Event, Tally, int]] = [
    (e.StageReached(0, ME, SSH, 1), Tally("stages", "ssh"), 1),
    (
        e.AttemptEnded(0, ME, SSH, 1, e.EndCause.TOO_LATE),
        Tally("attempts_ended", "ssh", e.EndCause.TOO_LATE.value),
        1,
    ),
    (e.Opened(0, ME, SSH), Tally("opened", "ssh"), 1),
    (
        e.Refused(0, ME, SSH, e.RefusalCause.TOO_MANY_WAIT),
        Tally("refused", "ssh", "too-many-wait"),
        1,
    ),
    (e.Standing(0, 1, "ssh", ME, None), Tally("standing", "ssh", "opened"), 1),
    (e.Closed(0, 1, "ssh", ME, e.ClosedCause.BY_HAND), Tally("closed", "ssh", "by-hand"), 1),
    (e.CommandEnded(0, OPENING, 0), Tally("commands", "ssh", "ok"), 1),
    (e.CommandEnded(0, OPENING, 3), Tally("commands", "ssh", "failed"), 1),
    (e.FirstKnocksLeftOut(0, 7), Tally("first_knocks_left_out"), 7),
    (e.InternalFault(0, ("line",), 3), Tally("internal_faults"), 3),
    (e.ConfigRefused(0, ()), Tally("reloads_refused"), 1),
]


@pytest.mark.parametrize(("event", "tally", "count"), COUNTED)
def test_what_comes_to_pass_is_counted(event: e.Event, tally: Tally, count: int) -> None:
    assert after(event, event).counts == {tally: 2 * count}


def test_what_is_not_counted_counts_nothing() -> None:
    assert not after(e.Stopping(0.0), e.Started(0.0, ())).counts
