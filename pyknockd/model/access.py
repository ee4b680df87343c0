"""Accesses: who may ask for what by one packet, and with which keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from pyknockd.model.packets import Protocol
from pyknockd.model.policy import Network

LONGEST_KEY = 32  # octets of a password; clients take no more
LONGEST_HMAC_KEY = 128  # of a longer one clients use so many, and say nothing


class Digest(Enum):
    """A hash function; the value is hashlib's name of it, and access.conf's in capitals."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    SHA3_256 = "sha3_256"
    SHA3_512 = "sha3_512"


class MessageType(Enum):
    """What kind of thing a packet asks for; the value is its digit in the packet."""

    COMMAND = 0
    ACCESS = 1
    NAT = 2
    ACCESS_TIMEOUT = 3
    NAT_TIMEOUT = 4
    LOCAL_NAT = 5
    LOCAL_NAT_TIMEOUT = 6

    @property
    def has_nat(self) -> bool:
        return self.is_local_nat or self in (MessageType.NAT, MessageType.NAT_TIMEOUT)

    @property
    def is_local_nat(self) -> bool:
        return self in (MessageType.LOCAL_NAT, MessageType.LOCAL_NAT_TIMEOUT)

    @property
    def has_timeout(self) -> bool:
        return self in (
            MessageType.ACCESS_TIMEOUT,
            MessageType.NAT_TIMEOUT,
            MessageType.LOCAL_NAT_TIMEOUT,
        )


@dataclass(frozen=True, slots=True)
class Secret:
    """Octets that nothing shows: no message, no log line, no traceback."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """What a client and a server share: a password of 1 to 32 octets, an HMAC key of 1 to 128.

    Raises ValueError for others: what has no HMAC key would hear everybody.
    """

    encryption: Secret
    hmac: Secret
    hmac_digest: Digest = Digest.SHA256

    def __post_init__(self) -> None:
        if not 1 <= len(self.encryption.octets) <= LONGEST_KEY:
            raise ValueError(f"an encryption key has 1 to {LONGEST_KEY} octets")
        if not 1 <= len(self.hmac.octets) <= LONGEST_HMAC_KEY:
            raise ValueError(f"an HMAC key has 1 to {LONGEST_HMAC_KEY} octets")


@dataclass(frozen=True, slots=True)
class Port:
    """A port that is asked for, or may be: ``tcp/22``. ``number`` is 1 to 65535."""

    protocol: Protocol
    number: int

    def __str__(self) -> str:
        return f"{self.protocol.name.lower()}/{self.number}"


@dataclass(frozen=True, slots=True)
class Nat:
    """Where connections are to be sent on to; ``host`` is empty for this machine."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Cycle:
    """What is run to open and to close, before the variables are filled in.

    ``closing`` is None where nothing is ever to be closed.
    """

    opening: str
    closing: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """One pair of keys and what may be asked for with it.

    ``sources`` and ``destinations`` are the networks that the packet may come from and go to; any if
    there is none. ``open_ports`` are the only ports that may be asked for, ``None`` where the port
    asked for decides nothing; never those of ``restricted_ports``. ``open_for`` is for how many
    seconds, and ``longest`` the most that a client may ask for. ``needs_address``: the packet must
    name an address instead of "whoever sent this"; ``needs_own_address``: and no other than its
    sender's. ``user`` is the only one whose packets count, in the octets of the packet. ``expires``
    is when the access ends, and ``window`` how far, in seconds, a packet's time may be off, both by
    the wall clock.
    """

    name: str
    keys: Keys
    open_ports: tuple[Port, ...] | None = ()
    restricted_ports: tuple[Port, ...] = ()
    sources: tuple[Network, ...] = ()
    destinations: tuple[Network, ...] = ()
    open_for: int = 30
    longest: int = 300
    needs_address: bool = False
    needs_own_address: bool = False
    user: str | None = None
    expires: int | None = None
    window: int = 120
    may_nat: bool = False
    may_nat_locally: bool = False
    forced_nat: Nat | None = None
    cycle: Cycle | None = None
