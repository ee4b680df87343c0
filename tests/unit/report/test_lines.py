"""Events as lines of the log, word for word."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest

from pyknockd.model import Alert, Change, ChangeKind, Command, Door, Protocol, Step, When
from pyknockd.model import events as e
from pyknockd.report import lines
from pyknockd.report.lines import Audience, Line, Priority, lines_of

ME = "192.0.2.1"
SSH = Door("ssh", (Step(7000, Protocol.TCP), Step(8000, Protocol.TCP)), opening=Command("go %IP%"))
EMPTY = Door("ssh", one_time_file="/etc/once")
OPENING = Change(1, ChangeKind.OPEN, "ssh", ME, "go 192.0.2.1")
CLOSING = Change(1, ChangeKind.CLOSE, "ssh", ME, "back 192.0.2.1")
ALARM, VERBOSE, DEBUG = Audience.ALARM, Audience.VERBOSE, Audience.DEBUG

LEFT_OUT = {
    e.NotHeard,
    e.LooksFirst,
    e.Standing,
    e.AlreadyThere,
    e.FirstKnocksLeftOut,  # the report counts them with the lines it leaves out itself
}
"""What the log says nothing of."""

KNOCKDS_WORDS: list[tuple[e.Event, list[Line]]] = [
    (e.Started(0, ("eth0",)), [Line("starting up, listening on eth0")]),
    (e.StageReached(0, ME, SSH, 2), [Line("ssh: Stage 2", ME)]),
    (e.Opened(0, ME, SSH), [Line("ssh: OPEN SESAME", ME)]),
    (
        e.CommandStarted(0, OPENING),
        [Line("ssh: running command: go 192.0.2.1", line_feed=True)],
    ),
    (
        e.CommandStarted(0, CLOSING),
        [
            Line("ssh: command timeout", ME),
            Line("ssh: running command: back 192.0.2.1", line_feed=True),
        ],
    ),
    (
        e.CommandStarted(0, replace(CLOSING, by_hand=True)),
        [Line("ssh: running command: back 192.0.2.1", line_feed=True)],
    ),
    (
        e.CommandEnded(0, OPENING, 3),
        [Line("ssh: command returned non-zero status code (3)", audience=ALARM)],
    ),
    (
        e.AttemptEnded(0, ME, SSH, 1, e.EndCause.TOO_LATE),
        [Line("ssh: sequence timeout (stage 1)", ME, line_feed=True)],
    ),
    (e.Reloading(0, "/etc/knockd.conf"), [Line("re-reading config file: /etc/knockd.conf")]),
    (e.LogReopened(0, "/var/log/knockd"), [Line("re-opening log file: /var/log/knockd")]),
    (e.Stopping(0), [Line("shutting down")]),
    (
        e.SequenceChanged(0, EMPTY),
        [
            Line(
                "no more sequences left in the one time sequences file for door ssh"
                " --> disabling the door",
                line_feed=True,
            )
        ],
    ),
    (
        e.Refused(0, ME, SSH, e.RefusalCause.START_COMMAND_TOO_LONG),
        [
            Line(
                "error: parsed start command has been truncated! --> won't execute it",
                audience=ALARM,
            )
        ],
    ),
    (
        e.Refused(0, ME, SSH, e.RefusalCause.STOP_COMMAND_TOO_LONG),
        [
            Line(
                "error: parsed stop command has been truncated! --> won't execute start command",
                audience=ALARM,
            )
        ],
    ),
]

OWN_WORDS: list[tuple[e.Event, list[Line]]] = [
    (e.ByHand(0, e.HandAction.OPEN, "ssh", ME, "al"), [Line("ssh: opened by hand, by al", ME)]),
    (e.ByHand(0, e.HandAction.CLOSE, "ssh", ME, "al"), [Line("ssh: closed by hand, by al", ME)]),
    (
        e.ByHand(0, e.HandAction.EXTEND, "ssh", ME, "al", 60.0),
        [Line("ssh: extended by 60 s by hand, by al", ME)],
    ),
    (
        e.Refused(0, "fd08::1", SSH, e.RefusalCause.OTHER_FAMILY, "Stop_Command_6 = x"),
        [
            Line(
                "ssh: fd08::1 came over IPv6, and its command is for IPv4: add Stop_Command_6 = x",
                audience=ALARM,
            )
        ],
    ),
    (
        e.Refused(0, ME, SSH, e.RefusalCause.OTHER_FAMILY, "Start_Command = x"),
        [
            Line(
                "ssh: 192.0.2.1 came over IPv4, and its command is for IPv6: add Start_Command = x",
                audience=ALARM,
            )
        ],
    ),
    (e.Refused(0, ME, SSH, e.RefusalCause.OTHER_FAMILY, "Start_Command = x", quiet=True), []),
    (
        e.Refused(0, ME, SSH, e.RefusalCause.TOO_MANY_WAIT),
        [Line("ssh: the door stays shut: too many commands wait already", ME)],
    ),
    (
        e.Refused(0, ME, SSH, e.RefusalCause.ONE_TIME_FILE, "disk full"),
        [Line("ssh: the door stays shut: disk full")],
    ),
    (
        e.CommandEnded(0, OPENING, 127, problem="go: no such program"),
        [
            Line("ssh: cannot run go: no such program", audience=ALARM),
            Line("ssh: command returned non-zero status code (127)", audience=ALARM),
        ],
    ),
    (
        e.CommandOutput(0, "ssh", ("bad \x1b[31m", "192.0.2.9: ssh: no"), 7),
        [
            Line("ssh: bad \\x1b[31m", audience=ALARM),
            Line("ssh: 192.0.2.9: ssh: no", audience=ALARM),
        ],
    ),
    (
        e.CommandHung(0, OPENING, 60.0),
        [Line("ssh: still running after 60 seconds, no longer waited for: go 192.0.2.1")],
    ),
    (
        e.CommandWaits(0, OPENING, 1.0, None),
        [
            Line(
                "ssh: waits for 1 s now: as many commands run already as may at once"
                " (limits: commands)",
                ME,
            )
        ],
    ),
    (
        e.CommandWaits(0, OPENING, 1.0, CLOSING),
        [
            Line(
                "ssh: waits for 1 s now: its command before has not ended: back 192.0.2.1",
                ME,
            )
        ],
    ),
    (
        e.CommandWaits(0, OPENING, 1.0, Change(8, ChangeKind.OPEN, "web", "192.0.2.2", "sleep 9")),
        [
            Line(
                "ssh: waits for 1 s now: a command of web for 192.0.2.2 has not ended: sleep 9",
                ME,
            )
        ],
    ),
    (
        e.Alerted(0, Alert(When.FAILED, 20, 60.0), ME, "ssh"),
        [Line("ssh: alert: failed, 20 times within 60 s", ME)],
    ),
    (
        e.HookEnded(0, "on_start", "mount /srv", 3),
        [
            Line(
                "on_start: command failed: non-zero status code (3): mount /srv",
                audience=ALARM,
            )
        ],
    ),
    (
        e.HookEnded(0, "alert failed", "tell", 127, "too many run already"),
        [Line("alert failed: command failed: too many run already: tell", audience=ALARM)],
    ),
    (
        e.CommandKilled(0, OPENING),
        [
            Line(
                "ssh: killed, since too many commands do not end (limits: commands): go 192.0.2.1",
                audience=ALARM,
            )
        ],
    ),
    (
        e.GivenUp(0, OPENING),
        [Line("ssh: not opened: looking for its rule took too long", ME, ALARM)],
    ),
    (e.LockHeld(0, OPENING), [Line("ssh: another program holds iptables' lock: waiting")]),
    (e.RuleGone(0, CLOSING), [Line("ssh: closed already for 192.0.2.1", audience=DEBUG)]),
    (e.RuleHidden(0, OPENING, "opens nothing"), [Line("ssh: opens nothing")]),
    (
        e.RuleMoved(0, OPENING, "-A INPUT -j DROP"),
        [Line("ssh: its rule was there already, moved in front of -A INPUT -j DROP", ME)],
    ),
    (
        e.LeftToProgram(0, OPENING, "a new match"),
        [Line("ssh: not in process: a new match", audience=DEBUG)],
    ),
    (
        e.ClosingFailed(10.0, CLOSING, 14.0),
        [Line("ssh: still open, closing is tried again in 4 s: back 192.0.2.1", ME, ALARM)],
    ),
    (
        e.ClosingFailed(10.0, CLOSING, 10.1),
        [Line("ssh: still open, closing is tried again in 1 s: back 192.0.2.1", ME, ALARM)],
    ),
    (
        e.Closed(0, 1, "ssh", ME, e.ClosedCause.BY_NUMBER, "iptables -D INPUT 3"),
        [
            Line(
                "ssh: left open before the restart, and not closed by itself: the rule of that"
                " number may be another by now; if it is the one, run: iptables -D INPUT 3",
                ME,
                ALARM,
            )
        ],
    ),
    (
        e.InterfaceChanged(0, "tun0", e.InterfaceState.COME),
        [Line("listening on tun0 now")],
    ),
    (
        e.InterfaceChanged(0, "tun0", e.InterfaceState.GONE),
        [Line("no longer listening on tun0")],
    ),
    (
        e.InterfaceChanged(0, "tun0", e.InterfaceState.MISSING, ("lo", "eth0"), first=True),
        [
            Line(
                "there is no interface tun0 (there are: lo, eth0): waiting for it",
                audience=ALARM,
            )
        ],
    ),
    (
        e.InterfaceChanged(0, "tun0", e.InterfaceState.MISSING, ("lo",)),
        [Line("there is no interface tun0 (there are: lo): waiting for it")],
    ),
    (
        e.InterfaceChanged(0, "tun0", e.InterfaceState.TROUBLE, text="tun0 is odd"),
        [Line("tun0 is odd")],
    ),
    (e.PacketsDropped(0, 7), [Line("packets came too fast: the kernel dropped 7")]),
    (
        e.FirewallPrepared(0, ("a: in process", "b: by hand"), ("two firewalls",)),
        [
            Line("firewall: a: in process", audience=VERBOSE),
            Line("firewall: b: by hand", audience=VERBOSE),
            Line("warning: two firewalls"),
        ],
    ),
    (
        e.ConfigTaken(0, other_interfaces=True),
        [Line("another interface is listened on from the next start on, not before")],
    ),
    (
        e.ConfigRefused(0, ("line 1: wrong", "line 2: worse")),
        [
            Line("line 1: wrong"),
            Line("line 2: worse"),
            Line("the file was not taken over: the doors stay as they were"),
        ],
    ),
    (e.Trouble(0, e.Side.LOG, "it is full"), [Line("it is full", audience=ALARM)]),
    (e.Trouble(0, e.Side.JOURNAL, "it is full"), [Line("it is full")]),
    (e.Trouble(0, e.Side.LOG, "it works", over=True), [Line("it works")]),
    (
        e.InternalFault(0, ("Traceback", "Error"), 1),
        [Line("internal error: Traceback"), Line("internal error: Error")],
    ),
    (
        e.SequenceChanged(0, replace(SSH, one_time_file="/etc/once"), 5),
        [Line("ssh: sequences left in /etc/once: 5")],
    ),
    (
        e.LastGoodTaken(0, ("f:1: a", "f:2: b"), "/var/lib/f", "2026-11-25 03:12"),
        [
            Line("f:1: a", audience=ALARM),
            Line("f:2: b", audience=ALARM),
            Line(
                "MISTAKES: the doors are those of the last good file, of 2026-11-25 03:12: /var/lib/f",
                audience=ALARM,
            ),
        ],
    ),
    (
        e.SequenceChanged(0, replace(EMPTY, problem="/etc/once: No such file")),
        [Line("warning: [ssh] is disabled: /etc/once: No such file")],
    ),
    (
        e.InternalFault(0, ("Error",), 5),
        [
            Line("internal error: Error"),
            Line("internal error: the same 5 times within the last minute"),
        ],
    ),
]

SILENT: list[e.Event] = [
    e.Started(0, ()),
    e.SequenceChanged(0, SSH, 6),
    e.CommandEnded(0, OPENING, 0),
    e.InterfaceChanged(0, "eth0", e.InterfaceState.COME, first=True),
    e.ConfigTaken(0, other_interfaces=False),
    *(
        e.AttemptEnded(0, ME, SSH, 1, cause)
        for cause in e.EndCause
        if cause is not e.EndCause.TOO_LATE
    ),
    *(
        e.Closed(0, 1, "ssh", ME, cause)
        for cause in e.ClosedCause
        if cause is not e.ClosedCause.BY_NUMBER
    ),
    e.LooksFirst(0, OPENING),
    e.AlreadyThere(0, OPENING),
    e.Standing(0, 1, "ssh", ME, None),
    e.FirstKnocksLeftOut(0, 9),
]


ERRORS = (
    *(
        e.LastGoodTaken,
        e.Refused,
        e.CommandEnded,
        e.CommandKilled,
        e.GivenUp,
        e.ClosingFailed,
        e.ConfigRefused,
    ),
    *(e.HookEnded, e.InternalFault),
)
WARNINGS = (
    *(e.SequenceChanged, e.CommandHung, e.CommandWaits, e.LockHeld, e.RuleHidden, e.Closed),
    *(e.Alerted, e.InterfaceChanged, e.PacketsDropped, e.FirewallPrepared, e.Trouble),
)


def name(value: object) -> str:
    return type(value).__name__


def without_priority(found: list[Line]) -> list[Line]:
    return [replace(line, priority=Priority.NOTICE) for line in found]


@pytest.mark.parametrize(("event", "expected"), KNOCKDS_WORDS, ids=name)
def test_what_knockd_says_too_is_said_in_its_words(event: e.Event, expected: list[Line]) -> None:
    assert without_priority(lines_of(event)) == expected


@pytest.mark.parametrize(("event", "expected"), OWN_WORDS, ids=name)
def test_all_else_has_words_of_its_own(event: e.Event, expected: list[Line]) -> None:
    assert without_priority(lines_of(event)) == expected


def priority_of(event: e.Event) -> Priority:
    if isinstance(event, ERRORS):
        return Priority.ERROR
    over = isinstance(event, e.Trouble) and event.over
    state = event.state if isinstance(event, e.InterfaceChanged) else e.InterfaceState.TROUBLE
    usual = over or state in (e.InterfaceState.COME, e.InterfaceState.GONE)
    return Priority.WARNING if isinstance(event, WARNINGS) and not usual else Priority.NOTICE


@pytest.mark.parametrize("event", [event for event, _ in KNOCKDS_WORDS + OWN_WORDS], ids=name)
def test_what_failed_is_an_error_and_what_is_odd_a_warning(event: e.Event) -> None:
    logged = [line for line in lines_of(event) if line.audience in (Audience.LOG, ALARM)]
    assert {line.priority for line in logged} <= {priority_of(event)}


@pytest.mark.parametrize("event", SILENT, ids=name)
def test_of_what_is_as_it_should_be_nothing_is_said(event: e.Event) -> None:
    assert lines_of(event) == []


def test_several_interfaces_stand_in_one_line() -> None:
    started = e.Started(0, ("eth0", "tun0"))
    assert lines_of(started) == [Line("starting up, listening on eth0,tun0")]


def test_no_event_is_forgotten() -> None:
    written = set(lines._WRITERS)
    assert written | LEFT_OUT == set(get_args(e.Event))
    assert not written & LEFT_OUT


def test_each_event_that_is_written_is_tried_here() -> None:
    tried = {type(event) for event, _ in KNOCKDS_WORDS + OWN_WORDS}
    assert tried == set(lines._WRITERS)


READ_BY_OTHERS = re.compile(
    r"starting up|Stage \d|OPEN SESAME|running command|command timeout|sequence timeout"
    r"|re-reading|re-opening|shutting down|no more sequences|could not create pid|^error: "
)


@pytest.mark.parametrize(("event", "written"), OWN_WORDS, ids=name)
def test_no_words_of_its_own_can_be_mistaken_for_knockds(
    event: e.Event, written: list[Line]
) -> None:
    assert not any(READ_BY_OTHERS.search(line.text) for line in written)
