"""What the daemon is given: everything that reaches out of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyknockd.capture import Flood
from pyknockd.control import Server
from pyknockd.doors import Journal
from pyknockd.model import Config, Knock, Listen
from pyknockd.model.events import Event
from pyknockd.report import Report
from pyknockd.system.signals import Signals
from pyknockd.system.systemd import Notify


class Capture(Protocol):
    """What the daemon needs to hear knocks with."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def fileno(self) -> int: ...
    def listen(self, listens: Sequence[Listen]) -> None: ...
    def read(self, now: float) -> Iterable[Knock]: ...
    def events(self, now: float) -> Sequence[Event]: ...
    def next_deadline(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class World:
    """All that the daemon is given.

    ``capture`` makes the capture behind a flood control. ``read_config`` reads the configuration
    again: ConfigError. ``config_path`` is what that reads. ``check`` says what is to be said of the
    files as they are now; it may wait for a disk. ``server`` is what knockctl speaks to, if anything.
    ``notify`` tells the service manager.
    """

    capture: Callable[[Flood], Capture]
    signals: Signals
    report: Report
    journal: Journal
    read_config: Callable[[], Config]
    config_path: str
    check: Callable[[], tuple[str, ...]] = tuple
    server: Server | None = None
    notify: Notify = field(default_factory=Notify)
