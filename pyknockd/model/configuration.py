"""What the two files of settings say, and what there is to say about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyknockd.model.alerts import Alert
from pyknockd.model.doors import Door
from pyknockd.model.policy import Policy

ANY_INTERFACE = "any"
AUTO_INTERFACE = "auto"


class Timers(Enum):
    """What a stop does with timed doors that stand open."""

    KEEP = "keep"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each thing there may be.

    ``first_knocks`` are those of unknown sources that are looked at in a second, before the others
    are put aside; ``log_lines`` the lines a second of each kind that are not left out; ``history_rows``
    and ``history_days`` how much of the past the journal keeps.
    """

    attempts: int = 65_536
    first_knocks: int = 200
    commands: int = 64
    log_lines: int = 200
    hung_seconds: int = 60
    history_rows: int = 10_000
    history_days: int = 90


@dataclass(frozen=True, slots=True)
class Directive:
    """A key of knockd.conf's and its value, at that line of pyknockd.yaml."""

    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """What pyknockd.yaml says of a door, from ``line`` on.

    A door that is in knockd.conf has no ``directives``: those are a door's of its own.
    """

    name: str
    line: int
    policy: Policy
    directives: tuple[Directive, ...] = ()


@dataclass(frozen=True, slots=True)
class Extras:
    """A whole pyknockd.yaml. No ``interfaces`` means that the file does not say.

    ``last_good``: a start that finds mistakes takes the files as they were without.
    ``control`` is where knockctl's socket lies, ``metrics_file`` where counts are written; None is
    where the file does not say.
    """

    interfaces: tuple[str, ...] = ()
    limits: Limits = Limits()
    timers: Timers = Timers.KEEP
    last_good: bool = False
    doors: tuple[DoorSettings, ...] = ()
    alerts: tuple[Alert, ...] = ()
    on_start: tuple[str, ...] = ()
    on_stop: tuple[str, ...] = ()
    control: str | None = None
    metrics_file: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole knockd.conf, ``None`` where it does not say, and pyknockd.yaml as ``extras``."""

    doors: tuple[Door, ...] = ()
    use_syslog: bool = False
    log_file: str | None = None
    pid_file: str | None = None
    interface: str | None = None
    extras: Extras = Extras()

    @property
    def patience(self) -> float:
        """Seconds after which a first knock is of no more use to any attempt."""
        return max((door.timeout for door in self.doors), default=0.0)


class Severity(Enum):
    """Whether a remark keeps the file from being used."""

    MISTAKE = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the file that its author should know. ``line`` counts from 1; 0 is none."""

    severity: Severity
    line: int
    text: str
