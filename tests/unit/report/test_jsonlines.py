"""Events for programs."""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import get_args

import pytest

from pyknockd.model import Change, ChangeKind, Door, Flags, Knock, Protocol, Step, events
from pyknockd.model.events import (
    AttemptEnded,
    CommandEnded,
    CommandStarted,
    EndCause,
    Event,
    NotHeard,
    NotHeardCause,
    PacketsDropped,
    StageReached,
    Standing,
    StandingCause,
    Stopping,
)
from pyknockd.report import remedies
from pyknockd.report.jsonlines import WORDS, json_line
from tests.support.lab import ROOT

ME = "10.0.0.7"
DOOR = Door("openSSH", tuple(Step(port, Protocol.TCP) for port in (7000, 8000, 9000)))
KNOCK = Knock(ME, "10.0.0.1", True, Protocol.TCP, 7000, 41_022, Flags.SYN)
CHANGE = Change(1, ChangeKind.CLOSE, "openSSH", ME, "iptables -D INPUT")
MANUAL = (ROOT / "debian" / "knockd.1").read_text().replace("\\-", "-")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            AttemptEnded(1764032400.1, ME, DOOR, 2, EndCause.WRONG_PORT, KNOCK),
            {
                "time": 1764032400.1,
                "source": ME,
                "door": "openSSH",
                "event": "ended",
                "stage": 2,
                "cause": "wrong-port",
                "port": 7000,
                "protocol": "tcp",
                "destination": "10.0.0.1",
                "text": "ended at stage 2: 7000 came again where 9000 was due",
                "remedy": remedies._ENDS[EndCause.WRONG_PORT],
            },
        ),
        (
            StageReached(1.0, ME, DOOR, 1, quiet=True),
            {
                "time": 1.0,
                "source": ME,
                "door": "openSSH",
                "event": "stage",
                "stage": 1,
                "quiet": True,
                "text": "stage 1 of 3: 7000",
            },
        ),
        (
            CommandStarted(1.0, CHANGE, rehearsed=True),
            {
                "time": 1.0,
                "source": ME,
                "door": "openSSH",
                "event": "command",
                "command": "iptables -D INPUT",
                "closes": True,
                "text": "would have run: iptables -D INPUT",
            },
        ),
        (
            Standing(1.0, 1, "openSSH", ME, 11.0, StandingCause.RENEWED),
            {
                "time": 1.0,
                "source": ME,
                "door": "openSSH",
                "event": "renewed",
                "cause": "renewed",
                "until": 11.0,
                "text": "stood open already, and does so for 10 s from now on",
            },
        ),
        (Stopping(1.0), {"time": 1.0, "event": "stopping", "text": "shutting down"}),
    ],
)
def test_an_event_is_an_object(event: Event, said: dict[str, object]) -> None:
    line = json_line(event)
    assert json.loads(line) == said
    assert list(json.loads(line))[-1] == "text"


def test_it_is_one_line_of_ascii_whatever_the_door_is_called() -> None:
    odd = Door("a\nb\udcff\x1b[1m", DOOR.steps)
    line = json_line(NotHeard(0.0, KNOCK, odd, NotHeardCause.FLAGS))
    assert line.isascii() and "\n" not in line and "\x1b" not in line
    assert json.loads(line)["door"] == odd.name


def test_the_loops_clock_is_told_as_the_time_of_day() -> None:
    said = json.loads(json_line(Standing(5.0, 1, "d", ME, 15.0), epoch=1_764_032_400.0))
    assert (said["time"], said["until"]) == (1_764_032_405.0, 1_764_032_415.0)


def test_what_is_counted_and_how_a_command_ends_is_told() -> None:
    assert json.loads(json_line(PacketsDropped(0.0, 7)))["count"] == 7
    assert json.loads(json_line(CommandEnded(0.0, CHANGE, 3)))["status"] == 3


def test_every_event_has_a_word_of_its_own() -> None:
    assert set(WORDS) == set(get_args(Event))
    assert len(set(WORDS.values())) == len(WORDS)


def test_the_manual_has_every_word() -> None:
    """Of the events of a replay, and every cause."""
    for word in ("stage", "ended", "not-heard", "opened", "refused", "sequence", "command"):
        assert re.search(rf"^\.B \"?{word}\b", MANUAL, re.MULTILINE), word
    for kind in (events.EndCause, events.NotHeardCause, events.RefusalCause, events.ClosedCause):
        assert issubclass(kind, Enum)
        for cause in kind:
            assert re.search(rf"\b{cause.value}\b", MANUAL), cause
