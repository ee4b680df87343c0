"""An opening, as a value: what it is to do, and where it is in its life. See lifetime.py."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import Enum

from pyknockd.model import Change
from pyknockd.model.events import ClosedCause, CommandEnded, Standing, StandingCause

_NO_LOCK = 4  # what iptables answers when it could not have its lock or the kernel's memory
_NOT_RUN = 126  # from here on a shell says that a command was not run, or ended by a signal
_KILLED = 128  # from here on a status says that a signal ended the command


class State(Enum):
    """Where an opening is in its life; the values are the journal's."""

    WAITING = "waiting"
    OPENING = "opening"
    LOOKING = "looking"
    OPENING_HUNG = "opening-hung"
    GIVEN_UP = "given-up"
    OPEN = "open"
    CLOSE_WAITING = "close-waiting"
    CLOSING = "closing"
    CLOSING_HUNG = "closing-hung"
    RETRYING = "retrying"
    LINGERING = "lingering"
    CLOSED = "closed"


_HOLDING = frozenset(
    (State.OPENING_HUNG, State.OPEN, State.CLOSE_WAITING, State.CLOSING_HUNG, State.RETRYING)
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one opening is to do.

    ``closing`` is None for a door that does not close by itself; then ``open_for`` means nothing.
    ``makes`` is the rule that opening makes, ``takes`` the one that opening takes away, and ``closes``
    the one that closing takes away, each None where that is not known.
    """

    opening: Change
    closing: Change | None
    open_for: float
    makes: Hashable = None
    takes: Hashable = None
    closes: Hashable = None

    def closed_by_hand(self, closing: Change) -> Plan:
        """The same, but closed now by ``closing``: its own, or what takes away the rule it makes."""
        closes = self.makes if self.closing is None else self.closes
        return replace(self, closing=replace(closing, by_hand=True), closes=closes)

    def made_nothing(self, status: int) -> bool:
        """Whether it is certain that the rule was not made by its command, which ended so."""
        return self.makes is not None and 0 < status < _KILLED

    def closes_for(self, other: Plan) -> bool:
        """Whether this closing would close what ``other`` has opened; so if there is none."""
        if self.closing is None or self.closes is not None:
            return self.closing is None or self.closes == other.makes
        return other.closing is not None and self.closing.command == other.closing.command


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening as it is now. ``until`` is when it is to be closed, None for never or not yet.

    ``status`` is the last command's; ``cause`` is why it is over, once it is. ``opening_runs``: its
    opening command hung and has not ended yet. ``undo``: that has ended while the closing one ran,
    which therefore is to run again. ``delay`` is how long the last retry waited, in seconds.
    """

    plan: Plan
    state: State = State.WAITING
    until: float | None = None
    status: int | None = None
    cause: ClosedCause | None = None
    opening_runs: bool = False
    undo: bool = False
    delay: float = 0.0

    @property
    def number(self) -> int:
        return self.plan.opening.opening

    @property
    def stands(self) -> bool:
        """Whether it is open, and will be until its time comes."""
        return self.state in (State.OPEN, State.OPENING_HUNG)

    def standing(self, now: float, cause: StandingCause) -> Standing:
        """The event that says so."""
        change = self.plan.opening
        return Standing(now, self.number, change.door, change.source, self.until, cause)

    def ends_by(self, time: float | None) -> bool:
        """Whether it is to be over at ``time``, or earlier; None is later than all."""
        return time is None or (self.until is not None and self.until <= time)

    @property
    def holds(self) -> bool:
        """Whether the rule that it makes may be there, and belongs to it."""
        return self.state in _HOLDING

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """What its changes share with others that must wait for them."""
        change = self.plan.opening
        rules = (self.plan.makes, self.plan.takes, self.plan.closes)
        return ((change.door, change.source), *(rule for rule in rules if rule is not None))


def failed_in_passing(event: CommandEnded) -> bool:
    """Whether a command failed for what may be over the next time."""
    return bool(event.problem) or event.status == _NO_LOCK or event.status >= _NOT_RUN
