"""Frames as bytes → knocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.capture.decode import knock_of, source_of, text_of
from pyknockd.model import Flags, Knock, Link, Protocol
from tests.support.packets import (
    DESTINATION,
    ELSEWHERE,
    GOOD,
    HOP_BY_HOP,
    OUTER_TAG,
    OWN,
    ROUTING,
    TAG,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    udp,
)

TCP_HEADER, UDP_HEADER = tcp(7000), udp(7000)
TCP_KNOCK = Knock("198.51.100.7", "192.0.2.1", True, Protocol.TCP, 7000, 40_000, Flags.SYN, 12_345)
UDP_KNOCK = Knock("198.51.100.7", "192.0.2.1", True, Protocol.UDP, 7000, 40_000)
TCP_KNOCK_6 = Knock("2001:db8::7", "2001:db8::1", True, Protocol.TCP, 7000, 40_000, 2, 12_345)


@pytest.mark.parametrize(
    ("frame", "knock"),
    [
        (ethernet(ipv4(TCP_HEADER)), TCP_KNOCK),
        (ethernet(ipv4(UDP_HEADER, 17)), UDP_KNOCK),
        (ethernet(ipv4(TCP_HEADER, options=bytes(12))), TCP_KNOCK),
        (ethernet(ipv4(TCP_HEADER, fragment=0x2000)), TCP_KNOCK),
        (ethernet(ipv4(TCP_HEADER), tags=TAG), TCP_KNOCK),
        (ethernet(ipv4(TCP_HEADER), tags=OUTER_TAG + TAG), TCP_KNOCK),
        (ethernet(ipv6(TCP_HEADER), 0x86DD), TCP_KNOCK_6),
        (ethernet(ipv6(HOP_BY_HOP + ROUTING + DESTINATION + TCP_HEADER, 0), 0x86DD), TCP_KNOCK_6),
    ],
)
def test_a_frame_is_read(frame: bytes, knock: Knock) -> None:
    assert knock_of(frame, Link.ETHERNET, OWN) == knock


def test_without_a_link_header_the_packet_stands_alone() -> None:
    assert knock_of(ipv4(TCP_HEADER), Link.IP, OWN) == TCP_KNOCK
    assert knock_of(ipv6(TCP_HEADER), Link.IP, OWN) == TCP_KNOCK_6


def test_a_foreign_destination_is_not_local() -> None:
    knock = knock_of(ipv4(TCP_HEADER, route=ELSEWHERE), Link.IP, OWN)
    assert knock is not None
    assert (knock.destination, knock.local) == ("192.0.2.9", False)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(13),
        ethernet(ipv4(TCP_HEADER), 0x0806),
        ethernet(ipv4(bytes(8), 1)),
        ethernet(ipv4(TCP_HEADER, fragment=1)),
        ethernet(ipv4(TCP_HEADER)[:-7]),
        ethernet(b"\x41" + ipv4(TCP_HEADER)[1:]),
        ethernet(b"\x4f" + ipv4(TCP_HEADER)[1:]),
        ethernet(ipv6(TCP_HEADER, 59), 0x86DD),
        ethernet(ipv6(bytes((6, 0, 0, 8)) + bytes(4) + TCP_HEADER, 44), 0x86DD),
        ethernet(ipv6(bytes((0, 255)), 0), 0x86DD),
    ],
)
def test_what_is_no_knock_is_ignored(frame: bytes) -> None:
    assert knock_of(frame, Link.ETHERNET, OWN) is None


@given(
    st.sampled_from(list(Link)),
    st.one_of(st.binary(max_size=120), st.sampled_from(GOOD)),
    st.data(),
)
def test_any_bytes_give_a_knock_or_none(link: Link, frame: bytes, data: st.DataObject) -> None:
    mangled = bytearray(frame)
    for _ in range(data.draw(st.integers(0, 4))):
        if mangled:
            mangled[data.draw(st.integers(0, len(mangled) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mangled)))
    for version in (bytes(mangled), bytes(mangled[:cut])):
        knock = knock_of(version, link, OWN)
        assert knock is None or 0 <= knock.port <= 65_535


@pytest.mark.parametrize("one", GOOD[:2])
def test_the_source_is_found_without_reading_the_frame(one: bytes) -> None:
    knock = knock_of(one, Link.ETHERNET, OWN)
    source = source_of(one, Link.ETHERNET)
    assert knock is not None
    assert source is not None
    assert text_of(source) == knock.source


def test_without_a_link_header_too() -> None:
    assert source_of(ipv4(tcp(1)), Link.IP) == bytes((198, 51, 100, 7))
    assert text_of(source_of(ipv6(tcp(1)), Link.IP) or b"") == "2001:db8::7"
