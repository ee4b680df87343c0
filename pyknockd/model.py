"""The nouns of pyknockd: what a configuration, a packet and an event are made of.

Everything here is a frozen value. Times are seconds as ``float``; addresses are the text that
``inet_ntop`` gives, in its shortest form, so that two equal addresses are two equal strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntFlag


class Protocol(Enum):
    """Transport protocol of a step or a knock; the value is its IP protocol number."""

    TCP = 6
    UDP = 17


class Flags(IntFlag):
    """TCP header flags; the values are their bits in the header's fourteenth byte (RFC 9293, 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20


@dataclass(frozen=True, slots=True)
class Step:
    """One port of a sequence. ``port`` is 0 to 65535."""

    port: int
    protocol: Protocol


PLACEHOLDER = "%IP%"


def expand(template: str, source: str) -> str:
    """``template`` with the address ``source`` in place of every ``%IP%``."""
    return template.replace(PLACEHOLDER, source)


@dataclass(frozen=True, slots=True)
class Command:
    """The text of a command before ``%IP%`` is filled in, for either address family.

    ``None`` means that the directive is absent, the empty text that it is there and says nothing:
    an absent ``v6`` falls back to ``v4``, an empty one does nothing.
    """

    v4: str | None = None
    v6: str | None = None

    def for_source(self, source: str) -> str:
        """The template that serves ``source``; the empty text if there is nothing to run."""
        if ":" in source and self.v6 is not None:
            return self.v6
        return self.v4 or ""

    def is_there(self, source: str) -> bool:
        """Whether a directive says anything for ``source``, be it the empty text."""
        return self.v4 is not None or (":" in source and self.v6 is not None)


@dataclass(frozen=True, slots=True)
class Door:
    """A section of the file: the sequence that opens it and what opening it does.

    ``timeout`` is how many seconds an attempt may take from its first knock, ``open_for`` how many
    seconds pass between the end of the opening command and the closing one. ``target`` is the one
    destination address this door listens to; ``None`` means every address of the interface.
    """

    name: str
    steps: tuple[Step, ...] = ()
    timeout: float = 25.0
    required: Flags = Flags(0)
    forbidden: Flags = Flags(0)
    target: str | None = None
    opening: Command = Command()
    closing: Command = Command()
    open_for: float = 10.0
    one_time_file: str | None = None


ANY_INTERFACE = "any"
AUTO_INTERFACE = "auto"


class Timers(Enum):
    """What a stop does with timed doors that stand open."""

    KEEP = "keep"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each thing there may be.

    ``log_lines`` are the ``Stage`` lines a second that are not left out, ``history_rows`` and
    ``history_days`` how much of the past the journal keeps.
    """

    attempts: int = 65_536
    commands: int = 64
    log_lines: int = 200
    hung_seconds: int = 60
    history_rows: int = 10_000
    history_days: int = 90


@dataclass(frozen=True, slots=True)
class Extras:
    """A whole pyknockd.yaml. No ``interfaces`` means that the file does not say."""

    interfaces: tuple[str, ...] = ()
    limits: Limits = Limits()
    timers: Timers = Timers.KEEP


@dataclass(frozen=True, slots=True)
class Config:
    """A whole knockd.conf, ``None`` where it does not say, and pyknockd.yaml as ``extras``."""

    doors: tuple[Door, ...] = ()
    use_syslog: bool = False
    log_file: str | None = None
    pid_file: str | None = None
    interface: str | None = None
    extras: Extras = Extras()


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


class Link(Enum):
    """How a frame of an interface begins: with an Ethernet header, or at once with the IP header."""

    ETHERNET = "ethernet"
    IP = "ip"


@dataclass(frozen=True, slots=True)
class Knock:
    """A TCP segment or UDP datagram as the capture heard it.

    ``local`` says whether ``destination`` is an address of the interface it came in on.
    ``sequence_number`` is TCP's and tells a retransmission from a new connection; 0 for UDP.
    ``age`` is how many seconds it was put aside before anybody looked at it.
    """

    source: str
    destination: str
    local: bool
    protocol: Protocol
    port: int
    source_port: int = 0
    flags: Flags | int = 0
    sequence_number: int = 0
    age: float = 0.0


class EventKind(Enum):
    """What an attempt can come to, as far as the log speaks of it."""

    STAGE = "stage"
    OPENED = "opened"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to an attempt of ``source`` at ``door``; ``stage`` steps of it are done."""

    kind: EventKind
    source: str
    door: Door
    stage: int


class ActionKind(Enum):
    """Which of a door's commands an action runs."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """One run of one command: ``template`` with ``source`` filled in. Each is itself alone.

    ``number`` is the opening's in the journal. ``recovered``: it was left open by a daemon before
    this one, and perhaps somebody has closed it meanwhile.
    """

    kind: ActionKind
    door: Door
    source: str
    template: str
    number: int = 0
    recovered: bool = False
