"""Actions, as they fall due: each is a change of the firewall in process, or a program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyknockd.doors.commands import check_words, command_of, record, templates, too_long
from pyknockd.doors.journal import Journal
from pyknockd.doors.schedule import Schedule
from pyknockd.firewall import Firewall, Outcome, is_iptables
from pyknockd.model import Action, ActionKind, Command, Door, Limits, expand
from pyknockd.report.report import Report
from pyknockd.system.process import CommandError, Commands, Ended
from pyknockd.system.shell import split

LOCK_RETRY_SECONDS = 0.005
LOCK_TOLD_SECONDS = 1.0  # how long another program may hold iptables' lock without a word
SHELL = "/bin/sh"
_NO_SUCH_RULE = 1  # what `iptables -C` answers


@dataclass(frozen=True, slots=True)
class _Checked:
    """The words to run once it is known whether the rule is there, and a warning if they are run."""

    words: list[str]
    warning: str = ""


@dataclass(slots=True)
class _LockedOut:
    """The words to run once iptables' lock is free, since when they wait, and whether that is told."""

    words: list[str]
    since: float
    told: bool = False


class Runner:
    """Opens doors, and closes them when their time comes."""

    def __init__(self, report: Report, journal: Journal, limits: Limits) -> None:
        self._report = report
        self._journal = journal
        self._limits = limits
        self._firewall = Firewall()
        self._schedule = Schedule(limits.commands)
        self._commands = Commands()
        # Actions that wait for iptables' lock.
        self._locked_out: dict[Action, _LockedOut] = {}
        # Actions whose rule is being looked for.
        self._checked: dict[Action, _Checked] = {}
        # Openings that hung, and whose closing was therefore planned before they have ended.
        self._given_up: set[Action] = set()
        # Closings to come.
        self._closings: set[Action] = set()

    def prepare(self, doors: Iterable[Door]) -> None:
        """Find out how each command will be run, and load what that takes."""
        for line in self._firewall.prepare(templates(doors)):
            if line.startswith("warning: "):
                self._report.say(line)
            else:
                self._report.log.show(f"firewall: {line}")

    def recover(self, now: float) -> None:
        """Take over the doors that were left open, each to be closed when its time comes."""
        for standing in self._journal.standing():
            record = standing.record
            door = Door(record.door, closing=Command(record.closing), open_for=record.open_for)
            closing = Action(
                ActionKind.CLOSE,
                door,
                record.source,
                record.closing or "",
                standing.number,
                recovered=True,
            )
            self._close_later(closing, now + standing.seconds_left)

    def open(self, door: Door, source: str, now: float) -> None:
        """Run the door's opening command for ``source``; the closing one follows it in time."""
        template = door.opening.for_source(source)
        if not template:
            return
        if too_long(template, source):
            self._complain("error: parsed start command has been truncated! --> won't execute it")
        elif too_long(door.closing.for_source(source), source):
            self._complain(
                "error: parsed stop command has been truncated! --> won't execute start command"
            )
        else:
            number = self._journal.opening(record(door, source))
            self._schedule.add(Action(ActionKind.OPEN, door, source, template, number), now)
            self.work(now)

    def work(self, now: float) -> None:
        """Take note of what has ended, and start what is due."""
        for ended in self._commands.ended():
            self._program_ended(ended, now)
        for action in self._commands.hung(now, self._limits.hung_seconds):
            self._report.say(
                f"{action.door.name}: still running after {self._limits.hung_seconds} seconds, no"
                f" longer waited for: {command_of(action)}"
            )
            self._schedule.done(action)
            if action.kind is ActionKind.OPEN:
                self._given_up.add(action)
                self._plan_closing(action, now)
        self._try_lock(now)
        while due := self._schedule.due(now):
            for action in due:
                self._run(action, now)

    def next_deadline(self, now: float) -> float | None:
        """When ``work`` is to be called at the latest, or None. An ended program calls for it too."""
        told = all(waiting.told for waiting in self._locked_out.values())
        retry = now + LOCK_RETRY_SECONDS * (20 if told else 1) if self._locked_out else None
        deadlines = (
            self._schedule.next_deadline(),
            self._commands.next_deadline(self._limits.hung_seconds),
            retry,
        )
        return min((d for d in deadlines if d is not None), default=None)

    def _try_lock(self, now: float) -> None:
        """Once the lock has been held for too long iptables itself is to say so."""
        for action, waiting in list(self._locked_out.items()):
            passed = now - waiting.since
            if passed >= self._limits.hung_seconds:
                del self._locked_out[action]
                self._start(action, waiting.words, now)
                continue
            if passed >= LOCK_TOLD_SECONDS and not waiting.told:
                waiting.told = True
                self._report.say(
                    f"{action.door.name}: another program holds iptables' lock: waiting"
                )
            self._change_firewall(action, waiting.words, now)

    def close_all(self, now: float) -> None:
        """Let every closing that is to come be due now, and nothing open any more."""
        for action in self._schedule.clear():
            if action.kind is ActionKind.CLOSE:
                self._schedule.add(action, now)
            else:
                self._journal.closed(action.number, None)
        self.work(now)

    @property
    def busy(self) -> bool:
        """Whether anything is running or due."""
        return bool(self._commands or self._locked_out or len(self._schedule))

    @property
    def open_doors(self) -> int:
        """How many doors stand open and will be closed."""
        return len(self._closings)

    def change_limits(self, limits: Limits) -> None:
        """Heed other limits from now on."""
        self._limits = limits
        self._schedule.at_once = limits.commands

    def _run(self, action: Action, now: float) -> None:
        command = command_of(action)
        words = split(command)
        if action.recovered and words is not None and is_iptables(words):
            check = check_words(words)
            if check is not None:
                self._checked[action] = _Checked(words)
                self._start(action, check, now, quiet=True)
                return
        self._announce(action, command, now)
        if words == []:
            self._ended(action, 0, now)
        elif words is not None and is_iptables(words):
            self._change_firewall(action, words, now)
        else:
            self._start(action, [SHELL, "-c", command], now)

    def _announce(self, action: Action, command: str, now: float) -> None:
        if action.kind is ActionKind.CLOSE:
            self._closings.discard(action)
            self._journal.closing(action.number)
            self._report.about(action.source, f"{action.door.name}: command timeout", now)
        self._report.say(f"{action.door.name}: running command: {command}", own_line_feed=True)

    def _change_firewall(self, action: Action, words: list[str], now: float) -> None:
        applied = self._firewall.apply(words)
        if applied.outcome is not Outcome.BUSY:
            self._locked_out.pop(action, None)
        if applied.reason:
            self._report.log.debug(f"{action.door.name}: not in process: {applied.reason}")
        if applied.warning and not applied.check:
            self._report.say(f"{action.door.name}: {applied.warning}")
        if applied.outcome is Outcome.DONE:
            self._ended(action, 0, now, already=applied.already)
        elif applied.outcome is Outcome.BUSY:
            self._locked_out.setdefault(action, _LockedOut(words, now))
        elif applied.check and action.kind is ActionKind.OPEN:
            self._checked[action] = _Checked(words, applied.warning)
            self._start(action, list(applied.check), now, quiet=True)
        else:
            self._start(action, words, now)

    def _start(self, action: Action, words: list[str], now: float, *, quiet: bool = False) -> None:
        try:
            self._commands.start(action, words, now, quiet=quiet)
        except CommandError as error:
            self._checked.pop(action, None)
            self._complain(f"{action.door.name}: cannot run {error}")
            self._ended(action, error.status, now)

    def _program_ended(self, ended: Ended, now: float) -> None:
        action = ended.action
        checked = self._checked.pop(action, None)
        if checked is None:
            self._ended(action, ended.status, now)
        elif action.kind is ActionKind.OPEN and ended.status == 0:
            self._ended(action, 0, now, already=True)
        elif action.kind is ActionKind.OPEN:
            if checked.warning:
                self._report.say(f"{action.door.name}: {checked.warning}")
            self._start(action, checked.words, now)
        elif ended.status == _NO_SUCH_RULE:
            self._forget(action)
        else:
            self._announce(action, command_of(action), now)
            self._change_firewall(action, checked.words, now)

    def _forget(self, action: Action) -> None:
        """The rule of a recovered door is gone already: with the last reboot, or by hand."""
        self._report.log.debug(f"{action.door.name}: closed already for {action.source}")
        self._closings.discard(action)
        self._journal.closed(action.number, None)
        self._schedule.done(action)

    def _ended(self, action: Action, status: int, now: float, *, already: bool = False) -> None:
        """``already``: the rule was there, and nothing was added."""
        if status:
            self._complain(f"{action.door.name}: command returned non-zero status code ({status})")
        self._schedule.done(action)
        if action.kind is ActionKind.CLOSE:
            self._journal.closed(action.number, status)
            return
        self._journal.opened(action.number, status)
        self._journal.trim(self._limits.history_rows, self._limits.history_days)
        if action in self._given_up:
            self._given_up.discard(action)
        elif not already or self._put_off(action):
            self._plan_closing(action, now)
        else:
            # Nobody is about to close what is there: it is the admin's own, and stays.
            self._journal.closed(action.number, None)

    def _plan_closing(self, action: Action, now: float) -> None:
        door, source = action.door, action.source
        if door.closing.is_there(source):
            template = door.closing.for_source(source)
            closing = Action(ActionKind.CLOSE, door, source, template, action.number)
            self._close_later(closing, now + door.open_for)

    def _put_off(self, action: Action) -> bool:
        """Never mind the closings to come that run the same command; whether there were any."""
        if not action.door.closing.is_there(action.source):
            return False
        command = expand(action.door.closing.for_source(action.source), action.source)
        same = [closing for closing in self._closings if command_of(closing) == command]
        for closing in same:
            self._schedule.cancel(closing)
            self._closings.discard(closing)
            self._journal.closed(closing.number, None)
        return bool(same)

    def _close_later(self, closing: Action, at: float) -> None:
        self._closings.add(closing)
        self._schedule.add(closing, at)

    def _complain(self, text: str) -> None:
        self._report.say(text)
        self._report.log.complain(text)
