"""What an nf_tables rule says, read from the kernel's expressions, in whatever order they stand.

Each release of iptables and of libnftables writes forms of its own: a protocol is `meta l4proto`
or, over IPv4 since iptables 1.8.10, a byte of the header; `0:1023` is a range, or one comparison,
or two; before 1.8.9 ports are a match. A form that is not known can be two things. Either a plain
rule has nothing of the kind, and then it is another rule. Or it may be a new way to say what a
plain rule says, and then only iptables can tell. tests/kernel/test_nft_forms.py holds it against
what iptables itself makes of the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from pyknockd.firewall.conditions import Condition, Meaning, Unsaid
from pyknockd.firewall.rule import Family
from pyknockd.system.netlink import attribute_list, attributes

# linux/netfilter/nf_tables.h
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_EQUAL, _NOT_EQUAL, _AT_MOST, _GREATER, _AT_LEAST = 0, 1, 3, 4, 5
_VALUE, _VERDICT = 1, 2
_CODES = {0: "DROP", 1: "ACCEPT", -5: "RETURN", -3: "jump", -4: "goto"}
_COMMENT = 0  # in a rule's user data, where nft puts it: libnftnl/udata.h

_INTERFACE_BYTES = 16  # IFNAMSIZ
_ALL_PORTS = (0, 0xFFFF)
_TCP, _UDP = (Condition("protocol", False, number) for number in (b"\x06", b"\x11"))
# The matches that are not just another condition; ports are matches to older releases of iptables.
_MATCHES = {b"comment": Unsaid.REMARK, b"tcp": Unsaid.UNKNOWN, b"udp": Unsaid.UNKNOWN}


class _Field(Enum):
    """What of a packet is compared; what a condition can speak of has that name."""

    INPUT = "iif"
    OUTPUT = "oif"
    PROTOCOL = "protocol"
    SOURCE = "saddr"
    DESTINATION = "daddr"
    SOURCE_PORT = "sport"
    DESTINATION_PORT = "dport"
    BOTH_PORTS = "both ports"
    FLAGS = "flags"
    OTHER = "other"  # plain rules never speak of it
    UNKNOWN = "unknown"  # it may be one of these, or a part of one


_META = {3: _Field.OTHER, 6: _Field.INPUT, 7: _Field.OUTPUT, 16: _Field.PROTOCOL}  # 3: the mark
# (offset, length) in the transport header
_TRANSPORT = {
    (0, 2): _Field.SOURCE_PORT,
    (2, 2): _Field.DESTINATION_PORT,
    (0, 4): _Field.BOTH_PORTS,
    (13, 1): _Field.FLAGS,
}
_PORT_BYTES, _FLAG_BYTE = range(4), 13
# In the network header: the protocol, the first address, and the size of both addresses. The next
# header of IPv6 is no protocol: there may be others between.
_NETWORK = {Family.IPV4: (9, 12, 4), Family.IPV6: (6, 8, 16)}


class _Other(Exception):
    """A plain rule has nothing of the kind."""


class _Unknown(Exception):
    """It may be a way to say what a plain rule says."""


@dataclass(frozen=True, slots=True)
class _Register:
    """What has been loaded, the mask laid over it, and of a port the least value it must have."""

    field: _Field
    length: int = 0
    mask: bytes = b""
    low: int = 0


def read(expressions: bytes, family: Family, userdata: bytes = b"") -> Meaning:
    """What a rule of the kernel's says: its NFTA_RULE_EXPRESSIONS and NFTA_RULE_USERDATA."""
    reader = _Reader(family)
    for _, element in attribute_list(expressions):
        parts = attributes(element)
        kind, data = parts.get(1, b"").rstrip(b"\0"), attributes(parts.get(2, b""))
        try:
            reader.read(kind, data)
        except _Other:
            reader.unsaid |= Unsaid.CONDITION
        except (_Unknown, KeyError, IndexError):
            reader.unsaid |= Unsaid.UNKNOWN
    if _has_comment(userdata):
        reader.unsaid |= Unsaid.REMARK
    return reader.meaning()


class _Reader:
    """Follows the registers through the expressions of one rule."""

    def __init__(self, family: Family) -> None:
        self.unsaid = Unsaid.NOTHING
        self._family = family
        self._verdict = ""
        self._conditions: set[Condition] = set()
        self._registers: dict[bytes, _Register] = {}

    def read(self, kind: bytes, data: dict[int, bytes]) -> None:
        """One expression. Raises _Other, _Unknown, KeyError or IndexError."""
        if kind in (b"meta", b"payload") and 1 in data:
            self._registers[data[1]] = self._loaded(kind, data)
        elif kind == b"bitwise":
            self._mask(data)
        elif kind in (b"cmp", b"range"):
            self._compare(kind, data)
        elif kind == b"immediate" and _VERDICT in attributes(data[2]):
            self._verdict = _decided(attributes(data[2])[_VERDICT])
        elif kind == b"match":
            self.unsaid |= _MATCHES.get(data[1].rstrip(b"\0"), Unsaid.CONDITION)
        elif kind == b"target":
            self._verdict = data[1].rstrip(b"\0").decode(errors="replace")
            self.unsaid |= Unsaid.REMARK
        elif kind != b"counter":
            self._registers.clear()  # it may have loaded them with what it likes
            raise _Other

    def meaning(self) -> Meaning:
        """What all of them say together."""
        found = self._conditions
        if _is_sound(found):
            return Meaning(frozenset(found), self._verdict, self.unsaid)
        return Meaning(frozenset(), self._verdict, self.unsaid | Unsaid.UNKNOWN)

    def _loaded(self, kind: bytes, data: dict[int, bytes]) -> _Register:
        if kind == b"meta":
            return _Register(_META.get(_number(data[2]), _Field.UNKNOWN))
        base, offset, length = (_number(data[key]) for key in (2, 3, 4))
        if base == _NETWORK_HEADER:
            return _Register(_network_field(offset, length, self._family), length)
        if base == _TRANSPORT_HEADER:
            return _Register(_transport_field(offset, length), length)
        return _Register(_Field.OTHER, length)

    def _mask(self, data: dict[int, bytes]) -> None:
        register = self._register(data[1])
        if register.field is not _Field.OTHER:
            plain = not (register.mask or _number(data.get(6, b"")))  # NFT_BITWISE_MASK_XOR is 0
            inverted = any(attributes(data.get(5, b"")).get(_VALUE, b""))
            mask = attributes(data.get(4, b"")).get(_VALUE, b"")
            if plain and mask and not inverted:
                register = replace(register, mask=mask)
            else:
                register = _Register(_Field.UNKNOWN)
        self._registers[data[2]] = register

    def _compare(self, kind: bytes, data: dict[int, bytes]) -> None:
        register = self._register(data[1])
        if register.field is _Field.OTHER:
            raise _Other
        operator = _number(data[2])
        values = [attributes(data[key])[_VALUE] for key in ((3, 4) if kind == b"range" else (3,))]
        if register.length and any(len(value) != register.length for value in values):
            raise _Unknown
        if register.field in (_Field.SOURCE_PORT, _Field.DESTINATION_PORT):
            self._compare_port(data[1], operator, [_number(value) for value in values])
        elif kind == b"cmp" and operator in (_EQUAL, _NOT_EQUAL):
            self._conditions |= self._compared(register, values[0], operator == _NOT_EQUAL)
        else:
            raise _Unknown

    def _compare_port(self, name: bytes, operator: int, values: list[int]) -> None:
        register, value = self._registers[name], values[0]
        what = register.field.value
        # What is not in 0:N is N+1:65535 to some releases of iptables, and not to others.
        if register.mask or (operator == _NOT_EQUAL and value == 0 < values[-1]):
            raise _Unknown
        if operator in (_EQUAL, _NOT_EQUAL):
            found = _ports(what, operator == _NOT_EQUAL, value, values[-1])
        elif operator == _AT_LEAST:
            self._registers[name] = replace(register, low=value)
            found = _ports(what, False, value, 0xFFFF)
        elif operator == _AT_MOST:
            self._conditions.discard(_ports(what, False, register.low, 0xFFFF))
            found = _ports(what, False, register.low, value)
        elif operator == _GREATER and value < 0xFFFF:
            found = _ports(what, False, value + 1, 0xFFFF)
        else:
            raise _Unknown
        self._conditions.add(found)

    def _compared(self, register: _Register, value: bytes, negated: bool) -> set[Condition]:
        field, mask = register.field, register.mask or b"\xff" * len(value)
        if len(mask) != len(value) or any(v & ~m for v, m in zip(value, mask, strict=True)):
            raise _Unknown
        if field in (_Field.SOURCE, _Field.DESTINATION):
            padding = bytes(_NETWORK[self._family][2] - len(value))
            return {Condition(field.value, negated, value + padding, mask + padding)}
        if field is _Field.FLAGS:
            return {Condition(field.value, negated, value, mask)}
        if register.mask:
            raise _Unknown
        if field in (_Field.INPUT, _Field.OUTPUT):
            return {_interface(field.value, value, negated)}
        if field is _Field.PROTOCOL and len(value) == 1:
            return {Condition(field.value, negated, value)}
        if field is _Field.BOTH_PORTS and not negated:
            source, destination = _number(value[:2]), _number(value[2:])
            return {
                _ports("sport", False, source, source),
                _ports("dport", False, destination, destination),
            }
        raise _Unknown

    def _register(self, name: bytes) -> _Register:
        found = self._registers.get(name)
        if found is None:
            raise _Other
        return found


def _network_field(offset: int, length: int, family: Family) -> _Field:
    protocol, first, size = _NETWORK[family]
    if offset in (first, first + size) and 0 < length <= size:
        return _Field.SOURCE if offset == first else _Field.DESTINATION
    if (offset, length) == (protocol, 1) and family is Family.IPV4:
        return _Field.PROTOCOL
    spoken_of = {protocol, *range(first, first + 2 * size)}
    return _Field.OTHER if spoken_of.isdisjoint(range(offset, offset + length)) else _Field.UNKNOWN


def _transport_field(offset: int, length: int) -> _Field:
    spoken_of = {*_PORT_BYTES, _FLAG_BYTE}
    apart = spoken_of.isdisjoint(range(offset, offset + length))
    return _TRANSPORT.get((offset, length), _Field.OTHER if apart else _Field.UNKNOWN)


def _ports(what: str, negated: bool, low: int, high: int) -> Condition:
    return Condition(what, negated, low.to_bytes(2, "big"), high.to_bytes(2, "big"))


def _interface(what: str, value: bytes, negated: bool) -> Condition:
    name, end, rest = value.partition(b"\0")
    if any(rest):
        raise _Unknown
    exact = bool(end) or len(value) == _INTERFACE_BYTES
    return Condition(what, negated, name, b"" if exact else b"+")


def _is_sound(conditions: set[Condition]) -> bool:
    """Whether iptables reads them so as well: it knows one condition of a kind, and whose ports."""
    whats = [condition.what for condition in conditions]
    transport = {"sport", "dport", "flags"} & set(whats)
    whose = _TCP in conditions or (_UDP in conditions and "flags" not in transport)
    limits = [condition.ports() for condition in conditions if condition.what in ("sport", "dport")]
    return len(set(whats)) == len(whats) and (whose or not transport) and _ALL_PORTS not in limits


def _decided(verdict: bytes) -> str:
    parts = attributes(verdict)
    code = int.from_bytes(parts[1], "big", signed=True)
    if code not in _CODES:
        raise _Other
    chain = parts.get(2, b"").rstrip(b"\0").decode(errors="replace")
    return f"{_CODES[code]} {chain}".rstrip()


def _has_comment(userdata: bytes) -> bool:
    at = 0
    while at + 2 <= len(userdata):
        if userdata[at] == _COMMENT:
            return True
        at += 2 + userdata[at + 1]
    return False


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
