"""What an nf_tables rule says, read from the kernel's expressions, in whatever order they stand.

Only what iptables-nft writes without blobs of its own is read; see form.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyknockd.firewall.conditions import Condition, Meaning
from pyknockd.firewall.rule import Family
from pyknockd.system.netlink import attribute_list, attributes

_CODES = {0: "DROP", 1: "ACCEPT", -5: "RETURN", -3: "jump", -4: "goto"}
# Matches that hold for every packet.
_TRUE_MATCHES = (b"comment",)
_INTERFACE_BYTES = 16  # IFNAMSIZ

# linux/netfilter/nf_tables.h
_META_KEYS = {6: "iif", 7: "oif", 16: "protocol"}
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_EQUAL, _NOT_EQUAL, _AT_MOST, _AT_LEAST = 0, 1, 3, 5
_VALUE, _VERDICT = 1, 2


class _Unknown(Exception):
    """There is something that has no form here."""


@dataclass(slots=True)
class _Register:
    """What has been loaded: a field by name, or bytes of a header, and the mask laid over it."""

    what: str
    offset: int = 0
    length: int = 0
    mask: bytes = b""
    low: bytes = b""


def read(expressions: bytes, family: Family) -> Meaning:
    """What a rule of the kernel's says; incomplete if it holds what cannot be told as conditions."""
    conditions: set[Condition] = set()
    registers: dict[bytes, _Register] = {}
    verdict, complete, plain = "", True, True
    for _, element in attribute_list(expressions):
        parts = attributes(element)
        kind, data = parts.get(1, b"").rstrip(b"\0"), attributes(parts.get(2, b""))
        name = data.get(1, b"").rstrip(b"\0")
        try:
            if kind == b"immediate":
                verdict = _decided(data)
            elif kind == b"target":
                verdict, plain = name.decode(), False
            elif kind == b"match" and name in _TRUE_MATCHES:
                plain = False
            else:
                conditions |= set(_conditions(kind, data, registers, family))
        except (_Unknown, KeyError, IndexError):
            complete = False
    return Meaning(frozenset(conditions), verdict, complete, plain)


def _conditions(
    kind: bytes, data: dict[int, bytes], registers: dict[bytes, _Register], family: Family
) -> Iterator[Condition]:
    if kind in (b"meta", b"payload"):
        registers.pop(data[1], None)
        registers[data[1]] = _loaded(kind, data)
    elif kind == b"bitwise":
        register = registers.pop(data[1])
        _mask(register, data)
        registers[data[2]] = register
    elif kind in (b"cmp", b"range"):
        yield from _compared(registers[data[1]], kind, data, family)
    elif kind != b"counter":
        raise _Unknown


def _loaded(kind: bytes, data: dict[int, bytes]) -> _Register:
    if kind == b"meta":
        return _Register(_META_KEYS[_number(data[2])])
    base, offset, length = (_number(data[key]) for key in (2, 3, 4))
    if base not in (_NETWORK_HEADER, _TRANSPORT_HEADER):
        raise _Unknown
    return _Register("network" if base == _NETWORK_HEADER else "transport", offset, length)


def _mask(register: _Register, data: dict[int, bytes]) -> None:
    xor = attributes(data.get(5, b"")).get(_VALUE, b"")
    if register.mask or data[1] != data[2] or any(xor) or _number(data.get(6, b"")):
        raise _Unknown
    register.mask = attributes(data[4])[_VALUE]


def _compared(
    register: _Register, kind: bytes, data: dict[int, bytes], family: Family
) -> Iterator[Condition]:
    operator = _number(data[2])
    values = [attributes(data[key])[_VALUE] for key in ((3, 4) if kind == b"range" else (3,))]
    if kind == b"cmp" and operator == _AT_LEAST:
        register.low = values[0]
        return
    if kind == b"cmp" and operator == _AT_MOST and register.low:
        values, operator = [register.low, values[0]], _EQUAL
    if operator not in (_EQUAL, _NOT_EQUAL):
        raise _Unknown
    negated = operator == _NOT_EQUAL
    if register.what in ("iif", "oif"):
        yield _interface(register.what, values[0], negated)
    elif register.what == "protocol":
        yield Condition("protocol", negated, values[0])
    elif register.what == "network":
        yield from _addresses(register, values[0], negated, family)
    elif (register.offset, register.length) == (13, 1):
        yield Condition("flags", negated, values[0], register.mask)
    elif register.mask:
        raise _Unknown
    else:
        yield from _ports(register, values, negated)


def _interface(what: str, value: bytes, negated: bool) -> Condition:
    name, end, _ = value.partition(b"\0")
    exact = bool(end) or len(value) == _INTERFACE_BYTES
    return Condition(what, negated, name, b"" if exact else b"+")


def _addresses(
    register: _Register, value: bytes, negated: bool, family: Family
) -> Iterator[Condition]:
    size, first = (4, 12) if family is Family.IPV4 else (16, 8)
    if (register.offset, register.length) == (first, 2 * size) and not (negated or register.mask):
        # iptables and nft both compare two whole addresses at once.
        for what, part in (("saddr", value[:size]), ("daddr", value[size:])):
            yield Condition(what, False, part, b"\xff" * size)
        return
    if register.offset not in (first, first + size) or register.length > size:
        raise _Unknown
    mask = register.mask or b"\xff" * register.length
    padding = bytes(size - register.length)
    what = "saddr" if register.offset == first else "daddr"
    yield Condition(what, negated, value + padding, mask + padding)


def _ports(register: _Register, values: list[bytes], negated: bool) -> Iterator[Condition]:
    low, high = values[0], values[-1]
    if (register.offset, register.length) == (0, 4) and not negated and len(values) == 1:
        for what, port in (("sport", low[:2]), ("dport", low[2:])):
            yield Condition(what, False, port, port)
    elif register.length == 2 and register.offset in (0, 2):
        yield Condition("dport" if register.offset else "sport", negated, low, high)
    else:
        raise _Unknown


def _decided(data: dict[int, bytes]) -> str:
    verdict = attributes(attributes(data[2])[_VERDICT])
    code = int.from_bytes(verdict[1], "big", signed=True)
    chain = verdict.get(2, b"").rstrip(b"\0").decode(errors="replace")
    return f"{_CODES[code]} {chain}".rstrip()


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
