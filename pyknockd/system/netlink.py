"""Netlink's bytes (netlink(7)): messages and attributes, taken apart and made. Opens no socket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

REQUEST, DUMP = 0x1, 0x300  # NLM_F_*
DUMP_INTERRUPTED = 0x10
ERROR, DONE = 2, 3  # NLMSG_*
HEADER = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence number, port
_ATTRIBUTE = Struct("=HH")  # nlattr: length, type
_TYPE_MASK = 0x3FFF  # NLA_TYPE_MASK
_CODE = Struct("=i")


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``body`` is what stands behind its header."""

    kind: int
    flags: int
    sequence: int
    port: int
    body: bytes

    def error(self) -> int:
        """The error number that an ``ERROR`` tells, 0 for none: errno(3)."""
        code: int = _CODE.unpack_from(self.body)[0]
        return -code


def messages(data: bytes) -> Iterator[Message]:
    """What one datagram holds; nothing of what is cut short."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, sequence, port = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return
        yield Message(kind, flags, sequence, port, data[at + HEADER.size : at + length])
        at += (length + 3) & ~3


def attribute_list(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each attribute, in order."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes by type; of several of one type the last."""
    return dict(attribute_list(data))


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def text_attribute(kind: int, text: str) -> bytes:
    """An attribute that holds a C string."""
    return attribute(kind, text.encode() + b"\0")
