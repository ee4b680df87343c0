"""What is said of an event: why, in plain words."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import pytest

from pyknockd.model import Change, ChangeKind, Door, Flags, Knock, Protocol, Step
from pyknockd.model.events import (
    AlreadyThere,
    AttemptEnded,
    Closed,
    ClosedCause,
    CommandEnded,
    CommandStarted,
    EndCause,
    Event,
    FirstKnocksLeftOut,
    NotHeard,
    NotHeardCause,
    Opened,
    PacketsDropped,
    RefusalCause,
    Refused,
    SequenceChanged,
    StageReached,
    Standing,
    StandingCause,
)
from pyknockd.report.sentences import sentence_of

TCP, UDP = Protocol.TCP, Protocol.UDP
ME, HERE = "10.0.0.7", "10.0.0.1"
DOOR = Door(
    "openSSH",
    (Step(7000, TCP), Step(8000, UDP), Step(9000, TCP)),
    timeout=5.0,
    required=Flags.SYN,
    forbidden=Flags.ACK,
)
CHANGE = Change(1, ChangeKind.OPEN, "openSSH", ME, "iptables -I INPUT")
KNOCK = Knock(ME, HERE, True, TCP, 7000, 41_022, Flags.SYN, interface="eth0")


def ended(cause: EndCause, knock: Knock | None = None, earlier_port: int = 0) -> AttemptEnded:
    return AttemptEnded(6.2, ME, DOOR, 2, cause, knock, earlier_port=earlier_port)


def not_heard(cause: NotHeardCause, knock: Knock = KNOCK, **more: object) -> NotHeard:
    return NotHeard(6.2, knock, DOOR, cause, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (StageReached(0.0, ME, DOOR, 2), "stage 2 of 3: 8000:udp"),
        (Opened(0.0, ME, DOOR), "the sequence is complete: the door opens"),
        (
            ended(EndCause.WRONG_PORT, KNOCK, 41_020),
            "ended at stage 2: 7000 came again where 9000 was due (a new connection, not a"
            " retransmission: 41020 → 41022)",
        ),
        (
            ended(EndCause.WRONG_PORT, KNOCK, 41_022),
            "ended at stage 2: 7000 came again where 9000 was due (a new connection, not a"
            " retransmission: from 41022 as before, with another sequence number)",
        ),
        (
            ended(EndCause.WRONG_PORT, replace(KNOCK, port=8000, protocol=UDP), 41_020),
            "ended at stage 2: 8000:udp came again where 9000 was due",
        ),
        (
            ended(EndCause.WRONG_PORT, replace(KNOCK, port=6000)),
            "ended at stage 2: 6000 came where 9000 was due",
        ),
        (
            ended(EndCause.WRONG_PROTOCOL, replace(KNOCK, port=9000, protocol=UDP)),
            "ended at stage 2: 9000 came over UDP, the step is TCP",
        ),
        (
            ended(EndCause.TOO_LATE),
            "ended at stage 2: 9000 had not come 5 s after the first knock, which is seq_timeout",
        ),
        (
            ended(EndCause.EVICTED),
            "ended at stage 2: too many attempts were under way (limits: attempts)",
        ),
        (ended(EndCause.RELOAD), "ended at stage 2: the configuration was read again"),
        (
            ended(EndCause.ONE_TIME_USED),
            "ended at stage 2: somebody else has used this one-time sequence",
        ),
        (
            ended(EndCause.OPENED),
            "ended at stage 2: another attempt at this door was faster, and has opened it",
        ),
        (
            ended(EndCause.CAPTURE_ENDED),
            "ended at stage 2: 9000 had not come when the capture ended",
        ),
        (
            not_heard(NotHeardCause.FLAGS, replace(KNOCK, flags=Flags.SYN | Flags.ACK | 0xC0)),
            "7000 came with SYN,ACK; tcpflags wants syn,!ack",
        ),
        (
            not_heard(NotHeardCause.FLAGS, replace(KNOCK, flags=0)),
            "7000 came with no flag; tcpflags wants syn,!ack",
        ),
        (
            not_heard(NotHeardCause.NOT_ADDRESSED_HERE, replace(KNOCK, destination="10.0.0.9")),
            "7000 came to 10.0.0.9, which is not an address of eth0",
        ),
        (
            not_heard(NotHeardCause.NOT_ADDRESSED_HERE, replace(KNOCK, interface="")),
            "7000 came to 10.0.0.1, which is not an address of this host",
        ),
        (
            replace(
                not_heard(NotHeardCause.NOT_ADDRESSED_HERE), door=replace(DOOR, target="10.0.0.5")
            ),
            "7000 came to 10.0.0.1; the door's target is 10.0.0.5",
        ),
        (
            not_heard(NotHeardCause.REPEATED),
            "7000 came again, with the same ports and sequence number: a retransmission, no knock",
        ),
        (
            not_heard(NotHeardCause.TURNED_AWAY),
            "7000 came, and too many attempts were under way to begin another (limits: attempts)",
        ),
        (
            not_heard(NotHeardCause.TOO_LATE, replace(KNOCK, port=9000), began=1.0),
            "9000 came 5.2 s after the first knock, seq_timeout is 5",
        ),
        (
            not_heard(NotHeardCause.NO_ATTEMPT, replace(KNOCK, port=9000)),
            "9000 came, but no attempt waits for it: the sequence begins with 7000",
        ),
        (
            not_heard(NotHeardCause.WRONG_PROTOCOL, replace(KNOCK, protocol=UDP)),
            "7000 came over UDP, the step is TCP",
        ),
        (
            not_heard(NotHeardCause.NEAR_PORT, replace(KNOCK, port=7001), step=DOOR.steps[0]),
            "7001 came, which is not in the sequence; 7000 is",
        ),
        (
            not_heard(NotHeardCause.NOT_LISTENED_ON),
            "7000 came in on eth0, which is not listened on",
        ),
        (CommandStarted(0.0, CHANGE), "runs: iptables -I INPUT"),
        (CommandStarted(0.0, CHANGE, rehearsed=True), "would have run: iptables -I INPUT"),
        (CommandEnded(0.0, CHANGE, 0), ""),
        (CommandEnded(0.0, CHANGE, 3), "its command has ended with status 3"),
        (CommandEnded(0.0, CHANGE, 127, problem="x: not found"), "cannot run x: not found"),
        (Standing(5.0, 1, "ssh", ME, 15.0), "stands open for 10 s"),
        (Standing(5.0, 1, "ssh", ME, None), "stands open until a command closes it"),
        (
            Standing(5.0, 1, "ssh", ME, 15.0, StandingCause.RENEWED),
            "stood open already, and does so for 10 s from now on",
        ),
        (
            AlreadyThere(0.0, CHANGE),
            "what it was to open was open already, and not by knocking: it stays so",
        ),
        (SequenceChanged(0.0, DOOR), "the next one-time sequence is in force"),
        (
            SequenceChanged(0.0, replace(DOOR, steps=())),
            "no one-time sequence is left: the door is disabled",
        ),
        (
            Refused(0.0, ME, DOOR, RefusalCause.ONE_TIME_FILE, "it is locked"),
            "the door stays shut: it is locked",
        ),
        (
            FirstKnocksLeftOut(0.0, 1_500),
            "1,500 first knocks came in a flood: each is looked at once its source has sent another"
            " (limits: first_knocks)",
        ),
        # As the log has it.
        (PacketsDropped(0.0, 7), "packets came too fast: the kernel dropped 7"),
    ],
)
def test_an_event_is_said_in_plain_words(event: Event, said: str) -> None:
    assert sentence_of(event) == said


@pytest.mark.parametrize(
    "cause", [*EndCause, *NotHeardCause, *RefusalCause, *ClosedCause, *StandingCause]
)
def test_no_cause_is_without_a_sentence(cause: Enum) -> None:
    event: Event
    if isinstance(cause, EndCause):
        event = ended(cause)
    elif isinstance(cause, NotHeardCause):
        event = not_heard(cause)
    elif isinstance(cause, RefusalCause):
        event = Refused(0.0, ME, DOOR, cause)
    elif isinstance(cause, ClosedCause):
        event = Closed(0.0, 1, "ssh", ME, cause)
    else:
        assert isinstance(cause, StandingCause)
        event = Standing(0.0, 1, "ssh", ME, None, cause)
    assert len(sentence_of(event)) > 10
