"""Answers, as they are shown."""

from __future__ import annotations

import json

import pytest

from pyknockd.control.handlers import WATCH
from pyknockd.control.views import SHOW, Screen, event_text
from pyknockd.control.words import Painter

PLAIN = Screen(as_json=False, painter=Painter(on=False))
ENDED = {
    "time": 0.0,
    "source": "192.0.2.1",
    "door": "ssh",
    "event": "ended",
    "text": "ended at stage 1",
}


def test_a_story_stands_under_its_source_with_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    other = {**ENDED, "source": "192.0.2.2", "text": "ended at stage 2"}
    events = [{**ENDED, "remedy": "knock faster"}, other, {**ENDED, "remedy": "knock faster"}]
    assert SHOW["why"](events, PLAIN) == 0
    lines = [line.partition("  ssh: ")[2] or line for line in capfd.readouterr().out.splitlines()]
    assert lines == [
        "192.0.2.1",
        "ended at stage 1",
        "ended at stage 1",
        "      what to do: knock faster",
        "192.0.2.2",
        "ended at stage 2",
    ]


def test_of_whom_nothing_was_heard_that_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    SHOW["why"]([], PLAIN)
    assert capfd.readouterr().out == "nothing was heard of that\n"


def test_programs_get_an_event_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    SHOW["why"]([ENDED, ENDED], Screen(as_json=True, painter=Painter(on=False)))
    assert [json.loads(line) for line in capfd.readouterr().out.splitlines()] == [ENDED, ENDED]


@pytest.mark.parametrize(
    ("event", "colour"), [("ended", "33"), ("refused", "33"), ("not-heard", "33"), ("opened", "32")]
)
def test_what_went_wrong_and_what_went_well_have_their_colour(event: str, colour: str) -> None:
    assert f"\x1b[{colour}m" in event_text({**ENDED, "event": event}, Painter(on=True))
    assert "\x1b" not in event_text({**ENDED, "event": event}, Painter(on=False))
    assert "\x1b" not in event_text({**ENDED, "event": "stage"}, Painter(on=True))


def test_what_a_door_is_called_moves_no_cursor() -> None:
    assert "\x1b" not in event_text({**ENDED, "door": "\x1b[2J"}, Painter(on=False))


def test_each_command_but_the_one_that_goes_on_is_shown_once() -> None:
    assert WATCH not in SHOW
