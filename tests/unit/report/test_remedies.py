"""What to do about it."""

from __future__ import annotations

import pytest

from pyknockd.model import Change, ChangeKind, Door, Knock, Protocol
from pyknockd.model import events as e
from pyknockd.report.remedies import remedy_of

ME, SSH = "192.0.2.1", Door("ssh")
KNOCK = Knock(ME, "192.0.2.9", True, Protocol.TCP, 7000)


@pytest.mark.parametrize(
    "cause", [c for c in e.EndCause if c.value not in ("opened", "capture-ended")]
)
def test_there_is_something_to_be_done_about_each_end(cause: e.EndCause) -> None:
    assert remedy_of(e.AttemptEnded(0.0, ME, SSH, 1, cause))


@pytest.mark.parametrize("cause", e.NotHeardCause)
def test_there_is_something_to_be_done_about_each_packet(cause: e.NotHeardCause) -> None:
    assert remedy_of(e.NotHeard(0.0, KNOCK, SSH, cause))


@pytest.mark.parametrize("cause", e.RefusalCause)
def test_there_is_something_to_be_done_about_each_refusal(cause: e.RefusalCause) -> None:
    assert remedy_of(e.Refused(0.0, ME, SSH, cause))


def test_nothing_is_to_be_done_about_what_went_well() -> None:
    change = Change(1, ChangeKind.OPEN, "ssh", ME, "true")
    assert remedy_of(e.Opened(0.0, ME, SSH)) == ""
    assert remedy_of(e.CommandEnded(0.0, change, 0)) == ""
    assert remedy_of(e.CommandEnded(0.0, change, 1)) != ""
    assert remedy_of(e.RuleHidden(0.0, change, "opens nothing")) != ""
