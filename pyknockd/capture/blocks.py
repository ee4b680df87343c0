"""The blocks of a pcapng file → recorded frames, with the interfaces that they came in on.

Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from pyknockd.capture.linktypes import is_known, medium_of, recorded
from pyknockd.capture.playback import Medium, Recorded

INTERFACE, OLD_PACKET, SIMPLE_PACKET, PACKET = 1, 2, 3, 6  # types of blocks
_IF_NAME, _IF_TSRESOL, _FLAGS = 2, 9, 2  # options
_OUTBOUND, _DIRECTION = 2, 3  # of a packet's flags, the lowest two bits
_TICKS = 1_000_000  # a second, where nothing else is said
_PACKET_AT, _SIMPLE_AT, _OPTIONS_AT = 20, 4, 8
_ORDERS = "<>"  # reader.endian's values, as struct has them
_INTERFACE = {order: Struct(f"{order}HxxI") for order in _ORDERS}
_PACKET = {order: Struct(f"{order}IIIII") for order in _ORDERS}
_OLD_PACKET = {order: Struct(f"{order}HxxIII") for order in _ORDERS}
_OPTION = {order: Struct(f"{order}HH") for order in _ORDERS}
_WORD = {order: Struct(f"{order}I") for order in _ORDERS}


class BlockError(Exception):
    """A block is not as it must be; the text says how."""


@dataclass(frozen=True, slots=True)
class _Interface:
    """What packets came in on; ``ticks`` of their clock are a second, ``most`` bytes are kept."""

    link_type: int
    medium: Medium
    ticks: int
    most: int


@dataclass(frozen=True, slots=True)
class _Option:
    code: int
    value: bytes


class Blocks:
    """The interfaces of the section that is being read, and the time of its last packet."""

    def __init__(self) -> None:
        self._interfaces: list[_Interface] = []
        self._time = 0.0
        self.is_deaf = False
        """Whether there are interfaces, and frames of none can be read."""

    def begin_section(self) -> None:
        """Interfaces are numbered anew."""
        self._interfaces.clear()

    def add_interface(self, block: bytes, order: str) -> None:
        """``order`` is the section's, ``<`` or ``>``. Raises BlockError."""
        if len(block) < _OPTIONS_AT:
            raise BlockError("an interface's description is too short")
        link_type, most = _INTERFACE[order].unpack_from(block)
        name, ticks = "", _TICKS
        for option in _options(block[_OPTIONS_AT:], order):
            if option.code == _IF_NAME:
                name = option.value.rstrip(b"\0").decode("utf-8", "replace")
            elif option.code == _IF_TSRESOL and option.value:
                exponent = option.value[0]
                ticks = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
        medium = medium_of(link_type, name, len(self._interfaces) + 1)
        self._interfaces.append(_Interface(link_type, medium, ticks, most))
        self.is_deaf = not any(is_known(one.link_type) for one in self._interfaces)

    def packet(self, block: bytes, order: str) -> Recorded | None:
        """What an Enhanced Packet Block holds. Raises BlockError."""
        if len(block) < _PACKET_AT:
            raise BlockError("a packet's block is too short")
        number, high, low, length, _ = _PACKET[order].unpack_from(block)
        after = _PACKET_AT + length + -length % 4
        if len(block) > after:
            for option in _options(block[after:], order):
                if option.code == _FLAGS and len(option.value) == _WORD[order].size:
                    flags = _WORD[order].unpack(option.value)[0]
                    if flags & _DIRECTION == _OUTBOUND:
                        return None
        return self._recorded(number, block, length, high << 32 | low)

    def old_packet(self, block: bytes, order: str) -> Recorded | None:
        """What a Packet Block holds, which is written no more. Raises BlockError."""
        if len(block) < _PACKET_AT:
            raise BlockError("a packet's block is too short")
        number, high, low, length = _OLD_PACKET[order].unpack_from(block)
        return self._recorded(number, block, length, high << 32 | low)

    def simple_packet(self, block: bytes, order: str) -> Recorded | None:
        """What a Simple Packet Block holds, which has no time: that of the one before."""
        if len(block) < _SIMPLE_AT:
            raise BlockError("a packet's block is too short")
        interface = self._interface(0)
        length = _WORD[order].unpack_from(block)[0]
        data = block[_SIMPLE_AT : _SIMPLE_AT + min(length, interface.most or length)]
        return recorded(interface.link_type, interface.medium, data, self._time)

    def _recorded(self, number: int, block: bytes, length: int, ticks: int) -> Recorded | None:
        interface = self._interface(number)
        data = block[_PACKET_AT : _PACKET_AT + length]
        if len(data) < length:
            raise BlockError("a packet is longer than its block")
        self._time = ticks / interface.ticks
        return recorded(interface.link_type, interface.medium, data, self._time)

    def _interface(self, number: int) -> _Interface:
        if number >= len(self._interfaces):
            raise BlockError(f"a packet of interface {number}, which is not described")
        return self._interfaces[number]


def _options(data: bytes, order: str) -> Iterator[_Option]:
    """Up to the end that is marked, or the end of the block."""
    at = 0
    while at + 4 <= len(data):
        code, length = _OPTION[order].unpack_from(data, at)
        if code == 0:
            return
        yield _Option(code, data[at + 4 : at + 4 + length])
        at += 4 + length + -length % 4
