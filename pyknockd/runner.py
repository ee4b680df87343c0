"""Actions, as they fall due: each is a change of the firewall in process, or a program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyknockd.commands import CommandError, Commands, Ended
from pyknockd.firewall import Firewall, Outcome, is_iptables
from pyknockd.journal import Journal, Record
from pyknockd.model import Action, ActionKind, Command, Door, Limits
from pyknockd.report import Report
from pyknockd.schedule import Schedule
from pyknockd.words import expand, split

MOST_COMMAND_BYTES = 4095
LOCK_RETRY_SECONDS = 0.005
SHELL = "/bin/sh"
_NO_SUCH_RULE = 1  # what `iptables -C` answers


@dataclass(frozen=True, slots=True)
class _Checked:
    """The words to run once it is known whether the rule is there, and a warning if they are run."""

    words: list[str]
    warning: str = ""


class Runner:
    """Opens doors, and closes them when their time comes."""

    def __init__(self, report: Report, journal: Journal, limits: Limits) -> None:
        self._report = report
        self._journal = journal
        self._limits = limits
        self._firewall = Firewall()
        self._schedule = Schedule(limits.commands)
        self._commands = Commands()
        # Actions that wait for iptables' lock, and their words.
        self._locked_out: dict[Action, list[str]] = {}
        # Actions whose rule is being looked for.
        self._checked: dict[Action, _Checked] = {}
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
        if _too_long(template, source):
            self._complain("error: parsed start command has been truncated! --> won't execute it")
        elif _too_long(door.closing.for_source(source), source):
            self._complain(
                "error: parsed stop command has been truncated! --> won't execute start command"
            )
        else:
            number = self._journal.opening(_record(door, source))
            self._schedule.add(Action(ActionKind.OPEN, door, source, template, number), now)
            self.work(now)

    def work(self, now: float) -> None:
        """Take note of what has ended, and start what is due."""
        for ended in self._commands.ended():
            self._program_ended(ended, now)
        for action in self._commands.hung(now, self._limits.hung_seconds):
            self._report.say(
                f"{action.door.name}: still running after {self._limits.hung_seconds} seconds, no"
                f" longer waited for: {_command(action)}"
            )
            self._schedule.done(action)
        for action, words in list(self._locked_out.items()):
            del self._locked_out[action]
            self._change_firewall(action, words, now)
        while due := self._schedule.due(now):
            for action in due:
                self._run(action, now)

    def next_deadline(self, now: float) -> float | None:
        """When ``work`` is to be called at the latest, or None. An ended program calls for it too."""
        retry = now + LOCK_RETRY_SECONDS if self._locked_out else None
        deadlines = (
            self._schedule.next_deadline(),
            self._commands.next_deadline(self._limits.hung_seconds),
            retry,
        )
        return min((d for d in deadlines if d is not None), default=None)

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
        command = _command(action)
        words = split(command)
        if action.recovered and words is not None and is_iptables(words):
            check = _check_words(words)
            if check is not None and action not in self._checked:
                self._checked[action] = _Checked(words)
                self._start(action, check, now)
                return
        self._announce(action, command, now)
        if words is None:
            self._start(action, [SHELL, "-c", command], now)
        elif not words:
            self._ended(action, 0, now)
        elif is_iptables(words):
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
        if applied.reason:
            self._report.log.debug(f"{action.door.name}: not in process: {applied.reason}")
        if applied.warning and not applied.check:
            self._report.say(f"{action.door.name}: {applied.warning}")
        if applied.outcome is Outcome.DONE:
            self._ended(action, 0, now, already=applied.already)
        elif applied.outcome is Outcome.BUSY:
            self._locked_out[action] = words
        elif applied.check and action.kind is ActionKind.OPEN:
            self._checked[action] = _Checked(words, applied.warning)
            self._start(action, list(applied.check), now)
        else:
            self._start(action, words, now)

    def _start(self, action: Action, words: list[str], now: float) -> None:
        try:
            self._commands.start(action, words, now)
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
            self._announce(action, _command(action), now)
            self._change_firewall(action, checked.words, now)

    def _forget(self, action: Action) -> None:
        """The rule of a recovered door is gone already: with the last reboot, or by hand."""
        self._report.log.debug(f"{action.door.name}: closed already for {action.source}")
        self._closings.discard(action)
        self._journal.closed(action.number, None)
        self._schedule.done(action)

    def _ended(self, action: Action, status: int, now: float, *, already: bool = False) -> None:
        """``already``: the rule was there, so the closing that is to come is put off."""
        door, source = action.door, action.source
        if status:
            self._complain(f"{door.name}: command returned non-zero status code ({status})")
        self._schedule.done(action)
        if action.kind is ActionKind.CLOSE:
            self._journal.closed(action.number, status)
            return
        self._journal.opened(action.number, status)
        self._journal.trim(self._limits.history_rows, self._limits.history_days)
        if already:
            self._put_off(action)
        if door.closing.is_there(source):
            template = door.closing.for_source(source)
            closing = Action(ActionKind.CLOSE, door, source, template, action.number)
            self._close_later(closing, now + door.open_for)

    def _put_off(self, action: Action) -> None:
        """Never mind the closings that are to come for the same rule: one closing will do."""
        for closing in [c for c in self._closings if _same_rule(c, action)]:
            self._schedule.cancel(closing)
            self._closings.discard(closing)
            self._journal.closed(closing.number, None)

    def _close_later(self, closing: Action, at: float) -> None:
        self._closings.add(closing)
        self._schedule.add(closing, at)

    def _complain(self, text: str) -> None:
        self._report.say(text)
        self._report.log.complain(text)


def _record(door: Door, source: str) -> Record:
    closing = None
    if door.closing.is_there(source):
        closing = expand(door.closing.for_source(source), source)
    opening = expand(door.opening.for_source(source), source)
    return Record(door.name, source, opening, closing, door.open_for)


def _same_rule(one: Action, other: Action) -> bool:
    return one.source == other.source and one.door.name == other.door.name


def templates(doors: Iterable[Door]) -> list[str]:
    """Every command of these doors, before an address is filled in."""
    commands = [command for door in doors for command in (door.opening, door.closing)]
    return [text for command in commands for text in (command.v4, command.v6) if text]


def _check_words(words: list[str]) -> list[str] | None:
    """The iptables command that tells whether the rule is there that ``words`` delete."""
    for name in ("-D", "--delete"):
        if name in words:
            return ["-C" if word == name else word for word in words]
    return None


def _command(action: Action) -> str:
    return expand(action.template, action.source)


def _too_long(template: str, source: str) -> bool:
    command = expand(template, source)
    return len(command.encode("utf-8", "surrogateescape")) > MOST_COMMAND_BYTES
