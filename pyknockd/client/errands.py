"""The nouns of the client: what is to be done at one host, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyknockd.model import Protocol

SENT, NOT_SENT, NOT_IN = 0, 1, 3  # exit statuses; 3: the port that was waited for did not answer
INTERRUPTED = 130  # what a shell answers for a program that Ctrl-C has ended
WAIT_SECONDS = 3.0
RETRIES = 3
NAMED_DELAY = 0.02  # seconds: what a named host's packets stand apart if it says nothing


class ClientError(Exception):
    """Nothing can be sent; the text says why, for standard error."""


class Family(Enum):
    """Over which address family: whichever the system prefers, one, or both in turn."""

    ANY = "any"
    V4 = "4"
    V6 = "6"
    BOTH = "both"


class Seen(Enum):
    """What a port that is waited for did; the value is what the screen says."""

    SENT = "sent"
    OPEN = "open"
    REFUSED = "refused"
    SILENT = "no answer"
    UNREACHABLE = "unreachable"
    UNRESOLVED = "the name does not resolve"
    FAILED = "not sent"


@dataclass(frozen=True, slots=True)
class Hit:
    """One packet to send. ``label`` is the port as the user wrote it, which ``-v`` prints."""

    protocol: Protocol
    port: int
    label: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The port to try after a knock, on ``host`` if that is another, and for how many seconds."""

    port: str
    seconds: float = WAIT_SECONDS
    host: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """How packets leave: from which interface and address, and whether TCP ones as whole connects."""

    interface: str = ""
    source: str = ""
    connect: bool = False


@dataclass(frozen=True, slots=True)
class Errand:
    """One host. ``ports`` are as typed, ``delay`` is in seconds; ``one_time`` is a file's path.

    ``held``: sockets stay open for the delay, so that an unanswered SYN is sent again.
    """

    name: str
    host: str
    ports: tuple[str, ...]
    udp: bool = False
    delay: float = 0.0
    family: Family = Family.ANY
    way: Way = Way()
    wait: Wait | None = None
    retries: int = RETRIES
    one_time: str = ""
    held: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an errand. ``tries`` is how often it was knocked, ``seconds`` how long it took."""

    name: str
    host: str
    seen: Seen
    tries: int
    seconds: float
    port: str = ""
    complete: bool = True

    @property
    def status(self) -> int:
        """The exit status."""
        if self.seen in (Seen.SENT, Seen.FAILED):
            return SENT if self.complete and self.seen is Seen.SENT else NOT_SENT
        return SENT if self.seen is Seen.OPEN else NOT_IN
