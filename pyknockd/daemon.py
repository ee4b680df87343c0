"""The loop: knocks in, changes out, and each event to all who want to know.

frame → capture → Knock → proof → Event → doors → Change → firewall → kernel
                                    ↘ report: whoever wants to know
"""

from __future__ import annotations

import selectors
import signal
from collections import deque
from collections.abc import Callable, Container, Iterable
from functools import partial
from time import monotonic

from pyknockd.capture import CaptureError, Flood
from pyknockd.config import ConfigError
from pyknockd.control import Handlers, Service
from pyknockd.desk import Desk, House
from pyknockd.doors import Doors
from pyknockd.model import Config, Timers
from pyknockd.model.events import (
    CommandStarted,
    ConfigRefused,
    ConfigTaken,
    Event,
    InternalFault,
    LogReopened,
    Opened,
    Reloading,
    SequenceChanged,
    Started,
    Stopping,
)
from pyknockd.proof import Marked, Proofs
from pyknockd.report import Alarms, State, Status, TextFile
from pyknockd.system.clock import shown
from pyknockd.system.faults import Faults
from pyknockd.system.worker import Worker
from pyknockd.world import World

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
STOP_SECONDS = 5.0
# The loop never sleeps for longer: a deadline years away is more than the kernel takes.
LONGEST_WAIT_SECONDS = 3_600.0
_STOP_POLL_SECONDS = 0.005


class Daemon:
    """Guards the doors of one configuration until a signal ends it."""

    def __init__(self, world: World, config: Config) -> None:
        """Listens from now on. Raises what ``world.capture`` does."""
        self._world = world
        self._config = config
        self._report = world.report
        self._state = State()
        self._status = Status(self._state, shown)
        self._notify = world.notify
        self._events: deque[Event] = deque()
        self._faults = Faults()
        self._stopping = False
        self._is_to_reload = False
        self._worker = Worker()
        # What the worker's jobs have come to.
        self._marked: list[Marked] = []
        self._doors = Doors(world.journal, config.extras.limits)
        desk = Desk(self._house())
        self._alarms = Alarms(config.extras.alerts)
        self._readers = (world.report, self._state, desk, self._alarms)
        self._metrics = TextFile(desk.metrics)
        self._proofs = self._make_proofs(config)
        self._flood = Flood(lambda source: self._proofs.knows(source), 0, 0, 0.0)
        self._heed_extras(config)
        self._capture = world.capture(self._flood)
        self._capture.listen(self._proofs.listens())
        self._service = world.server and Service(world.server, Handlers(desk))
        self._selector = selectors.DefaultSelector()
        log = world.report.log
        sources = (world.signals, self._worker, self._doors, world.journal, log, self._metrics)
        service = () if self._service is None else (self._service,)
        for source in (self._capture, *sources, *service):
            self._selector.register(source, selectors.EVENT_READ)
        self._only_signals = selectors.DefaultSelector()
        self._only_signals.register(world.signals, selectors.EVENT_READ)

    def start(self, before: Iterable[Event] = ()) -> None:
        """What comes before the first knock: commands are got ready for, doors left open found.

        ``before`` is what has come to pass until now.
        """
        now = monotonic()
        self._tell(before)
        self._tell(self._world.journal.events())
        self._tell(self._capture.events(now))
        self._tell(self._doors.prepare(self._config.doors, now))
        self._tell([Started(now, self._capture.names)])
        self._tell(self._proofs.disabled(now))
        self._tell(self._doors.recover(now))
        self._hand_out()
        self._alarms.run("on_start", self._config.extras.on_start, now)
        self._report.flush(now)
        self._report.log.settle()

    def run(self) -> None:
        """The loop. Returns after SIGTERM or SIGINT."""
        self._notify.ready()
        while not self._stopping:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - one bad packet must not end the daemon
                self._breathe(error)
            else:
                self._faults.none()

    def stop(self) -> None:
        """Leave. Timed doors that stand open are kept in the journal, or closed if so configured."""
        self._notify.stopping()
        if self._config.extras.timers is Timers.CLOSE or not self._world.journal.is_kept:
            self._close_doors()
        self._run_on_stop()
        self._tell([Stopping(monotonic())])
        self._hand_out()
        if self._service is not None:
            self._service.close()
        self._report.finish()

    def _turn(self) -> None:
        ready = {key.fileobj for key, _ in self._selector.select(self._seconds_to_wait())}
        try:
            self._work(ready, monotonic())
        finally:
            self._hand_out()
        now = monotonic()
        self._tell(self._alarms.work(now))
        self._hand_out()
        self._report.flush(now)
        self._tell_manager(now)

    def _work(self, ready: Container[object], now: float) -> None:
        if self._world.signals in ready:
            self._obey()
        if self._is_to_reload:
            self._is_to_reload = False
            self._reload(now)
        if self._worker in ready:
            for tell in self._worker.done():
                tell()
            marked, self._marked = self._marked, []
            for one in marked:
                self._act(self._proofs.settle(one))
        if self._capture in ready:
            for knock in self._capture.read(now):
                self._act(self._proofs.feed(knock))
        self._tell(self._capture.events(now))
        self._act(self._proofs.expire(now))
        if self._service is not None:
            self._service.work(now)
        self._tell(self._metrics.work(now))
        self._tell(self._doors.work(now))

    def _act(self, events: Iterable[Event]) -> None:
        """Open the doors that ``events`` speak of."""
        for event in events:
            self._events.append(event)
            if isinstance(event, Opened):
                self._tell(self._doors.take(event))
            elif isinstance(event, SequenceChanged):
                self._capture.listen(self._proofs.listens())

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._events.append(event)
            if isinstance(event, CommandStarted):
                self._hand_out()  # before the command says something by itself

    def _hand_out(self) -> None:
        """Each event to each reader, once, whatever the others make of it."""
        self._events.extend(self._report.log.events())
        while self._events:
            event = self._events.popleft()
            for reader in self._readers:
                reader.take(event)

    def _tell_manager(self, now: float) -> None:
        self._notify.status(self._status.text())
        self._notify.feed_watchdog(now)

    def _breathe(self, error: Exception) -> None:
        """After a turn that failed: heed signals, and nothing else, for a moment."""
        now = monotonic()
        fault = self._faults.note(error, now)
        if fault is not None:
            self._tell([InternalFault(now, fault.lines, fault.count)])
        if self._only_signals.select(self._faults.pause()):
            self._obey()

    def _seconds_to_wait(self) -> float:
        now = monotonic()
        deadlines = (
            self._proofs.next_deadline(),
            self._doors.next_deadline(now),
            self._report.next_deadline(now),
            self._capture.next_deadline(),
            self._notify.next_deadline(),
            self._alarms.next_deadline(),
            self._metrics.next_deadline(),
            None if self._service is None else self._service.next_deadline(),
        )
        waits = [deadline - now for deadline in deadlines if deadline is not None]
        return min(max(0.0, min(waits, default=LONGEST_WAIT_SECONDS)), LONGEST_WAIT_SECONDS)

    def _obey(self) -> None:
        for number in self._world.signals.arrived():
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stopping = True
            elif number == signal.SIGHUP:
                self._is_to_reload = True

    def _reload(self, now: float) -> tuple[str, ...]:
        """Read the files again. With mistakes in them, which it returns, the old doors stay, whole."""
        mistakes: tuple[str, ...] = ()
        self._notify.reloading()
        self._tell([Reloading(now, self._world.config_path)])
        try:
            self._take_over(self._world.read_config(), now)
        except (ConfigError, CaptureError) as error:
            mistakes = error.lines if isinstance(error, ConfigError) else (str(error),)
            self._tell([ConfigRefused(now, mistakes)])
        self._reopen_log(now)
        self._notify.ready()
        return mistakes

    def _take_over(self, config: Config, now: float) -> None:
        """All that is new is made before anything old goes. Raises CaptureError."""
        proofs = self._make_proofs(config)
        try:
            self._capture.listen(proofs.listens())
        except CaptureError:
            self._capture.listen(self._proofs.listens())
            raise
        old, self._config = self._config, config
        self._tell(self._proofs.end(now))
        self._proofs = proofs
        self._heed_extras(config)
        self._alarms.heed(config.extras.alerts)
        self._tell(self._doors.prepare(config.doors, now))
        interfaces = (old.interface, old.extras.interfaces)
        changed = interfaces != (config.interface, config.extras.interfaces)
        self._tell([ConfigTaken(now, changed)])
        self._tell(proofs.disabled(now))

    def _reopen_log(self, now: float) -> None:
        config = self._config
        if config.log_file is not None:
            self._tell([LogReopened(now, config.log_file)])
        self._hand_out()
        self._report.log.open(config.log_file, use_syslog=config.use_syslog)

    def _house(self) -> House:
        return House(
            state=self._state,
            status=self._status,
            doors=self._doors,
            journal=self._world.journal,
            config_path=self._world.config_path,
            config=lambda: self._config,
            attempts=lambda: self._proofs.attempts,
            tell=self._tell_now,
            reload=lambda: self._reload(monotonic()),
            check=self._check,
        )

    def _tell_now(self, events: Iterable[Event]) -> None:
        self._tell(events)
        self._hand_out()

    def _check(self, answer: Callable[[tuple[str, ...]], None]) -> None:
        """Look at the files beside the loop, and give ``answer`` what there is to say of them."""
        if not self._worker.submit(lambda: partial(answer, self._world.check())):
            answer(())

    def _make_proofs(self, config: Config) -> Proofs:
        return Proofs(config.doors, config.extras.limits, self._worker, self._note)

    def _note(self, marked: Marked) -> None:
        self._marked.append(marked)

    def _heed_extras(self, config: Config) -> None:
        limits, self._metrics.path = config.extras.limits, config.extras.metrics_file
        self._report.allow(limits.log_lines)
        self._doors.change_limits(limits)
        self._flood.rate, self._flood.most = limits.first_knocks, limits.attempts
        self._flood.patience = config.patience

    def _run_on_stop(self) -> None:
        now = monotonic()
        deadline = now + STOP_SECONDS
        self._alarms.run("on_stop", self._config.extras.on_stop, now)
        while self._alarms.is_busy and now < deadline:
            self._only_signals.select(_STOP_POLL_SECONDS)
            now = monotonic()
            self._tell(self._alarms.work(now))

    def _close_doors(self) -> None:
        now = monotonic()
        deadline = now + STOP_SECONDS
        self._tell(self._doors.close_all(now))
        while self._doors.is_busy(now) and now < deadline:
            self._selector.select(_STOP_POLL_SECONDS)
            now = monotonic()
            self._tell(self._doors.work(now))
        self._hand_out()
