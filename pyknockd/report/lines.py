"""Events as lines of the log: the one table of words.

What knockd 0.8 says too is said in its words, to the letter, for logwatch, fail2ban and everybody who
greps; no line of pyknockd's own can be mistaken for one of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from pyknockd.model import ChangeKind
from pyknockd.model.events import (
    AttemptEnded,
    ByHand,
    Closed,
    ClosedCause,
    ClosingFailed,
    CommandEnded,
    CommandHung,
    CommandKilled,
    CommandStarted,
    CommandWaits,
    ConfigRefused,
    ConfigTaken,
    EndCause,
    Event,
    FirewallPrepared,
    GivenUp,
    HandAction,
    InterfaceChanged,
    InterfaceState,
    InternalFault,
    LeftToProgram,
    LockHeld,
    LogReopened,
    Opened,
    PacketsDropped,
    RefusalCause,
    Refused,
    Reloading,
    RuleGone,
    RuleHidden,
    SequenceChanged,
    Side,
    StageReached,
    Started,
    Stopping,
    Trouble,
)


class Audience(Enum):
    """Who is to read a line."""

    LOG = "log"
    ALARM = "alarm"  # the log, and whoever started the daemon
    VERBOSE = "verbose"  # only who asked for -v
    DEBUG = "debug"  # only who asked for -D


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``source`` and its name, if it has one, stand before ``text``.

    ``line_feed``: one of those that knockd ends in a line feed of its own.
    """

    text: str
    source: str = ""
    audience: Audience = Audience.LOG
    line_feed: bool = False


def lines_of(event: Event) -> list[Line]:
    """What the log says of ``event``; of many nothing."""
    writer = _WRITERS.get(type(event))
    return [] if writer is None else list(writer(event))


def _stage(event: StageReached) -> Iterator[Line]:
    if not event.quiet:
        yield Line(f"{event.door.name}: Stage {event.stage}", event.source)


def _attempt_ended(event: AttemptEnded) -> Iterator[Line]:
    if event.cause is EndCause.TOO_LATE and not event.quiet:
        text = f"{event.door.name}: sequence timeout (stage {event.stage})"
        yield Line(text, event.source, line_feed=True)


def _opened(event: Opened) -> Iterator[Line]:
    yield Line(f"{event.door.name}: OPEN SESAME", event.source)


def _refused(event: Refused) -> Iterator[Line]:
    if event.cause is RefusalCause.START_COMMAND_TOO_LONG:
        text = "error: parsed start command has been truncated! --> won't execute it"
        yield Line(text, audience=Audience.ALARM)
    elif event.cause is RefusalCause.STOP_COMMAND_TOO_LONG:
        text = "error: parsed stop command has been truncated! --> won't execute start command"
        yield Line(text, audience=Audience.ALARM)
    elif event.cause is RefusalCause.TOO_MANY_WAIT:
        text = f"{event.door.name}: the door stays shut: too many commands wait already"
        yield Line(text, event.source)
    else:
        yield Line(f"{event.door.name}: the door stays shut: {event.text}")


def _sequence_changed(event: SequenceChanged) -> Iterator[Line]:
    if not event.door.steps:
        text = "no more sequences left in the one time sequences file for door"
        yield Line(f"{text} {event.door.name} --> disabling the door", line_feed=True)


def _command_started(event: CommandStarted) -> Iterator[Line]:
    change = event.change
    if change.kind is ChangeKind.CLOSE and not change.by_hand:
        yield Line(f"{change.door}: command timeout", change.source)
    yield Line(f"{change.door}: running command: {change.command}", line_feed=True)


def _command_ended(event: CommandEnded) -> Iterator[Line]:
    door = event.change.door
    if event.problem:
        yield Line(f"{door}: cannot run {event.problem}", audience=Audience.ALARM)
    if event.status:
        text = f"{door}: command returned non-zero status code ({event.status})"
        yield Line(text, audience=Audience.ALARM)


def _command_hung(event: CommandHung) -> Iterator[Line]:
    text = f"still running after {event.seconds:g} seconds, no longer waited for"
    yield Line(f"{event.change.door}: {text}: {event.change.command}")


def _command_waits(event: CommandWaits) -> Iterator[Line]:
    change, behind = event.change, event.behind
    if behind is None:
        text = "as many commands run already as may at once (limits: commands)"
    elif behind.door == change.door and behind.source == change.source:
        text = f"its command before has not ended: {behind.command}"
    else:
        text = f"a command of {behind.door} for {behind.source} has not ended: {behind.command}"
    yield Line(f"{change.door}: waits for {event.seconds:g} s now: {text}", change.source)


def _command_killed(event: CommandKilled) -> Iterator[Line]:
    text = "killed, since too many commands do not end (limits: commands)"
    yield Line(f"{event.change.door}: {text}: {event.change.command}", audience=Audience.ALARM)


def _given_up(event: GivenUp) -> Iterator[Line]:
    text = f"{event.change.door}: not opened: looking for its rule took too long"
    yield Line(text, event.change.source, Audience.ALARM)


def _lock_held(event: LockHeld) -> Iterator[Line]:
    yield Line(f"{event.change.door}: another program holds iptables' lock: waiting")


def _rule_gone(event: RuleGone) -> Iterator[Line]:
    change = event.change
    yield Line(f"{change.door}: closed already for {change.source}", audience=Audience.DEBUG)


def _rule_hidden(event: RuleHidden) -> Iterator[Line]:
    yield Line(f"{event.change.door}: {event.text}")


def _left_to_program(event: LeftToProgram) -> Iterator[Line]:
    text = f"{event.change.door}: not in process: {event.reason}"
    yield Line(text, audience=Audience.DEBUG)


def _closing_failed(event: ClosingFailed) -> Iterator[Line]:
    change = event.change
    seconds = max(1, round(event.again - event.time))
    text = f"{change.door}: still open, closing is tried again in {seconds} s: {change.command}"
    yield Line(text, change.source, Audience.ALARM)


def _by_hand(event: ByHand) -> Iterator[Line]:
    done = _BY_HAND[event.action]
    longer = f" by {event.seconds:g} s" if event.action is HandAction.EXTEND else ""
    yield Line(f"{event.door}: {done}{longer} by hand, by {event.who}", event.source)


def _closed(event: Closed) -> Iterator[Line]:
    if event.cause is ClosedCause.BY_NUMBER:
        text = (
            f"{event.door}: left open before the restart, and not closed by itself: the rule of that"
            f" number may be another by now; if it is the one, run: {event.command}"
        )
        yield Line(text, event.source, Audience.ALARM)


def _interface(event: InterfaceChanged) -> Iterator[Line]:
    if event.state is InterfaceState.COME:
        if not event.first:
            yield Line(f"listening on {event.name} now")
    elif event.state is InterfaceState.GONE:
        yield Line(f"no longer listening on {event.name}")
    elif event.state is InterfaceState.MISSING:
        there = ", ".join(event.there)
        text = f"there is no interface {event.name} (there are: {there}): waiting for it"
        yield Line(text, audience=Audience.ALARM if event.first else Audience.LOG)
    else:
        yield Line(event.text)


def _dropped(event: PacketsDropped) -> Iterator[Line]:
    yield Line(f"packets came too fast: the kernel dropped {event.count}")


def _firewall(event: FirewallPrepared) -> Iterator[Line]:
    for way in event.ways:
        yield Line(f"firewall: {way}", audience=Audience.VERBOSE)
    for warning in event.warnings:
        yield Line(f"warning: {warning}")


def _started(event: Started) -> Iterator[Line]:
    if event.interfaces:
        yield Line(f"starting up, listening on {','.join(event.interfaces)}")


def _reloading(event: Reloading) -> Iterator[Line]:
    yield Line(f"re-reading config file: {event.path}")


def _log_reopened(event: LogReopened) -> Iterator[Line]:
    yield Line(f"re-opening log file: {event.path}")


def _taken(event: ConfigTaken) -> Iterator[Line]:
    if event.other_interfaces:
        yield Line("another interface is listened on from the next start on, not before")


def _not_taken(event: ConfigRefused) -> Iterator[Line]:
    for line in event.lines:
        yield Line(line)
    yield Line("the file was not taken over: the doors stay as they were")


def _trouble(event: Trouble) -> Iterator[Line]:
    is_alarm = event.side is Side.LOG and not event.over
    yield Line(event.text, audience=Audience.ALARM if is_alarm else Audience.LOG)


def _fault(event: InternalFault) -> Iterator[Line]:
    for line in event.lines:
        yield Line(f"internal error: {line}")
    if event.count > 1:
        yield Line(f"internal error: the same {event.count} times within the last minute")


def _stopping(event: Stopping) -> Iterator[Line]:
    yield Line("shutting down")


_BY_HAND = {
    HandAction.OPEN: "opened",
    HandAction.CLOSE: "closed",
    HandAction.EXTEND: "extended",
}

# Each writer takes the events of its own type.
_WRITERS: dict[type, Callable[..., Iterator[Line]]] = {
    StageReached: _stage,
    AttemptEnded: _attempt_ended,
    Opened: _opened,
    Refused: _refused,
    SequenceChanged: _sequence_changed,
    CommandStarted: _command_started,
    CommandEnded: _command_ended,
    CommandWaits: _command_waits,
    CommandHung: _command_hung,
    CommandKilled: _command_killed,
    GivenUp: _given_up,
    LockHeld: _lock_held,
    RuleGone: _rule_gone,
    RuleHidden: _rule_hidden,
    LeftToProgram: _left_to_program,
    ClosingFailed: _closing_failed,
    ByHand: _by_hand,
    Closed: _closed,
    InterfaceChanged: _interface,
    PacketsDropped: _dropped,
    FirewallPrepared: _firewall,
    Started: _started,
    Reloading: _reloading,
    LogReopened: _log_reopened,
    ConfigTaken: _taken,
    ConfigRefused: _not_taken,
    Trouble: _trouble,
    InternalFault: _fault,
    Stopping: _stopping,
}
