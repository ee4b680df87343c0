"""Whom and what an event is about."""

from __future__ import annotations

import pytest

from pyknockd.model import Change, ChangeKind, Door, Knock, Protocol
from pyknockd.model.events import (
    Closed,
    ClosedCause,
    CommandEnded,
    Event,
    NotHeard,
    NotHeardCause,
    Opened,
    SequenceChanged,
    Stopping,
)
from pyknockd.report.subjects import door_of, source_of

ME, DOOR = "10.0.0.7", Door("ssh")
KNOCK = Knock(ME, "10.0.0.1", True, Protocol.TCP, 7000)


@pytest.mark.parametrize(
    ("event", "source", "door"),
    [
        (Opened(0.0, ME, DOOR), ME, "ssh"),
        (NotHeard(0.0, KNOCK, DOOR, NotHeardCause.FLAGS), ME, "ssh"),
        (CommandEnded(0.0, Change(1, ChangeKind.OPEN, "ssh", ME, "x"), 0), ME, "ssh"),
        (Closed(0.0, 1, "ssh", ME, ClosedCause.TIME), ME, "ssh"),
        (SequenceChanged(0.0, DOOR), "", "ssh"),
        (Stopping(0.0), "", ""),
    ],
)
def test_an_event_is_about_a_source_and_a_door_or_about_none(
    event: Event, source: str, door: str
) -> None:
    assert (source_of(event), door_of(event)) == (source, door)
