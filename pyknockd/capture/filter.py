"""What is listened for → the kernel's packet filter, as classic BPF (linux/filter.h, bpf(4)).

The filter only spares the daemon what nobody listens for; the proofs decide. So it may let too much
through and never too little, and that is how it stays small: many ports become ranges, many
addresses no condition. It has to: the kernel counts a filter, in its own form, against what a socket
may hold besides packets (net.core.optmem_max, where that is least 10 KiB: 32 bits, before 6.7), and
the old one with it when it is replaced. It is written here and not by libpcap, whose optimizer takes
minutes over some hundred ports and which Debian's scapy works without.

The program keeps where the IP header begins in X, the protocol in M[0], then moves X on to the
transport header. Reading past a packet's end makes the kernel drop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct

from pyknockd.capture.decode import ETHERTYPES_VLAN, EXTENSIONS
from pyknockd.model import Link, Listen, Protocol

MOST_RANGES = 100
MOST_ADDRESSES = 32
MOST_FLAG_CONDITIONS = 4
# Bytes of a packet that reach the daemon, besides the payload that is wanted of it: the headers of
# nearly every packet, and every header that the decoder walks over.
SNAP_LENGTH, LONG_SNAP_LENGTH = 128, 512
MOST_PAYLOAD = 65_535

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


@dataclass(frozen=True, slots=True)
class _Range:
    """The ports from ``low`` to ``high``."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class _Ports:
    """Ports, and of a TCP segment the flags that are looked at and those of them that must be set."""

    ranges: tuple[_Range, ...]
    looked_at: int = 0
    wanted: int = 0


class Filter:
    """Makes the filter of each interface for ``listens``.

    ``snap_length`` is the most bytes of a packet that reach the daemon, ``payloads`` what some of
    them are there for.
    """

    def __init__(self, listens: Iterable[Listen], *, ipv4_only: bool = False) -> None:
        listens = [one for one in listens if one.low <= one.high]
        tcp = _flag_groups(one for one in listens if one.protocol is Protocol.TCP)
        udp = [one for one in listens if one.protocol is Protocol.UDP]
        most = MOST_RANGES // max(1, len(tcp) + bool(udp))
        self._tcp = [_Ports(_ranges(of, most), *flags) for flags, of in tcp.items()]
        self._udp = _Ports(_ranges(udp, most))
        self.payloads = tuple(one for one in udp if one.payload > 0)
        self._payload = min(max((one.payload for one in udp), default=0), MOST_PAYLOAD)
        self._ipv4_only = ipv4_only
        targets = {one.target for one in listens}
        self._own_is_meant = None in targets
        targets.discard(None)
        self._targets = _packed(filter(None, targets))
        self._other_hosts_are_meant = bool(targets)
        self.snap_length = LONG_SNAP_LENGTH + self._payload

    def program(self, own: Iterable[bytes], link: Link) -> bytes:
        """The filter of an interface whose frames begin as ``link`` says: an array of ``sock_filter``.

        ``own`` are its addresses, of 4 or 16 bytes: whoever names no target listens to them.
        """
        addresses = sorted(self._targets.union(own if self._own_is_meant else ()))
        code = _Program()
        self._incoming(code)
        _find_ip_header(code, link)
        if not self._ipv4_only:
            code.jump_if(_IF_EQUAL, 6, "ipv6")
        code.jump_unless(_IF_EQUAL, 4, "drop")
        _ipv4(code, [address for address in addresses if len(address) == 4])
        if not self._ipv4_only:
            _ipv6(code, [address for address in addresses if len(address) == 16])
        self._transport(code)
        code.label("look")
        code.add(_RETURN, self.snap_length)
        code.label("drop")
        code.add(_RETURN, 0)
        return code.encode()

    def _incoming(self, code: _Program) -> None:
        code.add(_LD_ABSOLUTE, _PACKET_TYPE)
        code.jump_if(_IF_EQUAL, _OUTGOING, "drop")
        # Another's MAC address shows where something else made the interface promiscuous. Only who
        # guards another host can be meant by such a frame: on a bridge, they all look like that.
        if not self._other_hosts_are_meant:
            code.jump_if(_IF_EQUAL, _OTHER_HOST, "drop")

    def _transport(self, code: _Program) -> None:
        """A holds where the transport header begins, M[0] the protocol."""
        code.label("transport")
        code.add(_TAX)
        code.add(_LD_MEMORY, 0)
        code.jump_if(_IF_EQUAL, Protocol.TCP.value, "tcp")
        code.jump_unless(_IF_EQUAL, Protocol.UDP.value, "drop")
        _search(code, self._udp, "drop", SNAP_LENGTH + self._payload)
        code.label("tcp")
        for ports in self._tcp:
            following = code.fresh_label() + " ports"
            _search(code, ports, following, SNAP_LENGTH)
            code.label(following)
        code.jump("drop")


def _packed(targets: Iterable[str]) -> frozenset[bytes]:
    """The bytes of those that are addresses; a target may be any text."""
    found = set()
    for target in targets:
        for family in (AF_INET, AF_INET6):
            with suppress(OSError, ValueError):
                found.add(inet_pton(family, target))
    return frozenset(found)


def _flag_groups(listens: Iterable[Listen]) -> dict[tuple[int, int], list[Listen]]:
    """(flags looked at, flags wanted) → what listens for TCP segments under that condition."""
    groups: dict[tuple[int, int], list[Listen]] = {}
    for one in listens:
        required, forbidden = int(one.required), int(one.forbidden)
        groups.setdefault((required | forbidden, required), []).append(one)
    if len(groups) > MOST_FLAG_CONDITIONS:
        return {(0, 0): [one for group in groups.values() for one in group]}
    return groups


def _ranges(listens: Iterable[Listen], most: int) -> tuple[_Range, ...]:
    """At most ``most`` ranges with all ports in them; the narrowest gaps between them are bridged."""
    ranges: list[_Range] = []
    for low, high in sorted((one.low, one.high) for one in listens):
        if ranges and low <= ranges[-1].high + 1:
            ranges[-1] = _Range(ranges[-1].low, max(ranges[-1].high, high))
        else:
            ranges.append(_Range(low, high))
    gaps = sorted(range(1, len(ranges)), key=lambda i: ranges[i - 1].high - ranges[i].low)
    ends = sorted([*gaps[: most - 1], *([0, len(ranges)] if ranges else [])])
    return tuple(_Range(ranges[i].low, ranges[j - 1].high) for i, j in pairwise(ends))


def _find_ip_header(code: _Program, link: Link) -> None:
    """Afterwards X holds where it begins, A the IP version."""
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


def _ipv4(code: _Program, addresses: Sequence[bytes]) -> None:
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


def _ipv6(code: _Program, addresses: Sequence[bytes]) -> None:
    code.label("ipv6")
    _destination(code, addresses, 24)
    code.add(_LD_BYTE, 6)
    for extension in sorted(EXTENSIONS):
        code.jump_if(_IF_EQUAL, extension, "look")
    code.add(_STORE, 0)
    code.add(_TXA)
    code.add(_ADD, 40)


def _destination(code: _Program, addresses: Sequence[bytes], offset: int) -> None:
    """Drop what is not for one of ``addresses``, whose bytes stand ``offset`` into the header.

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


def _search(code: _Program, ports: _Ports, miss: str, snap_length: int) -> None:
    """Let so many bytes through if the transport header at X is for one of ``ports``."""
    if ports.looked_at:
        code.add(_LD_BYTE, 13)
        code.add(_AND, ports.looked_at)
        code.jump_unless(_IF_EQUAL, ports.wanted, miss)
    code.add(_LD_HALF, 2)
    for position, one in enumerate(ports.ranges):
        to_accept = 2 * (len(ports.ranges) - position) - 1
        code.branch(_IF_AT_LEAST, one.low, false=1)
        code.branch(_IF_ABOVE, one.high, false=to_accept)
    code.jump(miss)
    if ports.ranges:
        code.add(_RETURN, snap_length)
