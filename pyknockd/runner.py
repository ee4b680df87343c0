"""Actions, as they fall due: each is a change of the firewall in process, or a program."""

from __future__ import annotations

from pyknockd import firewall
from pyknockd.commands import CommandError, Commands
from pyknockd.firewall import Outcome
from pyknockd.model import Action, ActionKind, Door
from pyknockd.report import Report
from pyknockd.schedule import Schedule
from pyknockd.words import expand, split

MOST_COMMAND_BYTES = 4095
HUNG_SECONDS = 60.0
LOCK_RETRY_SECONDS = 0.005
SHELL = "/bin/sh"


class Runner:
    """Opens doors, and closes them when their time comes."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._schedule = Schedule()
        self._commands = Commands()
        # Actions that wait for iptables' lock, and their words.
        self._locked_out: dict[Action, list[str]] = {}

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
            self._schedule.add(Action(ActionKind.OPEN, door, source, template), now)
            self.work(now)

    def work(self, now: float) -> None:
        """Take note of what has ended, and start what is due."""
        for ended in self._commands.ended():
            self._ended(ended.action, ended.status, now)
        for action in self._commands.hung(now, HUNG_SECONDS):
            self._report.say(
                f"{action.door.name}: still running after {HUNG_SECONDS:.0f} seconds, no longer"
                f" waited for: {_command(action)}"
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
            self._commands.next_deadline(HUNG_SECONDS),
            retry,
        )
        return min((d for d in deadlines if d is not None), default=None)

    def close_all(self, now: float) -> None:
        """Let every closing that is to come be due now."""
        for action in self._schedule.clear():
            self._schedule.add(action, now)
        self.work(now)

    @property
    def busy(self) -> bool:
        """Whether anything is running or due."""
        return bool(self._commands or self._locked_out or len(self._schedule))

    def _run(self, action: Action, now: float) -> None:
        command = _command(action)
        if action.kind is ActionKind.CLOSE:
            self._report.about(action.source, f"{action.door.name}: command timeout", now)
        self._report.say(f"{action.door.name}: running command: {command}", own_line_feed=True)
        words = split(command)
        if words is None:
            self._start(action, [SHELL, "-c", command], now)
        elif not words:
            self._ended(action, 0, now)
        elif firewall.is_iptables(words):
            self._change_firewall(action, words, now)
        else:
            self._start(action, [SHELL, "-c", command], now)

    def _change_firewall(self, action: Action, words: list[str], now: float) -> None:
        applied = firewall.apply(words)
        if applied.reason:
            self._report.log.debug(f"{action.door.name}: not in process: {applied.reason}")
        if applied.outcome is Outcome.DONE:
            self._ended(action, 0, now)
        elif applied.outcome is Outcome.BUSY:
            self._locked_out[action] = words
        else:
            self._start(action, words, now)

    def _start(self, action: Action, words: list[str], now: float) -> None:
        try:
            self._commands.start(action, words, now)
        except CommandError as error:
            self._complain(f"{action.door.name}: cannot run {error}")
            self._ended(action, error.status, now)

    def _ended(self, action: Action, status: int, now: float) -> None:
        door, source = action.door, action.source
        if status:
            self._complain(f"{door.name}: command returned non-zero status code ({status})")
        self._schedule.done(action)
        if action.kind is ActionKind.OPEN and door.closing.is_there(source):
            closing = Action(ActionKind.CLOSE, door, source, door.closing.for_source(source))
            self._schedule.add(closing, now + door.open_for)

    def _complain(self, text: str) -> None:
        self._report.say(text)
        self._report.log.complain(text)


def _command(action: Action) -> str:
    return expand(action.template, action.source)


def _too_long(template: str, source: str) -> bool:
    command = expand(template, source)
    return len(command.encode("utf-8", "surrogateescape")) > MOST_COMMAND_BYTES
