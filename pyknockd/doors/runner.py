"""Carries a change out: in the firewall, in process, or as a program. Knows nothing of openings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from pyknockd.firewall import (
    Adding,
    Firewall,
    Old,
    Outcome,
    check_words,
    delete_words,
    deletes,
    is_iptables,
)
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
    RuleMoved,
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
    TAKING_AWAY = "taking away"  # a program deletes its rule, which is to be inserted anew
    RUNNING = "running"


@dataclass(slots=True)
class _UnderWay:
    """A change under way, and since when it has been in its phase, in seconds.

    ``hidden`` is why its rule will open nothing, if it is run, and ``old`` the same if the rule is there
    already; ``behind`` is what it is being moved in front of. ``hung``: nobody waits for it;
    ``killed``: nobody lets it live either.
    """

    change: Change
    phase: Phase
    since: float
    hidden: str = ""
    old: Old = Old()
    adding: Adding = Adding.ONCE
    behind: str = ""
    told: bool = False
    hung: bool = False
    killed: bool = False


class Runner:
    """The changes under way. What becomes of each comes out as events.

    The last is CommandEnded, RuleGone or GivenUp.
    """

    def __init__(
        self, firewall: Firewall, limits: Limits, is_ours: Callable[[Change], bool]
    ) -> None:
        """``is_ours``: whether the rule of a change, if it is there, was made for an opening."""
        self.limits = limits
        self._firewall = firewall
        self._is_ours = is_ours
        self._programs = Programs()
        self._outputs = Outputs()
        self._under_way: dict[Change, _UnderWay] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def fileno(self) -> int:
        """Readable when a program has printed something: then ``work`` has something to tell."""
        return self._outputs.fileno()

    def begin_all(self, changes: Sequence[Change], now: float) -> Iterator[ChangeEvent]:
        """Carry ``changes`` out, none of which waits for another. Deletions of rules are made at once.

        A table of thousands of rules takes as long to be changed in one place as in many.
        """
        of_words = {
            change.words: change
            for change in changes
            if change.kind is ChangeKind.CLOSE and change.words and is_iptables(change.words)
        }
        gone = self._firewall.delete(list(of_words)) if len(of_words) > 1 else []
        done = {of_words[tuple(words)]: None for words in gone}
        for change in done:
            yield CommandStarted(now, change)
            yield CommandEnded(now, change, 0)
        for change in changes:
            if change not in done:
                yield from self.begin(change, now)

    def begin(self, change: Change, now: float) -> Iterator[ChangeEvent]:
        """Carry ``change`` out, or begin to. Each event comes before what it speaks of is done."""
        under_way = _UnderWay(change, Phase.RUNNING, now)
        self._under_way[change] = under_way
        words = change.words or ()
        if not change.look_first or not _is_iptables(change) or not deletes(words):
            yield from self._run(under_way, now)
            return
        there = self._firewall.is_there(words)
        check = check_words(words) if there is None else ()
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
        applied = self._firewall.apply(change.words or (), under_way.adding)
        under_way.hidden, under_way.old = applied.warning, applied.old
        if applied.reason:
            yield LeftToProgram(now, change, applied.reason)
        if applied.outcome is Outcome.DONE:
            yield from self._done(under_way, applied.already, now)
        elif applied.outcome is Outcome.BUSY and waited < self.limits.hung_seconds:
            # Once another has held the lock for too long iptables itself is to say so.
            if under_way.phase is not Phase.LOCKED_OUT:
                under_way.phase, under_way.since = Phase.LOCKED_OUT, now
        elif applied.check and change.kind is ChangeKind.OPEN:
            yield LooksFirst(now, change)
            yield from self._start(under_way, applied.check, now, Phase.LOOKING)
        else:
            yield from self._start_program(under_way, now)

    def _start_program(self, under_way: _UnderWay, now: float) -> Iterator[ChangeEvent]:
        words = under_way.change.words or ()
        deleting = delete_words(words)
        if under_way.adding is Adding.ANEW and deleting:
            yield from self._start(under_way, deleting, now, Phase.TAKING_AWAY)
        else:
            if under_way.hidden:
                yield RuleHidden(now, under_way.change, under_way.hidden)
            yield from self._start(under_way, words, now)

    def _done(self, under_way: _UnderWay, already: bool, now: float) -> Iterator[ChangeEvent]:
        """A change has been made in process, if there was anything to be done."""
        if already and under_way.old.buried_by:
            self._decide_adding(under_way)
            under_way.phase = Phase.RUNNING
            yield from self._change_firewall(under_way, now)
            return
        text = under_way.old.warning if already else under_way.hidden
        if text:
            yield RuleHidden(now, under_way.change, text)
        yield from self._added(under_way, 0, now, already)

    def _decide_adding(self, under_way: _UnderWay) -> None:
        """How a rule gets in front that is there already, behind one that may overrule it.

        What is not ours stays where it is: moved, it would open the door when our time is over.
        """
        change = under_way.change
        ours = change.kind is ChangeKind.CLOSE or self._is_ours(change)
        under_way.adding = Adding.ANEW if ours else Adding.AGAIN
        under_way.behind = under_way.old.buried_by

    def _added(
        self, under_way: _UnderWay, status: int, now: float, already: bool = False
    ) -> Iterator[ChangeEvent]:
        """The end of what may have been a move."""
        moved = under_way.adding is Adding.ANEW
        if moved and not status:
            yield RuleMoved(now, under_way.change, under_way.behind)
        elif moved and not under_way.hung and under_way.change.kind is ChangeKind.OPEN:
            yield LooksFirst(now, under_way.change, found=False)  # it is there no more
        yield from self._ended(under_way, status, now, already=already or (moved and not status))

    def _start(
        self, under_way: _UnderWay, words: Sequence[str], now: float, phase: Phase = Phase.RUNNING
    ) -> Iterator[ChangeEvent]:
        under_way.phase, under_way.since = phase, now
        change = under_way.change
        output = QUIET if phase is not Phase.RUNNING else self._outputs.writer(change.door)
        try:
            self._programs.start(change, words, output)
        except CommandError as error:
            yield from self._ended(under_way, error.status, now, problem=str(error))

    def _program_ended(
        self, under_way: _UnderWay, status: int, now: float
    ) -> Iterator[ChangeEvent]:
        change = under_way.change
        if under_way.phase is Phase.RUNNING:
            yield from self._added(under_way, status, now)
        elif under_way.phase is Phase.TAKING_AWAY:
            if status in (0, _NO_SUCH_RULE):
                yield from self._start(under_way, change.words or (), now)
            else:
                yield from self._ended(under_way, status, now)
        elif change.kind is ChangeKind.CLOSE:
            gone = status == _NO_SUCH_RULE
            yield from self._gone(change, now) if gone else self._run(under_way, now)
        elif under_way.hung:
            # Whoever knocked has been given up long ago: nothing is opened behind his back.
            del self._under_way[change]
            yield GivenUp(now, change)
        elif status:
            yield LooksFirst(now, change, found=False)
            yield from self._start_program(under_way, now)
        else:
            yield from self._was_there(under_way, now)

    def _was_there(self, under_way: _UnderWay, now: float) -> Iterator[ChangeEvent]:
        """A program has found the rule that was to be added."""
        if under_way.old.buried_by:
            self._decide_adding(under_way)
            yield from self._start_program(under_way, now)
            return
        if under_way.old.warning:
            yield RuleHidden(now, under_way.change, under_way.old.warning)
        yield from self._ended(under_way, 0, now, already=True)

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
