"""Capture files, byte by byte: pcap and pcapng.

Sources: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html, and -pcapng-03.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import pack

ETHERNET, RAW, LOOP, NULL, COOKED, COOKED_2, RADIO = 1, 101, 108, 0, 113, 276, 127
MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
SNAP_LENGTH = 262_144
INCOMING, OUTGOING = 0, 4  # PACKET_HOST, PACKET_OUTGOING
ARP_ETHERNET, ARP_LOOPBACK = 1, 772


@dataclass(frozen=True, slots=True)
class At:
    """A packet and its time, in seconds since the epoch."""

    time: float
    data: bytes


def pcap(
    packets: Iterable[At], link_type: int = ETHERNET, *, magic: int = MICROSECONDS, order: str = "<"
) -> bytes:
    """``order`` is ``<`` or ``>``."""
    parts = 10**9 if magic == NANOSECONDS else 10**6
    content = pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, SNAP_LENGTH, link_type)
    for one in packets:
        ticks, length = round(one.time * parts), len(one.data)
        content += pack(f"{order}IIII", ticks // parts, ticks % parts, length, length) + one.data
    return content


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of pcapng."""
    body += bytes(-len(body) % 4)
    length = pack(f"{order}I", len(body) + 12)
    return pack(f"{order}I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    name: str = "", link_type: int = ETHERNET, *, resolution: int | None = None, order: str = "<"
) -> bytes:
    """``resolution`` is the byte of if_tsresol. The options end without a mark, as they may."""
    options = option(2, name.encode(), order) if name else b""
    if resolution is not None:
        options += option(9, bytes((resolution,)), order)
    return block(1, pack(f"{order}HxxI", link_type, SNAP_LENGTH) + options, order)


def packet(
    number: int, ticks: int, data: bytes, *, options: bytes = b"", order: str = "<"
) -> bytes:
    """An Enhanced Packet Block of the interface of that number."""
    head = pack(f"{order}IIIII", number, ticks >> 32, ticks & 2**32 - 1, len(data), len(data))
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def cooked(packet: bytes, kind: int = INCOMING, hardware: int = ARP_ETHERNET) -> bytes:
    """As `tcpdump -i any` has it before libpcap 1.10; the packet may begin with VLAN tags."""
    return pack("!HHHQH", kind, hardware, 6, 0, _protocol(packet)) + packet


def cooked_2(
    packet: bytes, kind: int = INCOMING, hardware: int = ARP_ETHERNET, number: int = 2
) -> bytes:
    """As it has it since; ``number`` is the interface's."""
    return pack("!HxxIHBBQ", _protocol(packet), number, hardware, kind, 6, 0) + packet


def _protocol(packet: bytes) -> int:
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800
