"""What a legacy rule says, read from the bytes of its entry: struct ipt_entry and ip6t_entry.

Source: linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

from pyknockd.firewall.conditions import Condition, Meaning, Unsaid
from pyknockd.firewall.extensions import TARGETS
from pyknockd.firewall.rule import Family

# As the compiler lays it out: on some machines the counters, 0Q, begin at a multiple of 4, not of 8.
# addresses and masks, interfaces and their masks, protocol, flags, inverting flags, target's offset
_HEADS = {
    Family.IPV4: struct.Struct("@4s4s4s4s16s16s16s16sHBB0I4xH2x4x0Q16x"),
    Family.IPV6: struct.Struct("@16s16s16s16s16s16s16s16sHxBB0I4xH2x4x0Q16x"),
}
_INVERTED_IN, _INVERTED_OUT, _INVERTED_SOURCE, _INVERTED_DESTINATION = 0x01, 0x02, 0x08, 0x10
_INVERTED_PROTOCOL = 0x40
_GOTO = {Family.IPV4: 0x02, Family.IPV6: 0x04}
_FRAGMENT = {Family.IPV4: 0x01, Family.IPV6: 0x02}  # and IPv6's type of service
_OTHER_INVERTED = 0x24  # the same of these
_COUNTERS_SIZE = 16
_MATCH_HEAD = struct.Struct("=H29sB")  # size, name, revision
_TCP, _UDP = struct.Struct("=HHHHBBBB"), struct.Struct("=HHHHB")
_ALL_PORTS = (0, 0xFFFF)


class _Unknown(Exception):
    """There is something that has no condition."""


def read(entry: bytes, target: str, family: Family) -> Meaning:
    """``target`` is what libiptc calls the entry's target: a verdict, a chain or an extension."""
    end = _HEADS[family].size
    counters = slice(end - _COUNTERS_SIZE, end)
    return _read(entry[: counters.start] + bytes(_COUNTERS_SIZE) + entry[end:], target, family)


@lru_cache(maxsize=2_048)
def _read(entry: bytes, target: str, family: Family) -> Meaning:
    """For an entry without its counters, so that it is the same until somebody changes it."""
    head = _HEADS[family]
    fields = head.unpack_from(entry)
    source, destination, source_mask, destination_mask = fields[:4]
    protocol, flags, inverted, target_offset = fields[8:]
    found = {
        *_address("saddr", source, source_mask, bool(inverted & _INVERTED_SOURCE)),
        *_address("daddr", destination, destination_mask, bool(inverted & _INVERTED_DESTINATION)),
        *_interface("iif", fields[4], fields[6], bool(inverted & _INVERTED_IN)),
        *_interface("oif", fields[5], fields[7], bool(inverted & _INVERTED_OUT)),
    }
    if protocol:
        found.add(
            Condition("protocol", bool(inverted & _INVERTED_PROTOCOL), bytes([protocol & 255]))
        )
    unsaid, at = Unsaid.NOTHING, head.size
    if flags & _FRAGMENT[family] or inverted & _OTHER_INVERTED:
        unsaid |= Unsaid.CONDITION
    while at + _MATCH_HEAD.size <= target_offset:
        size, name, _ = _MATCH_HEAD.unpack_from(entry, at)
        name = name.partition(b"\0")[0]  # what follows is left from before
        data = entry[at + _MATCH_HEAD.size : at + size]
        try:
            found |= set(_match(name, data))
        except _Unknown:
            unsaid |= Unsaid.REMARK if name == b"comment" else Unsaid.CONDITION
        at += max(size, _MATCH_HEAD.size)
    verdict = target
    if flags & _GOTO[family]:
        verdict = f"goto {target}"
    elif target and target not in TARGETS:
        verdict = f"jump {target}"
    return Meaning(frozenset(found), verdict, unsaid)


def _address(what: str, value: bytes, mask: bytes, negated: bool) -> Iterator[Condition]:
    if any(mask) or negated:
        yield Condition(what, negated, value, mask)


def _interface(what: str, name: bytes, mask: bytes, negated: bool) -> Iterator[Condition]:
    length = mask.count(0xFF)
    if not length:
        return
    exact = name[length - 1] == 0
    name = name[:length]
    yield Condition(what, negated, name.partition(b"\0")[0], b"" if exact else b"+")


def _match(name: bytes, data: bytes) -> Iterator[Condition]:
    if name == b"tcp":
        *ports, option, mask, flags, inverted = _TCP.unpack_from(data)
        if option:
            raise _Unknown
        if mask:
            yield Condition("flags", bool(inverted & 4), bytes([flags]), bytes([mask]))
    elif name == b"udp":
        *ports, inverted = _UDP.unpack_from(data)
    else:
        raise _Unknown
    for what, low, high, bit in (("sport", *ports[:2], 1), ("dport", *ports[2:], 2)):
        if (low, high) != _ALL_PORTS or inverted & bit:
            values = low.to_bytes(2, "big"), high.to_bytes(2, "big")
            yield Condition(what, bool(inverted & bit), *values)
