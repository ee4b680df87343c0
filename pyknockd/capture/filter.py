"""Doors and addresses → the kernel's packet filter, as classic BPF (linux/filter.h, bpf(4)).

The filter only spares the daemon what no door listens to; the machine decides. So it may let too
much through and never too little, and that is how it stays small: many ports become ranges, many
addresses no condition. It has to: the kernel counts a filter, in its own form, against what a socket
may hold besides packets (net.core.optmem_max, where that is least 10 KiB: 32 bits, before 6.7), and
the old one with it when it is replaced. It is written here and not by libpcap, whose optimizer takes
minutes over some hundred doors and which Debian's scapy works without.

The program keeps where the IP header begins in X, the protocol in M[0], then moves X on to the
transport header. Reading past a packet's end makes the kernel drop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise
from struct import Struct

from pyknockd.capture.decode import ETHERTYPES_VLAN, EXTENSIONS
from pyknockd.model import Door, Link, Protocol

MOST_RANGES = 100
MOST_ADDRESSES = 32
MOST_FLAG_CONDITIONS = 4
SNAP_LENGTH = 512  # bytes of a packet that reach the daemon: every header that the decoder walks

_INSTRUCTION = Struct("=HBBI")
_OTHER_HOST, _OUTGOING = 3, 4  # PACKET_OTHERHOST, PACKET_OUTGOING, linux/if_packet.h
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF: from here on offsets count from the IP header
_FRAGMENT_OFFSET = 0x1FFF

# Opcodes: class | size | mode, linux/bpf_common.h.
_LD_WORD, _LD_HALF, _LD_BYTE = 0x40, 0x48, 0x50  # X + k, below as absolute: 0x20, 0x28
_LD_ABSOLUTE, _LD_HALF_ABSOLUTE, _LD_MEMORY = 0x20, 0x28, 0x60
_LDX, _STORE, _TAX, _TXA = 0x01, 0x02, 0x07, 0x87
_ADD, _ADD_X, _AND, _SHIFT_LEFT, _SHIFT_RIGHT = 0x04, 0x0C, 0x54, 0x64, 0x74
_JUMP, _IF_EQUAL, _IF_ABOVE, _IF_AT_LEAST, _IF_SET = 0x05, 0x15, 0x25, 0x35, 0x45
_RETURN = 0x06


@dataclass(slots=True)
class _Program:
    """Instructions under way; jumps hold a label's name until ``encode`` knows where it is."""

    instructions: list[tuple[int, int, int, int | str]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, code: int, value: int = 0) -> None:
        self.instructions.append((code, 0, 0, value))

    def label(self, name: str) -> None:
        self.labels[name] = len(self.instructions)

    def jump(self, label: str) -> None:
        self.instructions.append((_JUMP, 0, 0, label))

    def branch(self, code: int, value: int, *, true: int = 0, false: int = 0) -> None:
        """Skip so many instructions, at most 255, if the condition is true or false."""
        self.instructions.append((code, true, false, value))

    def jump_if(self, code: int, value: int, label: str) -> None:
        self.branch(code, value, false=1)
        self.jump(label)

    def jump_unless(self, code: int, value: int, label: str) -> None:
        self.branch(code, value, true=1)
        self.jump(label)

    def fresh_label(self) -> str:
        return f"at {len(self.instructions)}"

    def encode(self) -> bytes:
        code = bytearray()
        for position, (opcode, true, false, value) in enumerate(self.instructions):
            if isinstance(value, str):
                value = self.labels[value] - position - 1
            code += _INSTRUCTION.pack(opcode, true, false, value)
        return bytes(code)


def program(doors: Sequence[Door], own: Iterable[str], link: Link) -> bytes:
    """The filter for an interface whose frames begin as ``link`` says: an array of ``sock_filter``.

    ``own`` are its addresses, which doors without a target listen to.
    """
    listening = [door for door in doors if door.steps]
    addresses = {door.target for door in listening if door.target is not None}
    if any(door.target is None for door in listening):
        addresses.update(own)
    code = _Program()
    _incoming(code, listening)
    _find_ip_header(code, link)
    _ipv4(code, _packed(addresses, 4))
    _ipv6(code, _packed(addresses, 6))
    _transport(code, listening)
    code.label("accept")
    code.add(_RETURN, SNAP_LENGTH)
    code.label("drop")
    code.add(_RETURN, 0)
    return code.encode()


def _packed(addresses: Iterable[str], version: int) -> list[bytes]:
    """The bytes of those that are addresses of this IP version; a target may be any text."""
    found = set()
    for address in addresses:
        with suppress(ValueError):
            one = ip_address(address)
            if one.version == version:
                found.add(one.packed)
    return sorted(found)


def _incoming(code: _Program, doors: list[Door]) -> None:
    code.add(_LD_ABSOLUTE, _PACKET_TYPE)
    code.jump_if(_IF_EQUAL, _OUTGOING, "drop")
    # Another's MAC address shows where something else made the interface promiscuous. Only who
    # guards another host can be meant by such a frame: on a bridge, they all look like that.
    if all(door.target is None for door in doors):
        code.jump_if(_IF_EQUAL, _OTHER_HOST, "drop")


def _find_ip_header(code: _Program, link: Link) -> None:
    offsets = (14, 18, 22) if link is Link.ETHERNET else (_NETWORK_HEADER,)
    for offset in offsets:
        code.add(_LDX, offset)
        if offset != offsets[-1]:
            code.add(_LD_HALF_ABSOLUTE, offset - 2)
            tagged = code.fresh_label()
            for ethertype in sorted(ETHERTYPES_VLAN):
                code.jump_if(_IF_EQUAL, ethertype, tagged)
            code.jump("ip")
            code.label(tagged)
    code.label("ip")
    code.add(_LD_BYTE, 0)
    code.add(_SHIFT_RIGHT, 4)
    code.jump_if(_IF_EQUAL, 6, "ipv6")
    code.jump_unless(_IF_EQUAL, 4, "drop")


def _ipv4(code: _Program, addresses: list[bytes]) -> None:
    _destination(code, addresses, 16)
    code.add(_LD_HALF, 6)
    code.jump_if(_IF_SET, _FRAGMENT_OFFSET, "drop")
    code.add(_LD_BYTE, 9)
    code.add(_STORE, 0)
    code.add(_LD_BYTE, 0)
    code.add(_AND, 0x0F)
    code.add(_SHIFT_LEFT, 2)
    code.add(_ADD_X)
    code.jump("transport")


def _ipv6(code: _Program, addresses: list[bytes]) -> None:
    code.label("ipv6")
    _destination(code, addresses, 24)
    code.add(_LD_BYTE, 6)
    for extension in sorted(EXTENSIONS):
        code.jump_if(_IF_EQUAL, extension, "accept")
    code.add(_STORE, 0)
    code.add(_TXA)
    code.add(_ADD, 40)


def _destination(code: _Program, addresses: list[bytes], offset: int) -> None:
    """Drop what is not for one of ``addresses``, whose text stands ``offset`` bytes into the header.

    Their last four bytes tell IPv6 ones apart well enough.
    """
    if len(addresses) > MOST_ADDRESSES:
        return
    if addresses:
        code.add(_LD_WORD, offset + len(addresses[0]) - 4)
    ends = sorted({int.from_bytes(address[-4:], "big") for address in addresses})
    for position, end in enumerate(ends):
        code.branch(_IF_EQUAL, end, true=len(ends) - position)
    code.jump("drop")


def _transport(code: _Program, doors: list[Door]) -> None:
    """A holds where the transport header begins, M[0] the protocol."""
    conditions = _flag_conditions(doors)
    udp = _ports(doors, Protocol.UDP)
    most_ranges = MOST_RANGES // max(1, len(conditions) + bool(udp))
    code.label("transport")
    code.add(_TAX)
    code.add(_LD_MEMORY, 0)
    code.jump_if(_IF_EQUAL, Protocol.TCP.value, "tcp")
    code.jump_unless(_IF_EQUAL, Protocol.UDP.value, "drop")
    code.add(_LD_HALF, 2)
    _search(code, _ranges(udp, most_ranges), "drop")
    code.label("tcp")
    for (looked_at, wanted), ports in conditions.items():
        following = code.fresh_label() + " condition"
        if looked_at:
            code.add(_LD_BYTE, 13)
            code.add(_AND, looked_at)
            code.jump_unless(_IF_EQUAL, wanted, following)
        code.add(_LD_HALF, 2)
        _search(code, _ranges(ports, most_ranges), following)
        code.label(following)
    code.jump("drop")


def _flag_conditions(doors: list[Door]) -> dict[tuple[int, int], list[int]]:
    """(flags looked at, flags wanted) → the TCP ports of the doors that make that condition."""
    groups: dict[tuple[int, int], list[Door]] = {}
    for door in doors:
        condition = (int(door.required | door.forbidden), int(door.required))
        if any(step.protocol is Protocol.TCP for step in door.steps):
            groups.setdefault(condition, []).append(door)
    if len(groups) > MOST_FLAG_CONDITIONS:
        groups = {(0, 0): doors}
    return {condition: _ports(group, Protocol.TCP) for condition, group in groups.items()}


def _ports(doors: Iterable[Door], protocol: Protocol) -> list[int]:
    return sorted({s.port for door in doors for s in door.steps if s.protocol is protocol})


def _ranges(ports: list[int], most: int) -> list[tuple[int, int]]:
    """(lowest, highest) of each of at most ``most`` ranges with all ``ports`` in them.

    ``ports`` are sorted. The narrowest gaps between them are bridged.
    """
    gaps = sorted(range(1, len(ports)), key=lambda i: ports[i - 1] - ports[i])
    ends = sorted(i for i in gaps[: most - 1] if ports[i] - ports[i - 1] > 1)
    return [(ports[i], ports[j - 1]) for i, j in pairwise([0, *ends, len(ports)]) if i < j]


def _search(code: _Program, ranges: list[tuple[int, int]], miss: str) -> None:
    """Accept if A is in one of ``ranges``."""
    for position, (low, high) in enumerate(ranges):
        to_accept = 2 * (len(ranges) - position) - 1
        code.branch(_IF_AT_LEAST, low, false=1)
        code.branch(_IF_ABOVE, high, false=to_accept)
    code.jump(miss)
    if ranges:
        code.add(_RETURN, SNAP_LENGTH)
