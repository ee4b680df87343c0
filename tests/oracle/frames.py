"""Link-layer frames for the oracle and for pyknockd's capture: what a client's knock looks like."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

SYN = 0x02
ACK = 0x10
_TCP, _UDP = 6, 17


@dataclass(frozen=True, slots=True)
class Route:
    """From where to where a packet goes; two IPv4 or two IPv6 addresses as text."""

    source: str
    destination: str
    source_port: int = 40000


def tcp(route: Route, port: int, flags: int = SYN, sequence_number: int = 1) -> bytes:
    """An Ethernet frame with a TCP segment without data; ``flags`` is the header's byte 13."""
    header = struct.pack(
        "!HHIIBBHHH", route.source_port, port, sequence_number, 0, 5 << 4, flags, 64240, 0, 0
    )
    return ethernet(route, _TCP, header)


def udp(route: Route, port: int, data: bytes = b"\n") -> bytes:
    """An Ethernet frame with a UDP datagram."""
    header = struct.pack("!HHHH", route.source_port, port, 8 + len(data), 0)
    return ethernet(route, _UDP, header + data)


def ethernet(route: Route, protocol: int, payload: bytes) -> bytes:
    """``payload`` of IP protocol number ``protocol`` in an IP header, in an Ethernet header."""
    packet = ip(route, protocol, payload)
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return b"\x02\x00\x00\x00\x00\x01" + b"\x02\x00\x00\x00\x00\x02" + kind + packet


def ip(route: Route, protocol: int, payload: bytes) -> bytes:
    """The IP packet alone, as raw links carry it. Checksums are zero: nothing here reads them."""
    source, destination = ip_address(route.source), ip_address(route.destination)
    if isinstance(source, IPv4Address):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    else:
        head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    return head + source.packed + destination.packed + payload
