"""Events as JSON, one a line: the one place where they become that. Documented in knockd(1)."""

from __future__ import annotations

import json
from enum import Enum

from pyknockd.model import ChangeKind, Knock
from pyknockd.model.events import (
    Alerted,
    AlreadyThere,
    AttemptEnded,
    ByHand,
    Closed,
    ClosingFailed,
    CommandEnded,
    CommandHung,
    CommandKilled,
    CommandOutput,
    CommandStarted,
    CommandWaits,
    ConfigRefused,
    ConfigTaken,
    Event,
    FirewallPrepared,
    FirstKnocksLeftOut,
    GivenUp,
    HookEnded,
    InterfaceChanged,
    InternalFault,
    LastGoodTaken,
    LeftToProgram,
    LockHeld,
    LogReopened,
    LooksFirst,
    NotHeard,
    Opened,
    PacketsDropped,
    Refused,
    Reloading,
    RuleGone,
    RuleHidden,
    RuleMoved,
    SequenceChanged,
    StageReached,
    Standing,
    StandingCause,
    Started,
    Stopping,
    Trouble,
)
from pyknockd.report.remedies import remedy_of
from pyknockd.report.sentences import sentence_of
from pyknockd.report.subjects import door_of, source_of

WORDS: dict[type, str] = {
    StageReached: "stage",
    AttemptEnded: "ended",
    NotHeard: "not-heard",
    Opened: "opened",
    Refused: "refused",
    SequenceChanged: "sequence",
    CommandStarted: "command",
    CommandWaits: "command-waits",
    CommandEnded: "command-ended",
    CommandHung: "command-hung",
    CommandOutput: "command-output",
    CommandKilled: "command-killed",
    LooksFirst: "looks-first",
    GivenUp: "given-up",
    LockHeld: "lock-held",
    RuleGone: "rule-gone",
    RuleHidden: "rule-hidden",
    RuleMoved: "rule-moved",
    LeftToProgram: "left-to-program",
    Alerted: "alert",
    ByHand: "by-hand",
    HookEnded: "hook-ended",
    AlreadyThere: "already-there",
    ClosingFailed: "closing-failed",
    Standing: "stands",
    Closed: "closed",
    InterfaceChanged: "interface",
    PacketsDropped: "packets-dropped",
    FirstKnocksLeftOut: "first-knocks-left-out",
    FirewallPrepared: "firewall",
    Started: "started",
    Reloading: "reloading",
    LogReopened: "log-reopened",
    ConfigTaken: "config-taken",
    ConfigRefused: "config-refused",
    LastGoodTaken: "last-good-taken",
    Trouble: "trouble",
    InternalFault: "internal-fault",
    Stopping: "stopping",
}
"""What each kind of event is called. A ``Standing`` that is ``RENEWED`` is called "renewed"."""

_DIGITS = 6  # behind the point of a time: packets have no more


def json_line(event: Event, epoch: float = 0.0) -> str:
    """One line, without its end: an object with what there is to say of ``event``."""
    return json.dumps(json_value(event, epoch))


def json_value(event: Event, epoch: float = 0.0) -> dict[str, object]:
    """What there is to say of ``event``, by names that JSON knows the values of.

    ``epoch`` is what has to be added to the event's time for it to count from 1970.
    """
    said: dict[str, object] = {"time": round(event.time + epoch, _DIGITS)}
    for key, value in (("source", source_of(event)), ("door", door_of(event))):
        if value:
            said[key] = value
    said["event"] = WORDS[type(event)]
    if isinstance(event, Standing) and event.cause is StandingCause.RENEWED:
        said["event"] = "renewed"
    said.update(_what(event, epoch))
    remedy = remedy_of(event)
    if remedy:
        said["remedy"] = remedy
    said["text"] = sentence_of(event)
    return said


def _what(event: Event, epoch: float) -> dict[str, object]:
    said: dict[str, object] = {}
    if isinstance(event, (StageReached, AttemptEnded)):
        said["stage"] = event.stage
        if event.quiet:
            said["quiet"] = True
    cause = getattr(event, "cause", getattr(event, "state", None))
    if isinstance(cause, Enum):
        said["cause"] = cause.value
    knock = getattr(event, "knock", None)
    if isinstance(knock, Knock):
        said["port"], said["protocol"] = knock.port, knock.protocol.name.lower()
        said["destination"] = knock.destination
    if isinstance(event, (CommandStarted, CommandEnded)):
        said["command"] = event.change.command
        said["closes"] = event.change.kind is ChangeKind.CLOSE
    if isinstance(event, CommandEnded):
        said["status"] = event.status
    if isinstance(event, Standing):
        said["until"] = None if event.until is None else round(event.until + epoch, _DIGITS)
    if isinstance(event, (PacketsDropped, FirstKnocksLeftOut)):
        said["count"] = event.count
    return said
