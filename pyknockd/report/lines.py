"""Events as lines of the log: the one table of words.

What knockd 0.8 says too is said in its words, to the letter, for logwatch, fail2ban and everybody who
greps; no line of pyknockd's own can be mistaken for one of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from pyknockd.model import FEW_SEQUENCES, ChangeKind
from pyknockd.model.events import (
    Alerted,
    AttemptEnded,
    ByHand,
    Closed,
    ClosedCause,
    ClosingFailed,
    CommandEnded,
    CommandHung,
    CommandKilled,
    CommandOutput,
    CommandStarted,
    CommandWaits,
    ConfigRefused,
    ConfigTaken,
    EndCause,
    Event,
    FirewallPrepared,
    GivenUp,
    HandAction,
    HookEnded,
    InterfaceChanged,
    InterfaceState,
    InternalFault,
    LastGoodTaken,
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
    RuleMoved,
    SequenceChanged,
    Side,
    StageReached,
    Started,
    Stopping,
    Trouble,
)
from pyknockd.system.text import printable


class Audience(Enum):
    """Who is to read a line."""

    LOG = "log"
    ALARM = "alarm"  # the log, and whoever started the daemon
    VERBOSE = "verbose"  # only who asked for -v
    DEBUG = "debug"  # only who asked for -D


class Priority(Enum):
    """How much a line matters, in the numbers of syslog(3)."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``source`` and its name, if it has one, stand before ``text``.

    ``line_feed``: one of those that knockd ends in a line feed of its own.
    """

    text: str
    source: str = ""
    audience: Audience = Audience.LOG
    line_feed: bool = False
    priority: Priority = Priority.NOTICE


FENCED = Line(
    '(commands run fenced in: knockd(1), "Where commands are fenced in")', "", Audience.ALARM
)


def _warning(text: str, source: str = "", audience: Audience = Audience.LOG) -> Line:
    return Line(text, source, audience, priority=Priority.WARNING)


def _error(text: str, source: str = "", audience: Audience = Audience.ALARM) -> Line:
    return Line(text, source, audience, priority=Priority.ERROR)


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
        yield _error("error: parsed start command has been truncated! --> won't execute it")
    elif event.cause is RefusalCause.STOP_COMMAND_TOO_LONG:
        text = "error: parsed stop command has been truncated! --> won't execute start command"
        yield _error(text)
    elif event.cause is RefusalCause.OTHER_FAMILY:
        if not event.quiet:
            came, is_for = ("IPv6", "IPv4") if ":" in event.source else ("IPv4", "IPv6")
            text = f"{event.source} came over {came}, and its command is for {is_for}"
            yield _error(f"{event.door.name}: {text}: add {event.text}")
    elif event.cause is RefusalCause.TOO_MANY_WAIT:
        text = f"{event.door.name}: the door stays shut: too many commands wait already"
        yield _error(text, event.source, Audience.LOG)
    elif event.cause is RefusalCause.TOO_MANY_OPEN:
        text = f"the door stays shut: {event.door.policy.max_open} are in, which is max_open"
        yield _warning(f"{event.door.name}: {text}", event.source)
    else:
        yield _error(f"{event.door.name}: the door stays shut: {event.text}", "", Audience.LOG)


def _sequence_changed(event: SequenceChanged) -> Iterator[Line]:
    if event.door.problem:
        yield _warning(f"warning: [{event.door.name}] is disabled: {event.door.problem}")
    elif not event.door.steps:
        text = "no more sequences left in the one time sequences file for door"
        text = f"{text} {event.door.name} --> disabling the door"
        yield Line(text, line_feed=True, priority=Priority.WARNING)
    elif event.left <= FEW_SEQUENCES:
        yield _warning(
            f"{event.door.name}: sequences left in {event.door.one_time_file}: {event.left}"
        )


def _last_good(event: LastGoodTaken) -> Iterator[Line]:
    for line in event.lines:
        yield _error(line)
    yield _error(
        f"MISTAKES: the doors are those of the last good file, of {event.taken}: {event.path}"
    )


def _command_started(event: CommandStarted) -> Iterator[Line]:
    change = event.change
    if change.kind is ChangeKind.CLOSE and not change.by_hand:
        yield Line(f"{change.door}: command timeout", change.source)
    yield Line(f"{change.door}: running command: {change.command}", line_feed=True)


def _command_ended(event: CommandEnded) -> Iterator[Line]:
    door = event.change.door
    if event.problem:
        yield _error(f"{door}: cannot run {event.problem}")
    if event.status:
        yield _error(f"{door}: command returned non-zero status code ({event.status})")


def _command_output(event: CommandOutput) -> Iterator[Line]:
    for line in event.lines:
        yield Line(f"{event.door}: {printable(line)}", audience=Audience.ALARM)


def _command_hung(event: CommandHung) -> Iterator[Line]:
    text = f"still running after {event.seconds:g} seconds, no longer waited for"
    yield _warning(f"{event.change.door}: {text}: {event.change.command}")


def _command_waits(event: CommandWaits) -> Iterator[Line]:
    change, behind = event.change, event.behind
    if behind is None:
        text = "as many commands run already as may at once (limits: commands)"
    elif behind.door == change.door and behind.source == change.source:
        text = f"its command before has not ended: {behind.command}"
    else:
        text = f"a command of {behind.door} for {behind.source} has not ended: {behind.command}"
    yield _warning(f"{change.door}: waits for {event.seconds:g} s now: {text}", change.source)


def _command_killed(event: CommandKilled) -> Iterator[Line]:
    text = "killed, since too many commands do not end (limits: commands)"
    if event.seconds is not None:
        text = f"killed after {event.seconds:g} s (command_timeout)"
    yield _error(f"{event.change.door}: {text}: {event.change.command}")


def _given_up(event: GivenUp) -> Iterator[Line]:
    text = f"{event.change.door}: not opened: looking for its rule took too long"
    yield _error(text, event.change.source)


def _lock_held(event: LockHeld) -> Iterator[Line]:
    yield _warning(f"{event.change.door}: another program holds iptables' lock: waiting")


def _rule_gone(event: RuleGone) -> Iterator[Line]:
    change = event.change
    yield Line(f"{change.door}: closed already for {change.source}", audience=Audience.DEBUG)


def _rule_hidden(event: RuleHidden) -> Iterator[Line]:
    yield _warning(f"{event.change.door}: {event.text}")


def _rule_moved(event: RuleMoved) -> Iterator[Line]:
    text = f"{event.change.door}: its rule was there already, moved in front of {event.behind}"
    yield Line(text, event.change.source)


def _left_to_program(event: LeftToProgram) -> Iterator[Line]:
    text = f"{event.change.door}: not in process: {event.reason}"
    yield Line(text, audience=Audience.DEBUG)


def _closing_failed(event: ClosingFailed) -> Iterator[Line]:
    change = event.change
    seconds = max(1, round(event.again - event.time))
    text = f"{change.door}: still open, closing is tried again in {seconds} s: {change.command}"
    yield _error(text, change.source)


def _alerted(event: Alerted) -> Iterator[Line]:
    alert = event.alert
    if alert.log:
        times = f"{alert.count} times within {alert.within:g} s"
        yield _warning(f"{event.door}: alert: {alert.when.value}, {times}", event.source)


def _hook_ended(event: HookEnded) -> Iterator[Line]:
    why = event.problem or f"non-zero status code ({event.status})"
    yield _error(f"{event.name}: command failed: {why}: {event.command}")


def _by_hand(event: ByHand) -> Iterator[Line]:
    longer = f" by {event.seconds:g} s" if event.action is HandAction.EXTEND else ""
    yield Line(f"{event.door}: {event.action.value}{longer} by hand, by {event.who}", event.source)


def _closed(event: Closed) -> Iterator[Line]:
    if event.cause is ClosedCause.BY_NUMBER:
        text = (
            f"{event.door}: left open before the restart, and not closed by itself: the rule of that"
            f" number may be another by now; if it is the one, run: {event.command}"
        )
        yield _warning(text, event.source, Audience.ALARM)


def _interface(event: InterfaceChanged) -> Iterator[Line]:
    name = printable(event.name)
    if event.state is InterfaceState.COME:
        if not event.first:
            yield Line(f"listening on {name} now")
    elif event.state is InterfaceState.GONE:
        yield Line(f"no longer listening on {name}")
    elif event.state is InterfaceState.MISSING:
        there = ", ".join(event.there)
        text = f"there is no interface {name} (there are: {there}): waiting for it"
        yield _warning(text, audience=Audience.ALARM if event.first else Audience.LOG)
    else:
        yield _warning(event.text)


def _dropped(event: PacketsDropped) -> Iterator[Line]:
    yield _warning(f"packets came too fast: the kernel dropped {event.count}")


def _firewall(event: FirewallPrepared) -> Iterator[Line]:
    for way in event.ways:
        yield Line(f"firewall: {way}", audience=Audience.VERBOSE)
    for warning in event.warnings:
        yield _warning(f"warning: {warning}")


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
        yield _error(line, audience=Audience.LOG)
    yield _error("the file was not taken over: the doors stay as they were", "", Audience.LOG)


def _trouble(event: Trouble) -> Iterator[Line]:
    is_alarm = event.side is not Side.JOURNAL and not event.over
    audience = Audience.ALARM if is_alarm else Audience.LOG
    yield Line(event.text) if event.over else _warning(event.text, audience=audience)


def _fault(event: InternalFault) -> Iterator[Line]:
    for line in event.lines:
        yield _error(f"internal error: {line}", audience=Audience.LOG)
    if event.count > 1:
        text = f"internal error: the same {event.count} times within the last minute"
        yield _error(text, audience=Audience.LOG)


def _stopping(event: Stopping) -> Iterator[Line]:
    yield Line("shutting down")


# Each writer takes the events of its own type.
_WRITERS: dict[type, Callable[..., Iterator[Line]]] = {
    StageReached: _stage,
    AttemptEnded: _attempt_ended,
    Opened: _opened,
    Refused: _refused,
    SequenceChanged: _sequence_changed,
    LastGoodTaken: _last_good,
    CommandStarted: _command_started,
    CommandEnded: _command_ended,
    CommandOutput: _command_output,
    CommandWaits: _command_waits,
    CommandHung: _command_hung,
    CommandKilled: _command_killed,
    GivenUp: _given_up,
    LockHeld: _lock_held,
    RuleGone: _rule_gone,
    RuleHidden: _rule_hidden,
    RuleMoved: _rule_moved,
    LeftToProgram: _left_to_program,
    ClosingFailed: _closing_failed,
    Alerted: _alerted,
    ByHand: _by_hand,
    HookEnded: _hook_ended,
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
