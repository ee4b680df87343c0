"""What happens, as values: a closed union, each with its time in seconds of the loop's clock.

Whoever wants to know reads them: the log, systemd's status line. Nothing is a text before it is one
of these; texts that come from elsewhere, such as the kernel's words about an error, are fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyknockd.model.alerts import Alert
from pyknockd.model.changes import Change
from pyknockd.model.doors import Door, Step
from pyknockd.model.packets import Knock


class EndCause(Enum):
    """Why an attempt is over without having opened its door."""

    WRONG_PORT = "wrong-port"
    WRONG_PROTOCOL = "wrong-protocol"
    TOO_LATE = "too-late"
    EVICTED = "evicted"  # made room for others
    RELOAD = "reload"
    ONE_TIME_USED = "one-time-used"  # the sequence it was at is used up
    OPENED = "opened"  # another attempt at the same door was faster
    STRICT = "strict"  # a strict door's source knocked elsewhere
    CAPTURE_ENDED = "capture-ended"  # there is nothing more to be read


class NotHeardCause(Enum):
    """Why a packet to a port of some sequence, or near one, is no knock, or one without effect."""

    FLAGS = "flags"
    NOT_ADDRESSED_HERE = "not-addressed-here"
    REPEATED = "repeated"
    TURNED_AWAY = "turned-away"  # there was no room for another attempt
    TOO_LATE = "too-late"  # the attempt whose next step it is has run out of time
    NO_ATTEMPT = "no-attempt"  # it begins no sequence, and no attempt waits for it
    WRONG_PROTOCOL = "wrong-protocol"
    NEAR_PORT = "near-port"  # a step's port is a few numbers off
    DENIED = "denied"  # the door's policy does not allow its source
    COOLDOWN = "cooldown"  # its source has opened the door a moment ago
    FORGIVEN = "forgiven"  # the step just done came again, and the attempt goes on
    NOT_LISTENED_ON = "not-listened-on"  # it came in on another interface


class RefusalCause(Enum):
    """Why a door stays shut though its sequence was right."""

    ONE_TIME_FILE = "one-time-file"
    START_COMMAND_TOO_LONG = "start-command-too-long"
    STOP_COMMAND_TOO_LONG = "stop-command-too-long"
    TOO_MANY_WAIT = "too-many-wait"
    OTHER_FAMILY = "other-family"  # its command is for IPv4 and the knock came over IPv6, or so
    TOO_MANY_OPEN = "too-many-open"  # more than the door's policy allows


class StandingCause(Enum):
    """How a door has come to stand open, or to stand open for longer."""

    OPENED = "opened"
    RENEWED = "renewed"  # it stood open already, and we had opened it
    RECOVERED = "recovered"  # left open by a daemon before this one


class ClosedCause(Enum):
    """Why an opening is over."""

    TIME = "time"
    BY_HAND = "by-hand"
    BY_DOOR = "by-door"  # another door's command took its rule away
    SUPERSEDED = "superseded"  # another opening keeps the same rule there
    CANCELLED = "cancelled"  # before it had begun
    GONE = "gone"  # what it had opened was there no more
    NOT_OURS = "not-ours"  # what it was to open was open already, and not by us
    BY_NUMBER = "by-number"  # its command names a number, which is another rule's by now
    FAILED = "failed"
    NOTHING_TO_CLOSE = "nothing-to-close"
    FORGOTTEN = "forgotten"  # too many stand open without end; its rule stays


class HandAction(Enum):
    """What somebody does by hand."""

    OPEN = "opened"
    CLOSE = "closed"
    EXTEND = "extended"


class InterfaceState(Enum):
    """How an interface that is to be listened on fares."""

    COME = "come"
    GONE = "gone"
    MISSING = "missing"
    TROUBLE = "trouble"


class Side(Enum):
    """What may be in trouble without keeping a door shut."""

    JOURNAL = "journal"
    LOG = "log"
    PID_FILE = "pid file"
    STATE = "state"  # what earlier daemons left, and whether others guard the same doors
    CONTROL = "control"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class StageReached:
    """An attempt of ``source`` at ``door`` has done ``stage`` steps.

    ``quiet``: knockd would not have had the attempt, and its source has others that are as far.
    """

    time: float
    source: str
    door: Door
    stage: int
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt is over that had done ``stage`` steps; ``knock`` is the one that ended it, if any.

    ``quiet``: it never was the furthest of its source, and knockd would not have had it.
    ``earlier_port`` is what the knock's source port was when the attempt had the same step, if it
    had, else 0. Of one that took too long ``time`` is its first knock's and the door's timeout.
    """

    time: float
    source: str
    door: Door
    stage: int
    cause: EndCause
    knock: Knock | None = None
    quiet: bool = False
    earlier_port: int = 0


@dataclass(frozen=True, slots=True)
class NotHeard:
    """A packet to a port of ``door``'s sequence, or near one, did nothing.

    ``step`` is the one that it comes near to, ``began`` when the attempt that it is too late for did.
    """

    time: float
    knock: Knock
    door: Door
    cause: NotHeardCause
    step: Step | None = None
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """``source`` has shown that it may open ``door``."""

    time: float
    source: str
    door: Door


@dataclass(frozen=True, slots=True)
class Refused:
    """``door`` stays shut for ``source`` all the same; ``text`` says more where there is more.

    ``quiet``: the same has been told of this door.
    """

    time: float
    source: str
    door: Door
    cause: RefusalCause
    text: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class SequenceChanged:
    """``door`` has its next one-time sequence, of ``left`` that are left, or none: it is disabled."""

    time: float
    door: Door
    left: int = 0


@dataclass(frozen=True, slots=True)
class CommandStarted:
    """A change has begun; or, ``rehearsed``, it would have."""

    time: float
    change: Change
    rehearsed: bool = False


@dataclass(frozen=True, slots=True)
class CommandWaits:
    """A change has waited for ``seconds``: for the end of ``behind``, or, if None, for a place."""

    time: float
    change: Change
    seconds: float
    behind: Change | None


@dataclass(frozen=True, slots=True)
class LooksFirst:
    """Before it makes its rule a change has a program look whether that is there: ``found`` or not.

    ``found`` is None while it looks.
    """

    time: float
    change: Change
    found: bool | None = None


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """A change is over, with the status that a shell would give, 0 to 255.

    ``already``: what an opening was to make was there, and nothing was done. ``problem`` says why
    it could not be started, if it could not.
    """

    time: float
    change: Change
    status: int
    already: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """A program of ``door`` has printed ``lines``, and so many more that are left out."""

    time: float
    door: str
    lines: tuple[str, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class CommandHung:
    """A change has been under way for so many ``seconds`` that nothing waits for it any more.

    ``looking``: nothing has been done yet but to look whether its rule is there.
    """

    time: float
    change: Change
    seconds: float
    looking: bool = False


@dataclass(frozen=True, slots=True)
class CommandKilled:
    """The program of a change is killed.

    It is the oldest of too many that hang; or it has run for ``seconds``, which is its timeout.
    """

    time: float
    change: Change
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Looking for the rule of a change took so long that it is not made any more."""

    time: float
    change: Change


@dataclass(frozen=True, slots=True)
class LockHeld:
    """A change waits, since another program holds iptables' lock."""

    time: float
    change: Change


@dataclass(frozen=True, slots=True)
class RuleGone:
    """What a change with ``look_first`` was to undo is there no more: nothing was done."""

    time: float
    change: Change


@dataclass(frozen=True, slots=True)
class RuleHidden:
    """The rule of a change opens nothing; ``text`` says why."""

    time: float
    change: Change
    text: str


@dataclass(frozen=True, slots=True)
class RuleMoved:
    """The rule of a change was there already, and has been moved in front of the rule ``behind``."""

    time: float
    change: Change
    behind: str


@dataclass(frozen=True, slots=True)
class LeftToProgram:
    """A change could not be made in process, for ``reason``: the program named makes it."""

    time: float
    change: Change
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A door stands open for ``source`` until the time ``until``, or until somebody closes it."""

    time: float
    opening: int
    door: str
    source: str
    until: float | None
    cause: StandingCause = StandingCause.OPENED


@dataclass(frozen=True, slots=True)
class Alerted:
    """What ``alert`` counts has happened too often; ``source`` and ``door`` are the last one's."""

    time: float
    alert: Alert
    source: str
    door: str


@dataclass(frozen=True, slots=True)
class HookEnded:
    """A command that is no door's, but ``name``'s, has failed; ``problem`` says why it was not run."""

    time: float
    name: str
    command: str
    status: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ByHand:
    """``who`` has ``door`` opened or closed for ``source``, or extended by so many ``seconds``."""

    time: float
    action: HandAction
    door: str
    source: str
    who: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """What ``change`` was to make is there, and not by us: it stays, and nothing is planned."""

    time: float
    change: Change


@dataclass(frozen=True, slots=True)
class ClosingFailed:
    """A closing command failed, perhaps in passing: it is tried again at the time ``again``."""

    time: float
    change: Change
    again: float


@dataclass(frozen=True, slots=True)
class Closed:
    """An opening is over. ``command`` is what would have closed it, where the admin should look."""

    time: float
    opening: int
    door: str
    source: str
    cause: ClosedCause
    command: str = ""


@dataclass(frozen=True, slots=True)
class InterfaceChanged:
    """An interface that is to be listened on has come, gone, is missing, or cannot be listened on.

    ``there`` are the interfaces there are, ``text`` is the trouble; ``first``: seen at the start.
    """

    time: float
    name: str
    state: InterfaceState
    there: tuple[str, ...] = ()
    text: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True)
class PacketsDropped:
    """The kernel had no room for ``count`` packets."""

    time: float
    count: int


@dataclass(frozen=True, slots=True)
class FirstKnocksLeftOut:
    """``count`` first knocks were put aside, unread, until their sources send another."""

    time: float
    count: int


@dataclass(frozen=True, slots=True)
class FirewallPrepared:
    """How the commands of the doors will be run, a line each, and what is odd about the firewall."""

    time: float
    ways: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon listens on ``interfaces``."""

    time: float
    interfaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LastGoodTaken:
    """The files have mistakes, ``lines``: the doors are those of a copy at ``path``, of ``taken``."""

    time: float
    lines: tuple[str, ...]
    path: str
    taken: str


@dataclass(frozen=True, slots=True)
class Reloading:
    """The files are about to be read again."""

    time: float
    path: str


@dataclass(frozen=True, slots=True)
class LogReopened:
    """The log file is opened anew."""

    time: float
    path: str


@dataclass(frozen=True, slots=True)
class ConfigTaken:
    """What the files say holds from now on, but for ``interfaces`` if those are others than before."""

    time: float
    other_interfaces: bool


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """The files have mistakes, ``lines`` with their places: the doors stay as they were."""

    time: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that no door needs fails, or works again: then ``over``."""

    time: float
    side: Side
    text: str
    over: bool = False


@dataclass(frozen=True, slots=True)
class InternalFault:
    """A turn of the loop has failed ``count`` times in the same way since that was last told."""

    time: float
    lines: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """The daemon ends."""

    time: float


AttemptEvent = StageReached | AttemptEnded | NotHeard | Opened | Refused | SequenceChanged
ChangeEvent = (
    CommandWaits
    | CommandStarted
    | LooksFirst
    | CommandEnded
    | CommandOutput
    | CommandHung
    | CommandKilled
    | GivenUp
    | LockHeld
    | RuleGone
    | RuleHidden
    | RuleMoved
    | LeftToProgram
    | AlreadyThere
    | ClosingFailed
)
CaptureEvent = InterfaceChanged | PacketsDropped | FirstKnocksLeftOut
DaemonEvent = (
    FirewallPrepared
    | Started
    | LastGoodTaken
    | Reloading
    | LogReopened
    | ConfigTaken
    | ConfigRefused
    | Trouble
    | InternalFault
    | Stopping
)
OpeningEvent = Alerted | HookEnded | ByHand | Standing | Closed
Event = AttemptEvent | ChangeEvent | OpeningEvent | CaptureEvent | DaemonEvent
