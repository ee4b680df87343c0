"""The loop: knocks in, commands out.

frame → capture → Knock → machine → Event → daemon → Action → rule → firewall → kernel
                                                           ↘ not an iptables command: /bin/sh
"""

from __future__ import annotations

import selectors
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol

from pyknockd.capture.flood import Sieve
from pyknockd.config.files import ConfigError
from pyknockd.doors.journal import Journal
from pyknockd.doors.runner import Runner
from pyknockd.model import Config, Door, Event, EventKind, Knock, Step, Timers
from pyknockd.proof import onetime
from pyknockd.proof.sequence import Machine
from pyknockd.report.log import LogError
from pyknockd.report.report import Report
from pyknockd.system.signals import Signals
from pyknockd.system.systemd import Notify

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
STOP_SECONDS = 5.0
_STOP_POLL_SECONDS = 0.005


class Capture(Protocol):
    """What the daemon needs to hear knocks with."""

    def fileno(self) -> int: ...
    def listen(self, doors: tuple[Door, ...]) -> None: ...
    def read(self, sieve: Sieve, now: float) -> Iterable[Knock]: ...
    def dropped(self) -> int: ...


@dataclass(frozen=True, slots=True)
class World:
    """All that the daemon is given. ``read_config`` reads the configuration again: ConfigError."""

    capture: Capture
    signals: Signals
    report: Report
    journal: Journal
    read_config: Callable[[], Config]


class Daemon:
    """Guards the doors of one configuration until a signal ends it."""

    def __init__(self, world: World, config: Config) -> None:
        self._world = world
        self._report = world.report
        self._runner = Runner(world.report, world.journal, config.extras.limits)
        self._config: Config
        self._machine: Machine
        self._sieve: Sieve
        self._guard(config)
        self._runner.prepare(config.doors)
        self._notify = Notify()
        self._looked_for_drops = 0.0
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        for source in (world.capture, world.signals):
            self._selector.register(source, selectors.EVENT_READ)

    def run(self) -> None:
        """The loop. Returns after SIGTERM or SIGINT."""
        self._runner.recover(monotonic())
        self._notify.ready()
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - one bad packet must not end the daemon, nor be hidden
                for line in traceback.format_exc().splitlines():
                    self._report.say(f"internal error: {line}")

    def stop(self) -> None:
        """Leave. Timed doors that stand open are kept in the journal, or closed if so configured."""
        self._notify.stopping()
        if self._config.extras.timers is Timers.CLOSE:
            self._close_doors()
        self._report.finish()
        self._report.say("shutting down")

    def _close_doors(self) -> None:
        now = monotonic()
        deadline = now + STOP_SECONDS
        self._runner.close_all(now)
        while self._runner.busy and now < deadline:
            self._selector.select(_STOP_POLL_SECONDS)
            now = monotonic()
            self._runner.work(now)

    def _turn(self) -> None:
        ready = {key.fileobj for key, _ in self._selector.select(self._seconds_to_wait())}
        now = monotonic()
        if self._world.signals in ready:
            self._obey(self._world.signals.arrived())
        if self._world.capture in ready:
            for knock in self._world.capture.read(self._sieve, now):
                self._take(self._machine.feed(knock, now - knock.age), now)
            self._report.leave_out(self._sieve.put_aside(), now)
            self._look_for_drops(now)
        self._take(self._machine.expire(now), now)
        self._runner.work(now)
        self._report.flush(now)
        self._tell_manager(now)

    def _look_for_drops(self, now: float) -> None:
        """Once a second: what the kernel had no room for is counted and told."""
        if now - self._looked_for_drops < 1:
            return
        self._looked_for_drops = now
        dropped = self._world.capture.dropped()
        if dropped:
            self._report.say(f"packets came too fast: the kernel dropped {dropped}")

    def _tell_manager(self, now: float) -> None:
        doors = self._runner.open_doors
        self._notify.status(f"{doors} door{'' if doors == 1 else 's'} open")
        self._notify.feed_watchdog(now)

    def _seconds_to_wait(self) -> float | None:
        now = monotonic()
        deadlines = (
            self._machine.next_deadline(),
            self._runner.next_deadline(now),
            self._report.next_deadline(now),
            self._notify.next_deadline(),
        )
        waits = [deadline - now for deadline in deadlines if deadline is not None]
        return max(0.0, min(waits)) if waits else None

    def _take(self, events: Iterable[Event], now: float) -> None:
        for event in events:
            self._report.event(event, now)
            if event.kind is EventKind.OPENED and self._is_honoured(event.door):
                self._runner.open(event.door, event.source, now)

    def _is_honoured(self, door: Door) -> bool:
        """Whether the sequence may be used; one of a one-time file only if it could be marked."""
        path = door.one_time_file
        if path is None:
            return True
        steps: tuple[Step, ...] = ()
        honoured = True
        try:
            steps = onetime.use(path, door.steps)
        except onetime.OneTimeError as error:
            honoured = False
            self._report.say(f"{door.name}: the door stays shut: {error}")
            steps = _next_or_none(path)
        for other in self._config.doors:
            if other.one_time_file == path and (other is door or other.steps == door.steps):
                self._change_steps(other, steps)
        return honoured

    def _change_steps(self, door: Door, steps: tuple[Step, ...]) -> None:
        if not steps:
            self._report.say(
                "no more sequences left in the one time sequences file for door"
                f" {door.name} --> disabling the door",
                own_line_feed=True,
            )
        changed = replace(door, steps=steps)
        doors = tuple(changed if other is door else other for other in self._config.doors)
        self._config = replace(self._config, doors=doors)
        self._machine.replace(door, changed)
        self._world.capture.listen(doors)

    def _obey(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stopping = True
            elif number == signal.SIGHUP:
                self._reload()

    def _reload(self) -> None:
        """Read the files again. With a mistake in them the old doors stay."""
        self._notify.reloading()
        config = self._config
        try:
            config = self._world.read_config()
        except ConfigError as error:
            for line in error.lines:
                self._report.say(line)
            self._report.say("the file was not taken over: the doors stay as they were")
        self._reopen_log(config)
        if config is not self._config:
            self._take_over(config)
        self._notify.ready()

    def _reopen_log(self, config: Config) -> None:
        try:
            if config.log_file is not None:
                self._report.say(f"re-opening log file: {config.log_file}")
            self._report.log.open(config.log_file, use_syslog=config.use_syslog)
        except LogError as error:
            self._report.say(str(error))

    def _take_over(self, config: Config) -> None:
        old, new = self._config, config
        if (old.interface, old.extras.interfaces) != (new.interface, new.extras.interfaces):
            self._report.say("another interface is listened on from the next start on, not before")
        self._guard(config)
        self._runner.change_limits(config.extras.limits)
        self._runner.prepare(config.doors)
        self._world.capture.listen(config.doors)

    def _guard(self, config: Config) -> None:
        """Guard the doors of ``config`` from now on, with no attempt under way."""
        limits = config.extras.limits
        self._config = config
        self._machine = Machine(config.doors, limits.attempts)
        # Where a first knock may open a door none is put aside.
        rate = sys.maxsize if self._machine.opens_at_once else limits.log_lines
        self._sieve = Sieve(self._machine.knows, rate, limits.attempts)
        self._report.most_first_lines = limits.log_lines


def _next_or_none(path: str) -> tuple[Step, ...]:
    """The sequence in force after one could not be used: none, if the file cannot be written."""
    try:
        return onetime.first_sequence(path)
    except onetime.OneTimeError:
        return ()
