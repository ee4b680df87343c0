"""Commands that are no door's: those of alerts, and of the start and the stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from pyknockd.model import Alert, expand
from pyknockd.model.events import Event, HookEnded
from pyknockd.report.alerts import Alerts
from pyknockd.system.process import CommandError, Programs

MOST_AT_ONCE = 16  # of more the newest are not run, which is told
KILL_SECONDS = 60.0
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class _Running:
    """``name`` is whose command it is."""

    number: int
    name: str
    command: str
    since: float


class Alarms:
    """Reads events; ``work`` tells of alerts, and of commands that failed."""

    def __init__(self, alerts: Sequence[Alert] = ()) -> None:
        self._alerts = Alerts(alerts)
        self._programs = Programs()
        self._running: dict[int, _Running] = {}
        self._numbers = count()
        self._failed: list[Event] = []

    def heed(self, alerts: Sequence[Alert]) -> None:
        """Count for these from now on; what was counted is forgotten."""
        self._alerts = Alerts(alerts)

    def take(self, event: Event) -> None:
        """Heed ``event``."""
        self._alerts.take(event)

    def run(self, name: str, commands: Sequence[str], now: float) -> None:
        """Have ``commands`` run, in no order; nobody waits for them."""
        for command in commands:
            if len(self._running) >= MOST_AT_ONCE:
                self._failed.append(HookEnded(now, name, command, 0, "too many run already"))
                continue
            one = _Running(next(self._numbers), name, command, now)
            try:
                self._programs.start(one.number, (_SHELL, "-c", command))
            except CommandError as error:
                self._failed.append(HookEnded(now, name, command, error.status, str(error)))
            else:
                self._running[one.number] = one

    def work(self, now: float) -> Iterator[Event]:
        """What there is to tell since the last call."""
        for alerted in self._alerts.raised():
            yield alerted
            command = alerted.alert.command.replace("%DOOR%", alerted.door)
            if command:
                self.run(
                    f"alert {alerted.alert.when.value}", [expand(command, alerted.source)], now
                )
        for ended in self._programs.ended():
            one = self._running.pop(ended.key) if isinstance(ended.key, int) else None
            if one is not None and ended.status:
                yield HookEnded(now, one.name, one.command, ended.status)
        for one in self._running.values():
            if now - one.since >= KILL_SECONDS:
                self._programs.kill(one.number)
        failed, self._failed = self._failed, []
        yield from failed

    @property
    def is_busy(self) -> bool:
        """Whether any command is under way."""
        return bool(self._running)

    def next_deadline(self) -> float | None:
        """When ``work`` is to be called at the latest, or None. An ended program calls for it too."""
        return min((one.since + KILL_SECONDS for one in self._running.values()), default=None)
