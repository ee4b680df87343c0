"""Single Packet Authorization: one datagram of fwknop's says who may have which ports, and why he.

What comes first is cheap and needs no secret: length and alphabet. Then the HMAC, in constant time,
of each pair of keys; nothing is decrypted, and nothing told of, but what has a right one. Then come
the packet's own words: its time, whom it speaks for and what it asks. A refusal has a reason, and the
first access whose HMAC is right says which.

Whether a packet was used before only the disk knows: a ``Grant`` is one once ``replays`` has said that
its ``digest`` is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

from pyknockd.model import Network, Protocol
from pyknockd.model.access import Access, MessageType, Nat, Port
from pyknockd.proof.spa_crypto import CryptoMissingError
from pyknockd.proof.spa_packet import (
    HmacCheck,
    MalformedError,
    Message,
    Part,
    body_of,
    hmac_check,
    may_be_one,
    read,
)

SENDER = "0.0.0.0"  # in a packet: the address it comes from, of whatever family
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP}


class Reason(Enum):
    """Why a packet opens nothing. Up to HMAC anybody may have sent it."""

    NOT_SPA = "not-spa"
    HMAC = "hmac"  # another key, another HMAC type, or no HMAC
    NO_CRYPTO = "no-crypto"  # the library for its cipher is missing
    MALFORMED = "malformed"
    REPLAYED = "replayed"
    SOURCE = "source"  # the access is not for where it comes from, or goes to
    EXPIRED = "expired"  # the access is
    COMMAND = "command"  # it wants a command run
    CLOCK = "clock"
    ADDRESS = "address"  # none that may be let in, or not one that the access allows
    USER = "user"
    NAT = "nat"
    PORT = "port"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a packet came from and went to, and when: Unix time, by our clock."""

    source: str
    destination: str
    time: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not. What lies behind the HMAC has its ``access``, and ``message`` if it could be read.

    ``seconds_off`` is how far the client's clock is ahead of ours, below 0 behind it; ``port`` the first
    that may not be asked for; ``part`` what of the packet is not right.
    """

    reason: Reason
    access: Access | None = None
    message: Message | None = None
    seconds_off: int = 0
    port: Port | None = None
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What is to be opened: ``ports`` for ``address``, for so many ``seconds``.

    ``digest`` is this packet's and no other's. ``nat`` is where connections go on to, in an address of
    that machine.
    """

    access: Access
    address: str
    ports: tuple[Port, ...]
    seconds: int
    message: Message
    arrival: Arrival
    digest: bytes
    nat: Nat | None = None


@dataclass(frozen=True, slots=True)
class _Lock:
    access: Access
    check: HmacCheck


def never_used(_digest: bytes) -> bool:
    """For whoever asks the disk afterwards, and nobody before."""
    return False


class Spa:
    """Judges packets by ``accesses``: the first that says yes decides.

    ``is_used`` may know of packets that were used already, without asking the disk.
    """

    def __init__(
        self, accesses: Iterable[Access], is_used: Callable[[bytes], bool] = never_used
    ) -> None:
        self._locks = [_Lock(access, hmac_check(access.keys)) for access in accesses]
        self._is_used = is_used

    def hear(self, payload: bytes, arrival: Arrival) -> Grant | Refusal:
        """What ``payload`` asks for, if it may. Raises nothing, whatever it holds."""
        if not may_be_one(payload):
            return Refusal(Reason.NOT_SPA)
        refusal = Refusal(Reason.HMAC)
        for lock in self._locks:
            if not lock.check.fits(payload):
                continue
            answer = self._open(lock, payload, arrival)
            if isinstance(answer, Grant):
                return answer
            if refusal.reason is Reason.HMAC:
                refusal = answer
        return refusal

    def _open(self, lock: _Lock, payload: bytes, arrival: Arrival) -> Grant | Refusal:
        access = lock.access
        try:
            body = body_of(payload, lock.check)
            digest = sha256(body.salt + body.ciphertext).digest()
            if self._is_used(digest):
                return Refusal(Reason.REPLAYED, access)
            message = read(body, access.keys)
        except CryptoMissingError:
            return Refusal(Reason.NO_CRYPTO, access)
        except MalformedError as error:
            return Refusal(Reason.MALFORMED, access, part=error.part)
        refusal = _untimely(access, message, arrival) or _unwanted(access, message, arrival)
        return refusal or _answer(access, message, arrival, digest)


def _untimely(access: Access, message: Message, arrival: Arrival) -> Refusal | None:
    """Why this is not the time for it."""
    if access.expires is not None and arrival.time >= access.expires:
        return Refusal(Reason.EXPIRED, access, message)
    off = message.stamped - arrival.time
    if abs(off) > access.window:
        return Refusal(Reason.CLOCK, access, message, seconds_off=round(off))
    return None


def _unwanted(access: Access, message: Message, arrival: Arrival) -> Refusal | None:
    """Why it is not for such a packet."""
    if not _is_in(arrival.source, access.sources):
        return Refusal(Reason.SOURCE, access, message)
    if not _is_in(arrival.destination, access.destinations):
        return Refusal(Reason.SOURCE, access, message)
    if message.kind is MessageType.COMMAND:
        return Refusal(Reason.COMMAND, access, message)
    if access.user is not None and message.user != access.user:
        return Refusal(Reason.USER, access, message)
    return None


def _answer(access: Access, message: Message, arrival: Arrival, digest: bytes) -> Grant | Refusal:
    address_text, _, request = message.text.partition(",")
    try:
        ports = _ports(request)
        named = ip_address(address_text)
    except ValueError:
        return Refusal(Reason.MALFORMED, access, message, part=Part.MESSAGE)
    address = arrival.source if address_text == SENDER else str(named)
    if not _may_be_let_in(access, named, arrival):
        return Refusal(Reason.ADDRESS, access, message)
    nat = _nat(access, message, arrival)
    if isinstance(nat, Reason):
        return Refusal(nat, access, message)
    refused = next((port for port in ports if not _may_be_asked_for(access, port)), None)
    if refused is not None:
        return Refusal(Reason.PORT, access, message, port=refused)
    seconds = min(message.timeout, access.longest) or access.open_for
    return Grant(access, address, ports, seconds, message, arrival, digest, nat)


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks:
        return True
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def _may_be_let_in(access: Access, named: IPv4Address | IPv6Address, arrival: Arrival) -> bool:
    """Whether an access may be opened to what a packet names: a machine's address, or its sender."""
    if str(named) == SENDER:
        return not access.needs_address
    if str(named) == arrival.source:
        return True
    return not access.needs_own_address and _is_a_machines(named)


def _is_a_machines(address: IPv4Address | IPv6Address) -> bool:
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return False
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped is None and address.scope_id is None
    return not address.is_reserved and address.packed[0] != 0


def _ports(request: str) -> tuple[Port, ...]:
    """``tcp/22,udp/53``, each once. Raises ValueError."""
    found: dict[Port, None] = {}
    for word in request.split(","):
        protocol, _, number = word.partition("/")
        if protocol not in _PROTOCOLS or not (number.isascii() and number.isdigit()):
            raise ValueError(word)
        if len(number) > 5 or not 1 <= int(number) <= 65_535:
            raise ValueError(word)
        found[Port(_PROTOCOLS[protocol], int(number))] = None
    return tuple(found)


def _may_be_asked_for(access: Access, port: Port) -> bool:
    return port not in access.restricted_ports and (
        access.open_ports is None or port in access.open_ports
    )


def _nat(access: Access, message: Message, arrival: Arrival) -> Nat | Reason | None:
    """Where connections are to go on to. Names are not looked up: that would have to be waited for."""
    if access.forced_nat is not None:
        return access.forced_nat
    if message.nat is None:
        return None
    if message.kind.is_local_nat:
        return Nat(arrival.destination, message.nat.port) if access.may_nat_locally else Reason.NAT
    try:
        host = ip_address(message.nat.host)
    except ValueError:
        return Reason.NAT
    if not access.may_nat or not _is_a_machines(host):
        return Reason.NAT
    return Nat(str(host), message.nat.port)
