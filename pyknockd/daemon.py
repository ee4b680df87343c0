"""The loop: knocks in, commands out.

frame → capture → Knock → machine → Event → daemon → Action → rule → firewall → kernel
                                                           ↘ not an iptables command: /bin/sh
"""

from __future__ import annotations

import selectors
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from pyknockd import firewall, rule
from pyknockd.commands import CommandError, Commands
from pyknockd.firewall import Outcome
from pyknockd.log import Log, LogError, event_text
from pyknockd.machine import Machine
from pyknockd.model import Action, ActionKind, Config, Door, Event, EventKind, Knock
from pyknockd.schedule import Schedule
from pyknockd.signals import Signals

MOST_COMMAND_BYTES = 4095
HUNG_SECONDS = 60.0
LOCK_RETRY_SECONDS = 0.005
STOP_SECONDS = 5.0


class ConfigError(Exception):
    """The configuration cannot be used; ``lines`` say why, each with its place."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__()
        self.lines = tuple(lines)


class Ears(Protocol):
    """What the daemon needs of a capture."""

    def fileno(self) -> int: ...
    def listen(self, doors: tuple[Door, ...]) -> None: ...
    def refresh(self) -> None: ...
    def read(self) -> list[Knock]: ...


class Changes(Protocol):
    """Tells when an interface or an address has changed."""

    def fileno(self) -> int: ...
    def drain(self) -> None: ...


@dataclass(frozen=True, slots=True)
class World:
    """All that the daemon is given: what it hears with, and what it reads its configuration with.

    ``read_config`` raises ConfigError; ``config_path`` is for the log only.
    """

    ears: Ears
    changes: Changes
    log: Log
    read_config: Callable[[], Config]
    config_path: str


class Daemon:
    """Guards the doors of one configuration until a signal ends it."""

    def __init__(self, world: World, config: Config) -> None:
        self._world = world
        self._log = world.log
        self._config = config
        self._machine = Machine(config.doors)
        self._schedule = Schedule()
        self._commands = Commands()
        self._locked_out: dict[Action, list[str]] = {}
        self._stopping = False
        self._signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
        self._selector = selectors.DefaultSelector()
        for source in (world.ears, world.changes, self._signals):
            self._selector.register(source, selectors.EVENT_READ)

    def run(self) -> None:
        """The loop. Returns after SIGTERM or SIGINT."""
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - one bad packet must not end the daemon, and must not be hidden
                for line in traceback.format_exc().splitlines():
                    self._log.say(f"internal error: {line}")

    def stop(self) -> None:
        """Close every timed door that still stands open, and leave."""
        now = monotonic()
        deadline = now + STOP_SECONDS
        for action in self._schedule.clear():
            self._schedule.add(action, now)
        self._start_due(now)
        while (self._commands or self._locked_out or len(self._schedule)) and now < deadline:
            self._selector.select(LOCK_RETRY_SECONDS)
            now = monotonic()
            self._finish_ended(now)
            self._start_due(now)
        self._log.say("shutting down")

    def _turn(self) -> None:
        ready = {key.fileobj for key, _ in self._selector.select(self._seconds_to_wait())}
        now = monotonic()
        if self._signals in ready:
            self._obey(self._signals.arrived())
        if self._world.changes in ready:
            self._world.changes.drain()
            self._world.ears.refresh()
        for knock in self._world.ears.read() if self._world.ears in ready else ():
            self._take(self._machine.feed(knock, now), now)
        self._take(self._machine.expire(now), now)
        self._finish_ended(now)
        self._start_due(now)

    def _seconds_to_wait(self) -> float | None:
        deadlines = [
            self._machine.next_deadline(),
            self._schedule.next_deadline(),
            self._commands.next_deadline(HUNG_SECONDS),
        ]
        now = monotonic()
        waits = [deadline - now for deadline in deadlines if deadline is not None]
        if self._locked_out:
            waits.append(LOCK_RETRY_SECONDS)
        return max(0.0, min(waits)) if waits else None

    def _take(self, events: Iterable[Event], now: float) -> None:
        for event in events:
            self._log.say(event_text(event, event.source))
            if event.kind is not EventKind.OPENED:
                continue
            action = _plan(ActionKind.OPEN, event.door, event.source)
            if action is not None:
                self._schedule.add(action, now)
                self._start_due(now)

    def _start_due(self, now: float) -> None:
        for action, words in list(self._locked_out.items()):
            del self._locked_out[action]
            self._change_firewall(action, words, now)
        for action in self._schedule.due(now):
            self._run(action, now)

    def _run(self, action: Action, now: float) -> None:
        command = rule.expand(action.template, action.source)
        if action.kind is ActionKind.CLOSE:
            self._log.say(f"{action.source}: {action.door.name}: command timeout")
        if len(command.encode("utf-8", "surrogateescape")) > MOST_COMMAND_BYTES:
            kind = "start" if action.kind is ActionKind.OPEN else "stop"
            self._log.say(f"error: parsed {kind} command has been truncated! --> won't execute it")
            self._ended(action, 0, now)
            return
        self._log.say(f"{action.door.name}: running command: {command}")
        words = rule.words(command)
        if words is not None and firewall.is_iptables(words):
            self._change_firewall(action, words, now)
        else:
            self._start(action, ["/bin/sh", "-c", command], now)

    def _change_firewall(self, action: Action, words: list[str], now: float) -> None:
        applied = firewall.apply(words)
        if applied.reason:
            self._log.debug(f"{action.door.name}: not in process: {applied.reason}")
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
            self._log.say(f"{action.door.name}: cannot run {error}")
            self._ended(action, error.status, now)

    def _finish_ended(self, now: float) -> None:
        for ended in self._commands.ended():
            self._ended(ended.action, ended.status, now)
        for action in self._commands.hung(now, HUNG_SECONDS):
            self._log.say(
                f"{action.door.name}: still running after {HUNG_SECONDS:.0f} seconds, no longer"
                f" waited for: {rule.expand(action.template, action.source)}"
            )
            self._schedule.done(action)

    def _ended(self, action: Action, status: int, now: float) -> None:
        if status:
            self._log.say(f"{action.door.name}: command returned non-zero status code ({status})")
        self._schedule.done(action)
        if action.kind is ActionKind.OPEN:
            closing = _plan(ActionKind.CLOSE, action.door, action.source)
            if closing is not None:
                self._schedule.add(closing, now + action.door.open_for)

    def _obey(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stopping = True
            elif number == signal.SIGHUP:
                self._reload()

    def _reload(self) -> None:
        """Read the file again. With a mistake in it the old doors stay."""
        self._log.say(f"re-reading config file: {self._world.config_path}")
        try:
            config = self._world.read_config()
        except ConfigError as error:
            for line in error.lines:
                self._log.say(line)
            self._log.say("the file was not taken over: the doors stay as they were")
            config = self._config
        try:
            if config.log_file is not None:
                self._log.say(f"re-opening log file: {config.log_file}")
            self._log.open(config.log_file, use_syslog=config.use_syslog)
        except LogError as error:
            self._log.say(str(error))
        if config is not self._config:
            self._config = config
            self._machine = Machine(config.doors)
            self._world.ears.listen(config.doors)


def _plan(kind: ActionKind, door: Door, source: str) -> Action | None:
    """What opening or closing ``door`` for ``source`` takes, or None if nothing is to be done."""
    command = door.opening if kind is ActionKind.OPEN else door.closing
    template = command.for_source(source)
    return Action(kind, door, source, template) if template else None
