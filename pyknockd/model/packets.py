"""Packets: what is listened for, and what was heard."""

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


class Link(Enum):
    """How a frame of an interface begins: with an Ethernet header, or at once with the IP header."""

    ETHERNET = "ethernet"
    IP = "ip"


@dataclass(frozen=True, slots=True)
class Listen:
    """What somebody wants to hear: packets of a protocol to a port from ``low`` to ``high``.

    ``target`` is the one destination address meant; ``None`` means every address of the interface
    that a packet came in on. Of a TCP segment the flags ``required`` must be set and those
    ``forbidden`` must not. ``payload`` is how many octets behind the UDP header are wanted.
    ``can_wait``: a first packet of an unknown source does nothing by itself, so that under a flood
    it may be put aside until its source sends another.
    """

    protocol: Protocol
    low: int
    high: int
    target: str | None = None
    required: Flags = Flags(0)
    forbidden: Flags = Flags(0)
    payload: int = 0
    can_wait: bool = True


@dataclass(frozen=True, slots=True)
class Knock:
    """A TCP segment or UDP datagram as the capture heard it.

    ``time`` is when it came in, in seconds of the loop's clock. ``local`` says whether
    ``destination`` is an address of the interface it came in on. ``sequence_number`` is TCP's and
    tells a retransmission from a new connection; 0 for UDP. ``bare``: a TCP segment without options,
    as no TCP sends them first. ``payload`` is what stands behind the UDP header, as far as somebody
    listens for it. ``interface`` is the one it came in on, empty where that is not known.
    """

    source: str
    destination: str
    local: bool
    protocol: Protocol
    port: int
    source_port: int = 0
    flags: Flags | int = 0
    sequence_number: int = 0
    time: float = 0.0
    payload: bytes = b""
    bare: bool = False
    interface: str = ""
