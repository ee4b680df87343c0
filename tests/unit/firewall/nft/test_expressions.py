"""The kernel's expressions, made here as linux/netfilter/nf_tables.h says, read as what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.firewall.conditions import Condition, Unsaid
from pyknockd.firewall.nft.expressions import read
from pyknockd.firewall.rule import Family
from pyknockd.system.netlink import attribute
from tests.support.rules import meaning

# Each attribute's number is its place in the call, from 1 on; None leaves one out.
EQUAL, NOT_EQUAL, BELOW, AT_MOST, ABOVE, AT_LEAST = range(6)
MARK, IIF_INDEX, IIF, OIF, L4PROTO = 3, 4, 6, 7, 16
LINK, NETWORK, TRANSPORT = 0, 1, 2
ACCEPT, DROP, RETURN, JUMP, GOTO = 1, 0, -5, -3, -4


def expression(name: str, *values: int | bytes | None) -> bytes:
    """Numbers take four bytes, in network order."""
    data = b"".join(
        attribute(at, pack("!i", value) if isinstance(value, int) else value)
        for at, value in enumerate(values, 1)
        if value is not None
    )
    return attribute(1, attribute(1, name.encode() + b"\0") + attribute(2, data))


def data(value: bytes) -> bytes:
    return attribute(1, value)


def meta(key: int) -> bytes:
    return expression("meta", 1, key)


def payload(base: int, offset: int, length: int) -> bytes:
    return expression("payload", 1, base, offset, length)


def bitwise(mask: bytes, xor: bytes = b"", operation: int | None = None) -> bytes:
    xor = xor or bytes(len(mask))
    return expression("bitwise", 1, 1, len(mask), data(mask), data(xor), operation)


def cmp(value: bytes, operator: int = EQUAL) -> bytes:
    return expression("cmp", 1, operator, data(value))


def between(low: int, high: int, operator: int = EQUAL) -> bytes:
    return expression("range", 1, operator, data(pack("!H", low)), data(pack("!H", high)))


def verdict(code: int, chain: str = "") -> bytes:
    named = attribute(2, chain.encode() + b"\0") if chain else b""
    return expression("immediate", 0, attribute(2, attribute(1, pack("!i", code)) + named))


COUNTER = expression("counter", bytes(8), bytes(8))
SOURCE = payload(NETWORK, 12, 4)
IS_TCP, IS_UDP = (meta(L4PROTO) + cmp(bytes([number])) for number in (6, 17))
HAS_TCP = payload(NETWORK, 9, 1) + cmp(b"\x06")  # as iptables 1.8.10 and later say it
DPORT, SPORT = payload(TRANSPORT, 2, 2), payload(TRANSPORT, 0, 2)
ADDRESS = bytes((192, 0, 2, 1))

V4 = {
    "-s 192.0.2.1 -j ACCEPT": SOURCE + cmp(ADDRESS) + COUNTER + verdict(ACCEPT),
    "! -s 192.0.2.1 -j DROP": SOURCE + cmp(ADDRESS, NOT_EQUAL) + verdict(DROP),
    "-s 192.0.0.0/20 -j DROP": (
        SOURCE + bitwise(b"\xff\xff\xf0\0") + cmp(bytes((192, 0, 0, 0))) + verdict(DROP)
    ),
    "-s 192.0.2.0/24 -j DROP": payload(NETWORK, 12, 3) + cmp(ADDRESS[:3]) + verdict(DROP),
    "-s 192.0.2.1 -d 10.0.0.1 -j DROP": (
        SOURCE + cmp(ADDRESS) + payload(NETWORK, 16, 4) + cmp(bytes((10, 0, 0, 1))) + verdict(DROP)
    ),
    "-i eth0 -j RETURN": meta(IIF) + cmp(b"eth0".ljust(16, b"\0")) + verdict(RETURN),
    "-i eth+ -j RETURN": meta(IIF) + cmp(b"eth") + verdict(RETURN),
    "-p tcp --dport 22 -j ACCEPT": IS_TCP + DPORT + cmp(b"\0\x16") + verdict(ACCEPT),
    "-p tcp --sport 7 --dport 22 -j ACCEPT": (
        IS_TCP + payload(TRANSPORT, 0, 4) + cmp(b"\0\x07\0\x16") + verdict(ACCEPT)
    ),
    "-p tcp --dport 22:25 -j ACCEPT": IS_TCP + DPORT + between(22, 25) + verdict(ACCEPT),
    "-p tcp ! --dport 22:25 -j ACCEPT": (
        IS_TCP + DPORT + between(22, 25, NOT_EQUAL) + verdict(ACCEPT)
    ),
    "-p tcp --sport 22:25 -j ACCEPT": (
        IS_TCP + SPORT + cmp(b"\0\x16", AT_LEAST) + cmp(b"\0\x19", AT_MOST) + verdict(ACCEPT)
    ),
    "-p tcp --syn -j ACCEPT": (
        IS_TCP + payload(TRANSPORT, 13, 1) + bitwise(b"\x17") + cmp(b"\x02") + verdict(ACCEPT)
    ),
    "-p tcp -j ACCEPT": HAS_TCP + verdict(ACCEPT),
    "! -p tcp -j ACCEPT": payload(NETWORK, 9, 1) + cmp(b"\x06", NOT_EQUAL) + verdict(ACCEPT),
    "-s 192.0.2.1 -p tcp --dport 22 -j DROP": (
        SOURCE + cmp(ADDRESS) + HAS_TCP + DPORT + cmp(b"\0\x16") + verdict(DROP)
    ),
    "-p tcp --dport 0:22 -j DROP": HAS_TCP + DPORT + cmp(b"\0\x16", AT_MOST) + verdict(DROP),
    "-p tcp --dport 22:65535 -j DROP": HAS_TCP + DPORT + cmp(b"\0\x16", AT_LEAST) + verdict(DROP),
    "-p tcp --dport 23:65535 -j DROP": HAS_TCP + DPORT + cmp(b"\0\x16", ABOVE) + verdict(DROP),
    "-p udp --dport 0:22 -j DROP": (
        IS_UDP + DPORT + cmp(b"\0\0", AT_LEAST) + cmp(b"\0\x16", AT_MOST) + verdict(DROP)
    ),
    "-s 192.0.2.1 -j guarded": SOURCE + cmp(ADDRESS) + verdict(JUMP, "guarded"),
    "-s 192.0.2.1 -g guarded": SOURCE + cmp(ADDRESS) + verdict(GOTO, "guarded"),
    "-s 192.0.2.1": SOURCE + cmp(ADDRESS) + COUNTER,
}


@pytest.mark.parametrize("words", V4)
def test_expressions_say_what_the_words_say(words: str) -> None:
    assert read(V4[words], Family.IPV4) == meaning(words)


def test_addresses_of_ipv6_stand_elsewhere() -> None:
    address = bytes.fromhex("20010db8") + bytes(11) + b"\1"
    made = payload(NETWORK, 8, 16) + cmp(address) + verdict(ACCEPT)
    assert read(made, Family.IPV6) == meaning("-s 2001:db8::1 -j ACCEPT", Family.IPV6)
    assert not read(V4["-s 192.0.2.1"], Family.IPV6).complete


# A plain rule has nothing of the kind, so it is another rule: to iptables as well.
OTHER = [
    expression("limit", bytes(8)),
    expression("match", b"conntrack\0"),
    expression("lookup", b"set\0", 1),
    expression("ct", 1, 0) + bitwise(b"\0\0\0\x08") + cmp(bytes(4), NOT_EQUAL),
    SOURCE + expression("byteorder", 1, 1, 0) + cmp(ADDRESS),
    expression("log", b"x\0"),
    expression("immediate", 9, data(b"\0\0\0\1")),
    expression("meta", None, 18, 9),
    meta(MARK) + bitwise(b"\0\0\0\xff") + cmp(b"\0\0\0\1"),
    payload(LINK, 0, 6) + cmp(bytes(6)),
    payload(NETWORK, 6, 2) + bitwise(b"\x1f\xff") + cmp(b"\0\0", NOT_EQUAL),
    payload(NETWORK, 8, 1) + cmp(b"\x05"),
    payload(TRANSPORT, 4, 4) + cmp(bytes(4)),
    verdict(7),
]
# It may be a way to say what a plain rule says, which is not known here.
UNKNOWN = [
    expression("match", b"tcp\0"),
    expression("match", b"udp\0"),
    meta(IIF_INDEX) + cmp(b"\1\0\0\0"),
    meta(99) + cmp(b"\1\0\0\0"),
    meta(IIF) + bitwise(b"\xff") + cmp(b"e"),
    meta(IIF) + cmp(b"e\0h0"),
    meta(IIF) + cmp(b"eth0\0", ABOVE),
    meta(L4PROTO) + cmp(b"\x06", AT_MOST),
    meta(L4PROTO) + cmp(b"\x06\0\0\0"),
    payload(NETWORK, 8, 2) + cmp(b"\x40\x06"),
    payload(NETWORK, 9, 1) + bitwise(b"\x0f") + cmp(b"\x06"),
    payload(NETWORK, 12, 8) + cmp(bytes(8)),
    payload(NETWORK, 10, 6) + cmp(bytes(6)),
    SOURCE + cmp(ADDRESS, AT_LEAST),
    SOURCE + expression("range", 1, EQUAL, data(ADDRESS), data(b"\xff" * 4)),
    SOURCE + cmp(ADDRESS[:3]),
    SOURCE + bitwise(b"\xff\0\0\0") + bitwise(b"\xff\xff\0\0") + cmp(b"\xc0\0\0\0"),
    SOURCE + bitwise(b"\xff\xff\xff\xff", b"\0\0\0\1") + cmp(ADDRESS),
    SOURCE + bitwise(b"\xff\xff\xff\xff", operation=1) + cmp(ADDRESS),
    SOURCE + bitwise(b"\xff\0\0\0") + cmp(ADDRESS),
    IS_TCP + DPORT + bitwise(b"\xff\xf0") + cmp(b"\0\x10"),
    IS_TCP + DPORT + cmp(b"\0\x16", BELOW),
    IS_TCP + DPORT + cmp(b"\xff\xff", ABOVE),
    IS_TCP + DPORT + between(0, 22, NOT_EQUAL),
    IS_TCP + DPORT + cmp(b"\0\0", AT_LEAST),
    IS_TCP + DPORT + cmp(b"\0\x16") + DPORT + cmp(b"\0\x17"),
    IS_TCP + payload(TRANSPORT, 0, 4) + cmp(b"\0\x07\0\x16", NOT_EQUAL),
    IS_TCP + payload(TRANSPORT, 12, 2) + cmp(b"\x50\x02"),
    IS_UDP + payload(TRANSPORT, 13, 1) + cmp(b"\x02"),
    meta(L4PROTO) + cmp(b"\x01") + SPORT + cmp(b"\x08\0"),
    DPORT + cmp(b"\0\x16"),
]


@pytest.mark.parametrize("made", OTHER)
def test_what_a_plain_rule_does_not_have_makes_it_another_rule(made: bytes) -> None:
    found = read(SOURCE + cmp(ADDRESS) + made + verdict(ACCEPT), Family.IPV4)
    assert found.unsaid == Unsaid.CONDITION
    assert not found.may_be(meaning("-s 192.0.2.1 -j ACCEPT"))


@pytest.mark.parametrize("made", UNKNOWN)
def test_what_is_not_known_may_make_it_any_rule(made: bytes) -> None:
    found = read(made + verdict(ACCEPT), Family.IPV4)
    assert found.unsaid == Unsaid.UNKNOWN
    assert found.may_be(meaning("-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT")) is (
        found.conditions <= meaning("-p tcp").conditions
    )


def test_a_rule_is_none_that_it_contradicts_in_what_is_known() -> None:
    made = SOURCE + cmp(ADDRESS) + expression("match", b"tcp\0")
    found = read(made + verdict(ACCEPT), Family.IPV4)
    assert found.may_be(meaning("-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"))
    assert not found.may_be(meaning("-s 192.0.2.2 -p tcp --dport 22 -j ACCEPT"))
    assert not found.may_be(meaning("-s 192.0.2.1 -p tcp --dport 22 -j DROP"))
    limited = read(made + expression("limit", bytes(8)) + verdict(ACCEPT), Family.IPV4)
    assert not limited.may_be(meaning("-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"))


def test_over_ipv6_the_next_header_is_not_the_protocol() -> None:
    said = meta(L4PROTO) + cmp(b"\x06") + verdict(ACCEPT)
    assert read(said, Family.IPV6) == meaning("-p tcp -j ACCEPT", Family.IPV6)
    next_header = payload(NETWORK, 6, 1) + cmp(b"\x06") + verdict(ACCEPT)
    assert read(next_header, Family.IPV6).unsaid == Unsaid.UNKNOWN


def test_a_comment_and_a_target_of_iptables_are_more_than_a_verdict() -> None:
    commented = read(expression("match", b"comment\0") + verdict(DROP), Family.IPV4)
    assert (commented.unsaid, commented.verdict) == (Unsaid.REMARK, "DROP")
    rejecting = read(expression("target", b"REJECT\0"), Family.IPV4)
    assert (rejecting.unsaid, rejecting.verdict) == (Unsaid.REMARK, "REJECT")
    assert commented.complete and not commented.exact


def test_the_comment_of_nft_makes_it_another_rule_as_that_of_iptables_does() -> None:
    text = b"\x00\x05mine\0"
    assert read(V4["-s 192.0.2.1"], Family.IPV4, text).unsaid == Unsaid.REMARK
    assert read(V4["-s 192.0.2.1"], Family.IPV4, b"\x07\x01x" + text).unsaid == Unsaid.REMARK
    assert read(V4["-s 192.0.2.1"], Family.IPV4, b"\x07\x01x").exact


@given(st.sampled_from(list(V4.values())), st.data())
def test_broken_expressions_are_incomplete_at_worst(made: bytes, draw: st.DataObject) -> None:
    broken = bytearray(made)
    for _ in range(draw.draw(st.integers(1, 4))):
        broken[draw.draw(st.integers(0, len(broken) - 1))] = draw.draw(st.integers(0, 255))
    read(bytes(broken), Family.IPV4)


# --- held against what nf_tables does with them --------------------------------------------------


@dataclass(frozen=True)
class Packet:
    interface: bytes
    network: bytes
    transport: bytes

    def part(self, base: int, offset: int, length: int) -> bytes:
        """What is loaded of a header, or by the keys of `meta`, which is no header."""
        if base == META:
            return self.network[9:10] if offset == L4PROTO else self.interface.ljust(16, b"\0")
        header = self.network if base == NETWORK else self.transport
        return header[offset : offset + length]


META = 9
PARTS = [(META, L4PROTO, 1), (META, IIF, 16), (NETWORK, 9, 1), (NETWORK, 12, 4), (NETWORK, 12, 2)]
PARTS += [(NETWORK, 16, 4), (NETWORK, 12, 8), (NETWORK, 8, 2), (NETWORK, 4, 2), (TRANSPORT, 0, 2)]
PARTS += [(TRANSPORT, 2, 2), (TRANSPORT, 0, 4), (TRANSPORT, 13, 1), (TRANSPORT, 12, 2)]
PACKETS = [
    Packet(interface, bytes(8) + bytes((64, protocol, 0, 0)) + addresses, ports + bytes(9) + flags)
    for interface, addresses in ((b"eth0", bytes(range(1, 9))), (b"lo", bytes(8)))
    for protocol in (1, 6, 17)
    for ports, flags in ((b"\0\1\0\2", b"\2\0\0"), (b"\0\0\xff\xff", b"\x12\0\0"))
]
OPERATORS: dict[int, Callable[[bytes, bytes], bool]] = {
    EQUAL: bytes.__eq__,
    NOT_EQUAL: bytes.__ne__,
    BELOW: bytes.__lt__,
    AT_MOST: bytes.__le__,
    ABOVE: bytes.__gt__,
    AT_LEAST: bytes.__ge__,
}


@dataclass(frozen=True)
class Check:
    """A load, perhaps a mask, and comparisons with what is loaded then."""

    part: tuple[int, int, int]
    mask: bytes
    comparisons: tuple[tuple[int, bytes], ...]

    @property
    def made(self) -> bytes:
        base, offset, _ = self.part
        load = meta(offset) if base == META else payload(*self.part)
        masked = bitwise(self.mask) if self.mask else b""
        return load + masked + b"".join(cmp(value, how) for how, value in self.comparisons)

    def holds(self, packet: Packet) -> bool:
        loaded = packet.part(*self.part)
        if self.mask:
            loaded = bytes(a & b for a, b in zip(loaded, self.mask, strict=True))
        return all(OPERATORS[how](loaded[: len(value)], value) for how, value in self.comparisons)


@st.composite
def checks(draw: st.DrawFn) -> Check:
    part = draw(st.sampled_from(PARTS))
    values = sorted({packet.part(*part) for packet in PACKETS})
    size = len(values[0])
    masks = [b"", b"", b"", b"\xff" * size, b"\xff" * (size - 1) + b"\xf0", b"\x17" * size]
    mask = draw(st.sampled_from(masks))
    comparisons = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        value = draw(st.sampled_from(values))
        if part == (META, IIF, 16):
            value = value[: draw(st.sampled_from([2, 3, 5, 16]))]
        how = draw(st.sampled_from([EQUAL, EQUAL, *OPERATORS]))
        comparisons.append((how, value))
    return Check(part, b"" if part[0] == META else mask, tuple(comparisons))


def satisfies(packet: Packet, condition: Condition) -> bool:
    """An oracle: whether a condition is true of a packet."""
    value, more = condition.value, condition.more
    source, destination = packet.network[12:16], packet.network[16:20]
    sport, dport = packet.transport[:2], packet.transport[2:4]
    address = source if condition.what == "saddr" else destination
    true = {
        "iif": packet.interface.startswith(value) if more else packet.interface == value,
        "protocol": packet.network[9:10] == value,
        **dict.fromkeys(
            ("saddr", "daddr"),
            all((a ^ v) & m == 0 for a, v, m in zip(address, value, more, strict=False)),
        ),
        "sport": value <= sport <= more,
        "dport": value <= dport <= more,
        "flags": bool(more) and packet.transport[13] & more[0] == value[0],
    }[condition.what]
    return true is not condition.negated


@given(st.lists(checks(), max_size=4))
def test_what_is_read_is_true_of_a_packet_if_the_rule_is(rule: list[Check]) -> None:
    found = read(b"".join(check.made for check in rule) + verdict(DROP), Family.IPV4)
    for packet in PACKETS:
        matches = all(check.holds(packet) for check in rule)
        said = all(satisfies(packet, condition) for condition in found.conditions)
        assert said is matches if found.complete else said or not matches
