"""The one builder of packets: a TCP or UDP header, an IP packet around it, a frame around that.

Checksums are zero, since no capture looks at them; ``with_checksums`` is for what a host is to take.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from struct import pack

SYN, ACK = 0x02, 0x10
TCP, UDP = 6, 17
IPV4, IPV6 = 0x0800, 0x86DD
"""Ethertypes."""

TAG, OUTER_TAG = b"\x81\x00\x00\x05", b"\x88\xa8\x00\x06"
"""VLAN tags: 802.1Q and 802.1ad."""

HOP_BY_HOP = bytes((43, 0)) + bytes(6)
ROUTING = bytes((60, 1)) + bytes(14)
DESTINATION = bytes((TCP, 0)) + bytes(6)
"""IPv6 extension headers in the order in which they name each other, the last before TCP."""


@dataclass(frozen=True, slots=True)
class Route:
    """From where to where a packet goes; two IPv4 or two IPv6 addresses as text."""

    source: str
    destination: str


OWN = frozenset(("192.0.2.1", "2001:db8::1"))
"""Where packets go to unless a test says otherwise."""

ROUTE = Route("198.51.100.7", "192.0.2.1")
ROUTE_6 = Route("2001:db8::7", "2001:db8::1")
ELSEWHERE = Route("198.51.100.7", "192.0.2.9")


MSS = b"\x02\x04\x05\xb4"  # the option that every TCP's first segment has, RFC 9293, 3.7.1


def tcp(
    port: int,
    flags: int = SYN,
    *,
    number: int = 12_345,
    source_port: int = 40_000,
    options: bytes = b"",
) -> bytes:
    """A TCP header; ``flags`` is its byte 13, ``number`` its sequence number."""
    offset = (5 + len(options) // 4) << 4
    return pack("!HHIIBBHHH", source_port, port, number, 0, offset, flags, 1024, 0, 0) + options


def udp(port: int, data: bytes = b"x", *, source_port: int = 40_000) -> bytes:
    """A UDP datagram."""
    return pack("!HHHH", source_port, port, 8 + len(data), 0) + data


def ipv4(
    payload: bytes,
    protocol: int = TCP,
    *,
    route: Route = ROUTE,
    options: bytes = b"",
    fragment: int = 0,
) -> bytes:
    """``options`` are a multiple of four bytes; ``fragment`` is the header's flags and offset."""
    length = 20 + len(options)
    total = length + len(payload)
    head = pack("!BBHHHBBH", 0x40 | length // 4, 0, total, 1, fragment, 64, protocol, 0)
    return head + _addresses(route) + options + payload


def ipv6(payload: bytes, following: int = TCP, *, route: Route = ROUTE_6) -> bytes:
    """``following`` is the number of the first header in ``payload``."""
    return pack("!IHBB", 6 << 28, len(payload), following, 64) + _addresses(route) + payload


def ip(payload: bytes, protocol: int, route: Route) -> bytes:
    """Of the family that ``route`` has."""
    make = ipv6 if ":" in route.source else ipv4
    return make(payload, protocol, route=route)


def ethernet(
    packet: bytes, ethertype: int | None = None, *, tags: bytes = b"", hardware: bytes = bytes(12)
) -> bytes:
    """``ethertype`` is the packet's own by default; ``hardware`` the two hosts' addresses."""
    own = IPV6 if packet[:1] and packet[0] >> 4 == 6 else IPV4
    return hardware + tags + pack("!H", own if ethertype is None else ethertype) + packet


def with_checksums(packet: bytes) -> bytes:
    """An IPv4 packet without options, with its own checksum and that of a TCP header in it."""
    head, addresses, payload = packet[:10], packet[12:20], packet[20:]
    if packet[9] == TCP:
        pseudo = addresses + pack("!HH", TCP, len(payload))
        payload = payload[:16] + _checksum(pseudo + payload) + payload[18:]
    return head + _checksum(head + addresses) + addresses + payload


def _addresses(route: Route) -> bytes:
    return ip_address(route.source).packed + ip_address(route.destination).packed


def _checksum(data: bytes) -> bytes:
    """RFC 1071, of an even number of bytes in which the checksum's own are left out or zero."""
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return pack("!H", ~total & 0xFFFF)


GOOD = (
    ethernet(ipv4(tcp(7000))),
    ethernet(ipv6(HOP_BY_HOP + ROUTING + DESTINATION + tcp(7000), 0)),
    ipv4(udp(7000), UDP),
)
"""To be mangled: two frames of Ethernet, and a packet of a link without a header."""
