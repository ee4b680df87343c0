"""A legacy rule's bytes, made here as linux/netfilter/x_tables.h says, read as what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from struct import pack

import pytest

from pyknockd.firewall.legacy.entry import read
from pyknockd.firewall.rule import Family
from tests.support.rules import meaning

ANY = {Family.IPV4: "0.0.0.0/0", Family.IPV6: "::/0"}
VIA_IN, SOURCE, PROTOCOL = 0x01, 0x08, 0x40  # IPT_INV_*
FRAGMENT, GOTO = 0x01, 0x02  # IPT_F_*
TYPE_OF_SERVICE_6, GOTO_6 = 0x02, 0x04  # IP6T_F_*
EXACT, PREFIX = b"\xff" * 5, b"\xff" * 3


@dataclass(frozen=True, slots=True)
class Head:
    """What struct ipt_ip and struct ip6t_ip say; ``interface`` is a name and its mask."""

    source: str = ""
    destination: str = ""
    interface: tuple[bytes, bytes] = (b"", b"")
    protocol: int = 0
    flags: int = 0
    inverted: int = 0


def entry(head: Head, *matches: bytes, family: Family = Family.IPV4) -> bytes:
    source, destination = (
        ip_network(text or ANY[family]) for text in (head.source, head.destination)
    )
    addresses = source.network_address.packed + destination.network_address.packed
    masks = source.netmask.packed + destination.netmask.packed
    name, mask = head.interface
    interfaces = pack("16s16s16s16s", name, b"", mask, b"")
    if family is Family.IPV4:
        end = pack("=HBB", head.protocol, head.flags, head.inverted) + bytes(4)
    else:  # with the type of service in between, and padding
        end = pack("=HBBB3x", head.protocol, 0, head.flags, head.inverted) + bytes(4)
    length = len(addresses + masks + interfaces + end) + 2 + 2 + 4 + 16
    length += 4 if family is Family.IPV6 else 0  # to a multiple of eight
    body = b"".join(matches)
    offsets = pack("=HH", length + len(body), length + len(body) + 40)
    start = addresses + masks + interfaces + end + offsets
    return start + bytes(length - len(start)) + body + bytes(40)


def match(name: bytes, data: bytes) -> bytes:
    """A struct xt_entry_match."""
    padded = data + bytes(-len(data) % 8)
    return pack("=H29sB", 32 + len(padded), name, 0) + padded


def tcp(
    sport: tuple[int, int] = (0, 65_535),
    dport: tuple[int, int] = (0, 65_535),
    *,
    flags: tuple[int, int] = (0, 0),
    inverted: int = 0,
) -> bytes:
    return match(b"tcp", pack("=HHHHBBBB", *sport, *dport, 0, *flags, inverted))


def udp(sport: tuple[int, int], dport: tuple[int, int], inverted: int = 0) -> bytes:
    return match(b"udp", pack("=HHHHB", *sport, *dport, inverted))


ALL = (0, 65_535)
V4 = [
    ("-j ACCEPT", "ACCEPT", entry(Head())),
    ("-s 192.0.2.1 -j ACCEPT", "ACCEPT", entry(Head("192.0.2.1/32"))),
    ("! -s 192.0.2.0/24 -j DROP", "DROP", entry(Head("192.0.2.0/24", inverted=SOURCE))),
    ("-d 10.0.0.0/8 -j RETURN", "RETURN", entry(Head(destination="10.0.0.0/8"))),
    ("-i eth0 -j DROP", "DROP", entry(Head(interface=(b"eth0", EXACT)))),
    ("! -i eth0 -j DROP", "DROP", entry(Head(interface=(b"eth0", EXACT), inverted=VIA_IN))),
    ("-i eth+ -j DROP", "DROP", entry(Head(interface=(b"eth+", PREFIX)))),
    ("-p icmp -j DROP", "DROP", entry(Head(protocol=1))),
    ("! -p tcp -j DROP", "DROP", entry(Head(protocol=6, inverted=PROTOCOL))),
    ("-p tcp --dport 22 -j DROP", "DROP", entry(Head(protocol=6), tcp(dport=(22, 22)))),
    (
        "-p tcp ! --sport 1024:2048 --dport 22 -j DROP",
        *("DROP", entry(Head(protocol=6), tcp((1024, 2048), (22, 22), inverted=1))),
    ),
    ("-p tcp --syn -j DROP", "DROP", entry(Head(protocol=6), tcp(flags=(0x17, 0x02)))),
    (
        "-p tcp ! --tcp-flags SYN,ACK SYN -j DROP",
        *("DROP", entry(Head(protocol=6), tcp(flags=(0x12, 0x02), inverted=4))),
    ),
    (
        "-p udp ! --dport 53 -j DROP",
        *("DROP", entry(Head(protocol=17), udp(ALL, (53, 53), inverted=2))),
    ),
    ("-s 192.0.2.1 -j guarded", "guarded", entry(Head("192.0.2.1/32"))),
    ("-s 192.0.2.1 -g guarded", "guarded", entry(Head("192.0.2.1/32", flags=GOTO))),
    ("-s 192.0.2.1", "", entry(Head("192.0.2.1/32"))),
]


@pytest.mark.parametrize(("words", "target", "made"), V4, ids=[words for words, *_ in V4])
def test_an_entry_says_what_the_words_say(words: str, target: str, made: bytes) -> None:
    assert read(made, target, Family.IPV4) == meaning(words)


V6 = [
    ("-s 2001:db8::1 -j ACCEPT", entry(Head("2001:db8::1/128"), family=Family.IPV6)),
    (
        "! -s 2001:db8::/35 -p tcp --dport 22 -j ACCEPT",
        entry(
            Head("2001:db8::/35", protocol=6, inverted=SOURCE),
            *(tcp(dport=(22, 22)),),
            family=Family.IPV6,
        ),
    ),
    (
        "-i eth0 -p ipv6-icmp -j ACCEPT",
        entry(Head(interface=(b"eth0", EXACT), protocol=58), family=Family.IPV6),
    ),
]


@pytest.mark.parametrize(("words", "made"), V6, ids=[words for words, _ in V6])
def test_an_entry_of_ipv6_says_what_the_words_say(words: str, made: bytes) -> None:
    assert read(made, "ACCEPT", Family.IPV6) == meaning(words, Family.IPV6)


def test_a_match_that_has_no_condition_makes_it_incomplete() -> None:
    state = match(b"state", bytes(4))
    found = read(entry(Head("192.0.2.1/32"), state, tcp()), "DROP", Family.IPV4)
    assert not found.complete
    assert found.conditions == meaning("-s 192.0.2.1 -j DROP").conditions
    option = match(b"tcp", pack("=HHHHBBBB", *ALL, *ALL, 3, 0, 0, 0))
    assert not read(entry(Head(protocol=6), option), "DROP", Family.IPV4).complete


def test_a_fragment_alone_is_no_condition_of_ours() -> None:
    assert not read(entry(Head(flags=FRAGMENT)), "DROP", Family.IPV4).complete


def test_ipv6_has_the_type_of_service_where_ipv4_has_the_goto() -> None:
    made = entry(Head(flags=GOTO_6), family=Family.IPV6)
    assert read(made, "guarded", Family.IPV6) == meaning("-g guarded", Family.IPV6)
    made = entry(Head(flags=TYPE_OF_SERVICE_6), family=Family.IPV6)
    assert not read(made, "guarded", Family.IPV6).complete


def test_a_comment_is_no_condition_and_yet_makes_another_rule() -> None:
    comment = match(b"comment", b"mine".ljust(256, b"\0"))
    found = read(entry(Head("192.0.2.1/32"), comment), "DROP", Family.IPV4)
    assert found == meaning("-s 192.0.2.1 -m comment --comment mine -j DROP")
    assert found.complete and not found.exact


def test_what_lies_behind_the_end_of_a_name_is_not_read() -> None:
    one = match(b"tcp\0left from before", pack("=HHHHBBBB", *ALL, 22, 22, 0, 0, 0, 0))
    assert read(entry(Head(protocol=6), one), "DROP", Family.IPV4) == meaning(
        "-p tcp --dport 22 -j DROP"
    )
