"""The kernel's expressions, made here as linux/netfilter/nf_tables.h says, read as what they mean."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.firewall.nft.expressions import read
from pyknockd.firewall.rule import Family
from pyknockd.system.netlink import attribute
from tests.support.rules import meaning

# Each attribute's number is its place in the call, from 1 on; None leaves one out.
EQUAL, NOT_EQUAL, AT_MOST, AT_LEAST = 0, 1, 3, 5
IIF, L4PROTO = 6, 16
NETWORK, TRANSPORT = 1, 2
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


def bitwise(mask: bytes) -> bytes:
    return expression("bitwise", 1, 1, len(mask), data(mask), data(bytes(len(mask))))


def cmp(value: bytes, operator: int = EQUAL) -> bytes:
    return expression("cmp", 1, operator, data(value))


def between(low: int, high: int, operator: int = EQUAL) -> bytes:
    return expression("range", 1, operator, data(pack("!H", low)), data(pack("!H", high)))


def verdict(code: int, chain: str = "") -> bytes:
    named = attribute(2, chain.encode() + b"\0") if chain else b""
    return expression("immediate", 0, attribute(2, attribute(1, pack("!i", code)) + named))


COUNTER = expression("counter", bytes(8), bytes(8))
SOURCE = payload(NETWORK, 12, 4)
IS_TCP = meta(L4PROTO) + cmp(b"\x06")
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
        payload(NETWORK, 12, 8) + cmp(ADDRESS + bytes((10, 0, 0, 1))) + verdict(DROP)
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


@pytest.mark.parametrize(
    "made",
    [
        expression("limit", bytes(8)) + verdict(ACCEPT),
        expression("match", b"conntrack\0") + verdict(ACCEPT),
        expression("lookup", b"set\0") + verdict(ACCEPT),
        meta(3) + cmp(b"\x01") + verdict(ACCEPT),
        payload(0, 0, 6) + cmp(bytes(6)) + verdict(ACCEPT),
        payload(NETWORK, 9, 1) + cmp(b"\x06") + verdict(ACCEPT),
        SOURCE + bitwise(b"\xff\0\0\0") + bitwise(b"\xff\xff\0\0") + cmp(ADDRESS),
        cmp(ADDRESS) + verdict(ACCEPT),
        verdict(7),
    ],
)
def test_what_has_no_condition_makes_it_incomplete(made: bytes) -> None:
    assert not read(made, Family.IPV4).complete


def test_a_comment_and_a_target_of_iptables_are_more_than_a_verdict() -> None:
    commented = read(expression("match", b"comment\0") + verdict(DROP), Family.IPV4)
    assert (commented.complete, commented.plain, commented.verdict) == (True, False, "DROP")
    rejecting = read(expression("target", b"REJECT\0"), Family.IPV4)
    assert (rejecting.complete, rejecting.plain, rejecting.verdict) == (True, False, "REJECT")


@given(st.sampled_from(list(V4.values())), st.data())
def test_broken_expressions_are_incomplete_at_worst(made: bytes, draw: st.DataObject) -> None:
    broken = bytearray(made)
    for _ in range(draw.draw(st.integers(1, 4))):
        broken[draw.draw(st.integers(0, len(broken) - 1))] = draw.draw(st.integers(0, 255))
    read(bytes(broken), Family.IPV4)
