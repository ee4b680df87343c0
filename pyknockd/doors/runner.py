"""Carries a change out: in the firewall, in process, or as a program. Knows nothing of openings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from pyknockd.firewall import Firewall, Outcome, is_iptables
from pyknockd.model import Change, ChangeKind, Limits
from pyknockd.model.events import (
    ChangeEvent,
    CommandEnded,
    CommandHung,
    CommandKilled,
    CommandOutput,
    CommandStarted,
    GivenUp,
    LeftToProgram,
    LockHeld,
    LooksFirst,
    RuleGone,
    RuleHidden,
)
from pyknockd.system.outputs import Outputs, Printed
from pyknockd.system.process import QUIET, CommandError, Programs

LOCK_RETRY_SECONDS = 0.005
LOCK_TOLD_SECONDS = 1.0  # how long another program may hold iptables' lock without a word
_SLOW_RETRY_SECONDS = 0.1  # once that has been told
SHELL = "/bin/sh"
_NO_SUCH_RULE = 1  # what `iptables -C` answers


class Phase(Enum):
    """How far a change is that is under way."""

    LOOKING = "looking"  # a program looks whether its rule is there
    LOCKED_OUT = "locked out"  # another program holds iptables' lock
    RUNNING = "running"


@dataclass(slots=True)
class _UnderWay:
    """A change under way, and since when it has been in its phase, in seconds.

    ``hidden`` is why its rule will open nothing, if it is run; ``hung``: nobody waits for it;
    ``killed``: nobody lets it live either.
    """

    change: Change
    phase: Phase
    since: float
    hidden: str = ""
    told: bool = False
    hung: bool = False
    killed: bool = False


class Runner:
    """The changes under way. What becomes of each comes out as events.

    The last is CommandEnded, RuleGone or GivenUp.
    """

    def __init__(self, firewall: Firewall, limits: Limits) -> None:
        self.limits = limits
        self._firewall = firewall
        self._programs = Programs()
        self._outputs = Outputs()
        self._under_way: dict[Change, _UnderWay] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def fileno(self) -> int:
        """Readable when a program has printed something: then ``work`` has something to tell."""
        return self._outputs.fileno()

    def begin(self, change: Change, now: float) -> Iterator[ChangeEvent]:
        """Carry ``change`` out, or begin to. Each event comes before what it speaks of is done."""
        under_way = _UnderWay(change, Phase.RUNNING, now)
        self._under_way[change] = under_way
        if not change.look_first or not _is_iptables(change):
            yield from self._run(under_way, now)
            return
        words = change.words or ()
        there = self._firewall.is_there(words)
        check = _checking(words) if there is None else ()
        if check:
            yield from self._start(under_way, check, now, Phase.LOOKING)
        elif there is False:
            yield from self._gone(change, now)
        else:
            yield from self._run(under_way, now)

    def work(self, now: float) -> Iterator[ChangeEvent]:
        """What has come to pass since the last call."""
        over = self._programs.ended()  # first: what they have printed is all there by then
        yield from _printed(self._outputs.read(now), now)
        for ended in over:
            if isinstance(ended.key, Change):
                yield from _printed(self._outputs.rest(ended.key.door), now)
                yield from self._program_ended(self._under_way[ended.key], ended.status, now)
        for under_way in list(self._under_way.values()):
            if under_way.phase is Phase.LOCKED_OUT:
                yield from self._try_lock(under_way, now)
            elif not under_way.hung and now - under_way.since >= self.limits.hung_seconds:
                under_way.hung = True
                looking = under_way.phase is Phase.LOOKING
                yield CommandHung(now, under_way.change, self.limits.hung_seconds, looking)
        yield from self._kill_late(now)
        yield from self._kill_oldest(now)

    def next_deadline(self, now: float) -> float | None:
        """When ``work`` is to be called at the latest, or None. An ended program calls for it too."""
        resumes = self._outputs.next_deadline()
        deadlines = [] if resumes is None else [resumes]
        for under_way in self._under_way.values():
            if under_way.phase is Phase.LOCKED_OUT:
                retry = _SLOW_RETRY_SECONDS if under_way.told else LOCK_RETRY_SECONDS
                deadlines.append(now + retry)
            elif not under_way.hung:
                deadlines.append(under_way.since + self.limits.hung_seconds)
            timeout = under_way.change.timeout
            if timeout is not None and not under_way.killed:
                deadlines.append(under_way.since + timeout)
        return min(deadlines, default=None)

    def _kill_late(self, now: float) -> Iterator[ChangeEvent]:
        for one in self._under_way.values():
            timeout = one.change.timeout
            if timeout is not None and not one.killed and now - one.since >= timeout:
                yield from self._kill(one, now, timeout)

    def _kill(self, one: _UnderWay, now: float, seconds: float | None) -> Iterator[ChangeEvent]:
        one.killed = True
        yield CommandKilled(now, one.change, seconds)
        self._programs.kill(one.change)

    def _kill_oldest(self, now: float) -> Iterator[ChangeEvent]:
        """As many may be hung as may be under way otherwise: the oldest of more are killed."""
        hung = [one for one in self._under_way.values() if one.hung and not one.killed]
        for one in hung[: max(0, len(hung) - self.limits.commands)]:
            yield from self._kill(one, now, None)

    def _run(self, under_way: _UnderWay, now: float) -> Iterator[ChangeEvent]:
        change = under_way.change
        yield CommandStarted(now, change)
        if change.words == ():
            yield from self._ended(under_way, 0, now)
        elif _is_iptables(change):
            yield from self._change_firewall(under_way, now)
        else:
            yield from self._start(under_way, [SHELL, "-c", change.command], now)

    def _change_firewall(self, under_way: _UnderWay, now: float) -> Iterator[ChangeEvent]:
        change = under_way.change
        waited = now - under_way.since if under_way.phase is Phase.LOCKED_OUT else 0.0
        applied = self._firewall.apply(change.words or ())
        if applied.reason:
            yield LeftToProgram(now, change, applied.reason)
        if applied.warning and not applied.check:
            yield RuleHidden(now, change, applied.warning)
        if applied.outcome is Outcome.DONE:
            yield from self._ended(under_way, 0, now, already=applied.already)
        elif applied.outcome is Outcome.BUSY and waited < self.limits.hung_seconds:
            # Once another has held the lock for too long iptables itself is to say so.
            if under_way.phase is not Phase.LOCKED_OUT:
                under_way.phase, under_way.since = Phase.LOCKED_OUT, now
        elif applied.check and change.kind is ChangeKind.OPEN:
            under_way.hidden = applied.warning
            yield LooksFirst(now, change)
            yield from self._start(under_way, applied.check, now, Phase.LOOKING)
        else:
            yield from self._start(under_way, change.words or (), now)

    def _start(
        self, under_way: _UnderWay, words: Sequence[str], now: float, phase: Phase = Phase.RUNNING
    ) -> Iterator[ChangeEvent]:
        under_way.phase, under_way.since = phase, now
        change = under_way.change
        output = QUIET if phase is Phase.LOOKING else self._outputs.writer(change.door)
        try:
            self._programs.start(change, words, output)
        except CommandError as error:
            yield from self._ended(under_way, error.status, now, problem=str(error))

    def _program_ended(
        self, under_way: _UnderWay, status: int, now: float
    ) -> Iterator[ChangeEvent]:
        change = under_way.change
        if under_way.phase is not Phase.LOOKING:
            yield from self._ended(under_way, status, now)
        elif change.kind is ChangeKind.CLOSE:
            gone = status == _NO_SUCH_RULE
            yield from self._gone(change, now) if gone else self._run(under_way, now)
        elif under_way.hung:
            # Whoever knocked has been given up long ago: nothing is opened behind his back.
            del self._under_way[change]
            yield GivenUp(now, change)
        elif status == 0:
            yield from self._ended(under_way, 0, now, already=True)
        else:
            yield LooksFirst(now, change, found=False)
            if under_way.hidden:
                yield RuleHidden(now, change, under_way.hidden)
            yield from self._start(under_way, change.words or (), now)

    def _try_lock(self, under_way: _UnderWay, now: float) -> Iterator[ChangeEvent]:
        if now - under_way.since >= LOCK_TOLD_SECONDS and not under_way.told:
            under_way.told = True
            yield LockHeld(now, under_way.change)
        yield from self._change_firewall(under_way, now)

    def _gone(self, change: Change, now: float) -> Iterator[ChangeEvent]:
        del self._under_way[change]
        yield RuleGone(now, change)

    def _ended(
        self,
        under_way: _UnderWay,
        status: int,
        now: float,
        *,
        already: bool = False,
        problem: str = "",
    ) -> Iterator[ChangeEvent]:
        del self._under_way[under_way.change]
        yield CommandEnded(now, under_way.change, status, already, problem)


def _printed(found: Iterable[Printed], now: float) -> Iterator[ChangeEvent]:
    for one in found:
        yield CommandOutput(now, one.name, one.lines, one.left_out)


def _is_iptables(change: Change) -> bool:
    return change.words is not None and is_iptables(change.words)


def _checking(words: Sequence[str]) -> tuple[str, ...]:
    """The iptables command that tells whether the rule is there that ``words`` delete; none if unsure."""
    found = [at for at, word in enumerate(words) if word in ("-D", "--delete")]
    if len(found) != 1:
        return ()
    at = found[0]
    return (*words[:at], "-C", *words[at + 1 :])
