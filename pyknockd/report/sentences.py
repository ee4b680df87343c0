"""Events as sentences: what happened to a knock and why, in plain words. The one table of them.

``lines.py`` has what the log says, which is knockd's; here is what whoever asks why gets told. An event
that has no sentence here is told as the log tells it.
"""

from __future__ import annotations

from collections.abc import Callable

from pyknockd.model import Door, Flags, Knock, Protocol, Step
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
    RefusalCause,
    Refused,
    SequenceChanged,
    StageReached,
    Standing,
    StandingCause,
)
from pyknockd.model.notation import step_text
from pyknockd.report.lines import lines_of
from pyknockd.report.subjects import door_of

_FLAG_BITS = 0x3F


def sentence_of(event: Event) -> str:
    """What to say of ``event``, without its time, source and door; the empty text if nothing."""
    writer = _WRITERS.get(type(event))
    if writer is not None:
        return str(writer(event))
    door = f"{door_of(event)}: "
    return "; ".join(line.text.removeprefix(door) for line in lines_of(event))


def _stage(event: StageReached) -> str:
    steps = event.door.steps
    return f"stage {event.stage} of {len(steps)}: {step_text(steps[event.stage - 1])}"


def _ended(event: AttemptEnded) -> str:
    return f"ended at stage {event.stage}: {_ENDS[event.cause](event)}"


def _wrong_port(event: AttemptEnded) -> str:
    if event.knock is None:
        return "a wrong knock came"
    came = Step(event.knock.port, event.knock.protocol)
    due = f"where {_due(event)} was due"
    if came not in event.door.steps[: event.stage]:
        return f"{step_text(came)} came {due}"
    again = f"{step_text(came)} came again {due}"
    if event.earlier_port and came.protocol is Protocol.TCP:
        return f"{again} (a new connection, not a retransmission: {_from(event, event.knock)})"
    return again


def _from(event: AttemptEnded, knock: Knock) -> str:
    if event.earlier_port == knock.source_port:
        return f"from {knock.source_port} as before, with another sequence number"
    return f"{event.earlier_port} → {knock.source_port}"


def _wrong_protocol(event: AttemptEnded) -> str:
    if event.knock is None:
        return "a wrong knock came"
    return _other_protocol(event.knock)


def _too_late(event: AttemptEnded) -> str:
    seconds = f"{event.door.timeout:g} s"
    return f"{_due(event)} had not come {seconds} after the first knock, which is seq_timeout"


def _strict(event: AttemptEnded) -> str:
    came = "another port" if event.knock is None else str(event.knock.port)
    return f"a connection to {came} came where {_due(event)} was due, and the door is strict"


_ENDS: dict[EndCause, Callable[[AttemptEnded], str]] = {
    EndCause.WRONG_PORT: _wrong_port,
    EndCause.WRONG_PROTOCOL: _wrong_protocol,
    EndCause.TOO_LATE: _too_late,
    EndCause.EVICTED: lambda _: "too many attempts were under way (limits: attempts)",
    EndCause.RELOAD: lambda _: "the configuration was read again",
    EndCause.ONE_TIME_USED: lambda _: "somebody else has used this one-time sequence",
    EndCause.OPENED: lambda _: "another attempt at this door was faster, and has opened it",
    EndCause.STRICT: _strict,
    EndCause.CAPTURE_ENDED: lambda event: f"{_due(event)} had not come when the capture ended",
}


def _not_heard(event: NotHeard) -> str:
    return _NOT_HEARD[event.cause](event)


def _flags(event: NotHeard) -> str:
    knock, door = event.knock, event.door
    set_ = Flags(knock.flags & _FLAG_BITS)
    names = ",".join(flag.name or "" for flag in Flags if flag in set_) or "no flag"
    return f"{knock.port} came with {names}; tcpflags wants {_wanted(door)}"


def _wanted(door: Door) -> str:
    words = [(flag in door.required, flag in door.forbidden, flag.name or "") for flag in Flags]
    wanted = [name.lower() for required, _, name in words if required]
    wanted += [f"!{name.lower()}" for _, forbidden, name in words if forbidden]
    return ",".join(wanted)


def _not_addressed_here(event: NotHeard) -> str:
    knock = event.knock
    if event.door.target is not None:
        return f"{knock.port} came to {knock.destination}; the door's target is {event.door.target}"
    host = knock.interface or "this host"
    return f"{knock.port} came to {knock.destination}, which is not an address of {host}"


def _missed(event: NotHeard) -> str:
    seconds = f"{event.time - event.began:.1f} s after the first knock"
    return f"{_came(event)} {seconds}, seq_timeout is {event.door.timeout:g}"


def _no_attempt(event: NotHeard) -> str:
    first = step_text(event.door.steps[0])
    return f"{_came(event)}, but no attempt waits for it: the sequence begins with {first}"


def _near_port(event: NotHeard) -> str:
    step = "another" if event.step is None else step_text(event.step)
    return f"{_came(event)}, which is not in the sequence; {step} is"


def _not_listened_on(event: NotHeard) -> str:
    return f"{_came(event)} in on {event.knock.interface}, which is not listened on"


_NOT_HEARD: dict[NotHeardCause, Callable[[NotHeard], str]] = {
    NotHeardCause.FLAGS: _flags,
    NotHeardCause.NOT_ADDRESSED_HERE: _not_addressed_here,
    NotHeardCause.REPEATED: lambda event: (
        f"{_came(event)} again, with the same ports and sequence number: a retransmission, no knock"
    ),
    NotHeardCause.TURNED_AWAY: lambda event: (
        f"{_came(event)}, and too many attempts were under way to begin another (limits: attempts)"
    ),
    NotHeardCause.TOO_LATE: _missed,
    NotHeardCause.NO_ATTEMPT: _no_attempt,
    NotHeardCause.WRONG_PROTOCOL: lambda event: _other_protocol(event.knock),
    NotHeardCause.NEAR_PORT: _near_port,
    NotHeardCause.DENIED: lambda event: (
        f"{_came(event)}, and allow or deny of this door keep {event.knock.source} out"
    ),
    NotHeardCause.COOLDOWN: lambda event: (
        f"{_came(event)} within {event.door.policy.cooldown:g} s after this source has opened the door"
    ),
    NotHeardCause.FORGIVEN: lambda event: (
        f"{_came(event)} again right after it was done, which the door forgives"
    ),
    NotHeardCause.NOT_LISTENED_ON: _not_listened_on,
}


def _opened(event: Opened) -> str:
    return "the sequence is complete: the door opens"


def _refused(event: Refused) -> str:
    return f"the door stays shut: {event.text or _REFUSALS[event.cause]}"


_REFUSALS = {
    RefusalCause.ONE_TIME_FILE: "the one-time sequence could not be marked as used",
    RefusalCause.START_COMMAND_TOO_LONG: "its start_command is too long with the address in it",
    RefusalCause.STOP_COMMAND_TOO_LONG: "its stop_command is too long with the address in it",
    RefusalCause.TOO_MANY_WAIT: "too many commands wait already",
    RefusalCause.OTHER_FAMILY: "its command is for the other address family",
    RefusalCause.TOO_MANY_OPEN: "as many are in as max_open allows",
}


def _sequence_changed(event: SequenceChanged) -> str:
    if event.door.steps:
        return "the next one-time sequence is in force"
    return "no one-time sequence is left: the door is disabled"


def _command_started(event: CommandStarted) -> str:
    return f"{'would have run' if event.rehearsed else 'runs'}: {event.change.command}"


def _command_ended(event: CommandEnded) -> str:
    if event.problem:
        return f"cannot run {event.problem}"
    return f"its command has ended with status {event.status}" if event.status else ""


def _standing(event: Standing) -> str:
    if event.until is None:
        end = "until a command closes it"
    else:
        end = f"for {max(0.0, event.until - event.time):g} s"
    return {
        StandingCause.OPENED: f"stands open {end}",
        StandingCause.RENEWED: f"stood open already, and does so {end} from now on",
        StandingCause.RECOVERED: f"was left open before the restart, and stays so {end}",
    }[event.cause]


def _already_there(event: AlreadyThere) -> str:
    return "what it was to open was open already, and not by knocking: it stays so"


def _closed(event: Closed) -> str:
    return f"over: {_CLOSINGS[event.cause]}"


_CLOSINGS = {
    ClosedCause.TIME: "its time is up, and it is closed",
    ClosedCause.BY_HAND: "it was closed by hand",
    ClosedCause.BY_DOOR: "another door's command has closed it",
    ClosedCause.SUPERSEDED: "a later opening keeps the same rule there",
    ClosedCause.CANCELLED: "it was cancelled before it began",
    ClosedCause.GONE: "what it had opened was there no more",
    ClosedCause.NOT_OURS: "what it was to open was open already, and stays so",
    ClosedCause.BY_NUMBER: "it is not closed by itself: its rule's number may be another's by now",
    ClosedCause.FAILED: "a command failed",
    ClosedCause.NOTHING_TO_CLOSE: "there is nothing to close later",
    ClosedCause.FORGOTTEN: "too many stand open without end: it stays open, and is forgotten",
}


def _left_out(event: FirstKnocksLeftOut) -> str:
    many = f"{event.count:,} first knock{'' if event.count == 1 else 's'} came in a flood"
    return f"{many}: each is looked at once its source has sent another (limits: first_knocks)"


def _came(event: NotHeard) -> str:
    return f"{step_text(Step(event.knock.port, event.knock.protocol))} came"


def _other_protocol(knock: Knock) -> str:
    step = "TCP" if knock.protocol is Protocol.UDP else "UDP"
    return f"{knock.port} came over {knock.protocol.name}, the step is {step}"


def _due(event: AttemptEnded) -> str:
    return step_text(event.door.steps[event.stage])


# Each writer takes the events of its own type.
_WRITERS: dict[type, Callable[..., str]] = {
    StageReached: _stage,
    AttemptEnded: _ended,
    NotHeard: _not_heard,
    Opened: _opened,
    Refused: _refused,
    SequenceChanged: _sequence_changed,
    CommandStarted: _command_started,
    CommandEnded: _command_ended,
    Standing: _standing,
    AlreadyThere: _already_there,
    Closed: _closed,
    FirstKnocksLeftOut: _left_out,
}
