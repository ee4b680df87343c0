"""Frames as bytes → knocks."""

from __future__ import annotations

from dataclasses import replace
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.capture.decode import (
    NO_PEERS_ON_LOOPBACK,
    Frame,
    knock_of,
    source_of,
    step_of,
    text_of,
)
from pyknockd.model import Flags, Knock, Link, Listen, Protocol, Step
from tests.support.frames import INGRESS, came_in
from tests.support.packets import (
    DESTINATION,
    ELSEWHERE,
    GOOD,
    HOP_BY_HOP,
    MSS,
    OUTER_TAG,
    ROUTING,
    TAG,
    Route,
    ethernet,
    ip,
    ipv4,
    ipv6,
    tcp,
    udp,
)

TCP, UDP = Protocol.TCP, Protocol.UDP
TCP_HEADER, UDP_HEADER = tcp(7000), udp(7000)
TCP_KNOCK = Knock(
    *("198.51.100.7", "192.0.2.1", True, TCP, 7000, 40_000, Flags.SYN, 12_345),
    bare=True,
    interface="ethernet0",
)
UDP_KNOCK = replace(TCP_KNOCK, protocol=UDP, flags=0, sequence_number=0, bare=False)
TCP_KNOCK_6 = replace(TCP_KNOCK, source="2001:db8::7", destination="2001:db8::1")
CHAIN = HOP_BY_HOP + ROUTING + DESTINATION
WANTED = Listen(UDP, 7000, 7009, payload=20)


@pytest.mark.parametrize(
    ("data", "knock"),
    [
        (ethernet(ipv4(TCP_HEADER)), TCP_KNOCK),
        (ethernet(ipv4(UDP_HEADER, 17)), UDP_KNOCK),
        (ethernet(ipv4(tcp(7000, options=MSS))), replace(TCP_KNOCK, bare=False)),
        (ethernet(ipv4(TCP_HEADER, options=bytes(12))), TCP_KNOCK),
        (ethernet(ipv4(TCP_HEADER, fragment=0x2000)), TCP_KNOCK),
        (ethernet(ipv4(TCP_HEADER), tags=TAG), TCP_KNOCK),
        (ethernet(ipv4(TCP_HEADER), tags=OUTER_TAG + TAG), TCP_KNOCK),
        (ethernet(ipv6(TCP_HEADER)), TCP_KNOCK_6),
        (ethernet(ipv6(CHAIN + TCP_HEADER, 0)), TCP_KNOCK_6),
    ],
)
def test_a_frame_is_read(data: bytes, knock: Knock) -> None:
    assert knock_of(came_in(data)) == knock


def test_without_a_link_header_the_packet_stands_alone() -> None:
    for packet, knock in ((ipv4(TCP_HEADER), TCP_KNOCK), (ipv6(TCP_HEADER), TCP_KNOCK_6)):
        assert knock_of(came_in(packet, Link.IP)) == replace(knock, interface="ip0")


def test_a_knock_bears_the_time_of_its_frame() -> None:
    assert knock_of(came_in(ethernet(ipv4(TCP_HEADER)), time=7.5)) == replace(TCP_KNOCK, time=7.5)


def test_a_foreign_destination_is_not_local() -> None:
    knock = knock_of(came_in(ipv4(TCP_HEADER, route=ELSEWHERE), Link.IP))
    assert knock is not None
    assert (knock.destination, knock.local) == ("192.0.2.9", False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(13),
        ethernet(ipv4(TCP_HEADER), 0x0806),
        ethernet(ipv4(bytes(8), 1)),
        ethernet(ipv4(TCP_HEADER, fragment=1)),
        ethernet(ipv4(TCP_HEADER, fragment=0x1F00)),
        ethernet(ipv4(TCP_HEADER)[:-7]),
        ethernet(b"\x41" + ipv4(TCP_HEADER)[1:]),
        ethernet(b"\x4f" + ipv4(TCP_HEADER)[1:]),
        ethernet(ipv6(TCP_HEADER, 59)),
        ethernet(ipv6(bytes((6, 0, 0, 8)) + bytes(4) + TCP_HEADER, 44)),
        ethernet(ipv6(bytes((0, 255)), 0)),
    ],
)
def test_what_is_no_knock_is_ignored(data: bytes) -> None:
    assert knock_of(came_in(data)) is None


def from_(source: str) -> bytes:
    """A packet from ``source`` to one of the own addresses."""
    route = Route(source, "2001:db8::1" if ":" in source else "192.0.2.1")
    return ip(TCP_HEADER, 6, route)


NOBODY = ["0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "::", "ff02::1"]
NOT_ON_A_WIRE = ["127.0.0.1", "127.9.9.9", "::1", "192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize("source", [*NOBODY, *NOT_ON_A_WIRE, "::ffff:198.51.100.7"])
def test_a_packet_from_an_address_that_no_peer_has_is_no_knock(source: str) -> None:
    assert knock_of(came_in(ethernet(from_(source)))) is None
    assert knock_of(came_in(from_(source), Link.IP)) is None


@pytest.mark.parametrize(
    "source",
    ["0.0.0.1", "10.0.0.255", "223.255.255.255", "240.0.0.1", "64:ff9b::c633:6407", "fe80::1"],
)
def test_a_packet_from_any_other_address_is_one(source: str) -> None:
    knock = knock_of(came_in(ethernet(from_(source))))
    assert knock is not None
    assert knock.source == source


@pytest.mark.parametrize("source", NOT_ON_A_WIRE)
def test_on_the_loopback_the_host_knocks_at_itself(source: str) -> None:
    loopback = replace(INGRESS[Link.ETHERNET], no_peers=NO_PEERS_ON_LOOPBACK)
    knock = knock_of(Frame(ethernet(from_(source)), loopback, 0.0))
    assert knock is not None
    assert knock.source == source
    for nobody in NOBODY:
        assert knock_of(Frame(ethernet(from_(nobody)), loopback, 0.0)) is None


def payload_of(data: bytes, *wanted: Listen) -> bytes:
    knock = knock_of(came_in(data, payloads=wanted))
    assert knock is not None
    return knock.payload


@pytest.mark.parametrize("padding", [b"", bytes(18)])
@pytest.mark.parametrize("tags", [b"", TAG, OUTER_TAG + TAG])
def test_a_payload_is_handed_on_without_padding(tags: bytes, padding: bytes) -> None:
    for packet in (
        ipv4(udp(7000, b"hello"), 17),
        ipv4(udp(7000, b"hello"), 17, options=bytes(8)),
        ipv6(udp(7000, b"hello"), 17),
        ipv6(bytes((17, 0)) + bytes(6) + udp(7000, b"hello"), 0),
    ):
        assert payload_of(ethernet(packet, tags=tags) + padding, WANTED) == b"hello"


def test_a_payload_is_handed_on_only_where_it_is_wanted_and_as_far() -> None:
    long = bytes(range(100))
    longer = Listen(UDP, 7005, 7005, payload=50)
    assert payload_of(ethernet(ipv4(udp(7000, long), 17)), WANTED, longer) == long[:20]
    assert payload_of(ethernet(ipv4(udp(7005, long), 17)), WANTED, longer) == long[:50]
    assert payload_of(ethernet(ipv4(udp(7009, long), 17)), WANTED, longer) == long[:20]
    assert payload_of(ethernet(ipv4(udp(7010, long), 17)), WANTED, longer) == b""
    assert payload_of(ethernet(ipv4(tcp(7000) + long, 6)), WANTED, longer) == b""
    assert payload_of(ethernet(ipv4(udp(7000, long), 17))) == b""


@pytest.mark.parametrize(
    ("length", "payload"), [(0, b""), (7, b""), (8, b""), (11, b"hel"), (13, b"hello")]
)
def test_the_udp_header_says_how_long_the_payload_is(length: int, payload: bytes) -> None:
    datagram = pack("!HHHH", 40_000, 7000, length, 0) + b"hello"
    assert payload_of(ethernet(ipv4(datagram, 17)), WANTED) == payload
    assert payload_of(ethernet(ipv6(datagram, 17)), WANTED) == payload


def test_what_the_ip_header_does_not_count_is_no_payload() -> None:
    lying = pack("!HHHH", 40_000, 7000, 8 + 9, 0) + b"hello"
    assert payload_of(ethernet(ipv4(lying, 17)) + b"junk", WANTED) == b"hello"
    assert payload_of(ethernet(ipv6(lying, 17)) + b"junk", WANTED) == b"hello"


def test_a_datagram_that_ends_within_its_header_has_none() -> None:
    assert payload_of(ethernet(ipv4(udp(7000, b"")[:6], 17)), WANTED) == b""


@given(
    st.sampled_from(list(Link)),
    st.one_of(
        st.binary(max_size=120), st.sampled_from([*GOOD, ethernet(ipv4(udp(7000, b"hello"), 17))])
    ),
    st.data(),
)
def test_any_bytes_give_a_knock_or_none(link: Link, data: bytes, draw: st.DataObject) -> None:
    mangled = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        if mangled:
            mangled[draw.draw(st.integers(0, len(mangled) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(mangled)))
    for version in (bytes(mangled), bytes(mangled[:cut])):
        frame = came_in(version, link, payloads=(Listen(UDP, 0, 65_535, payload=20),))
        knock, step = knock_of(frame), step_of(frame)
        assert knock is None or 0 <= knock.port <= 65_535
        assert knock is None or len(knock.payload) <= 20
        if knock is not None and step is not None:
            assert step == Step(knock.port, knock.protocol)


@pytest.mark.parametrize("data", GOOD[:2])
def test_the_source_is_found_without_reading_the_frame(data: bytes) -> None:
    knock = knock_of(came_in(data))
    source = source_of(came_in(data))
    assert knock is not None
    assert source is not None
    assert text_of(source) == knock.source


def test_without_a_link_header_too() -> None:
    assert source_of(came_in(ipv4(tcp(1)), Link.IP)) == bytes((198, 51, 100, 7))
    assert text_of(source_of(came_in(ipv6(tcp(1)), Link.IP)) or b"") == "2001:db8::7"


@pytest.mark.parametrize(
    ("data", "step"),
    [
        (ethernet(ipv4(tcp(7000))), Step(7000, TCP)),
        (ethernet(ipv4(udp(7000), 17)), Step(7000, UDP)),
        (ethernet(ipv6(udp(7000), 17)), Step(7000, UDP)),
        (ethernet(ipv4(tcp(7000), options=bytes(8))), None),
        (ethernet(ipv4(tcp(7000)), tags=b"\x81\x00\x45\x45"), None),
        (ethernet(ipv6(CHAIN + tcp(7000), 0)), None),
        (ethernet(ipv4(bytes(8), 1)), None),
        (b"", None),
    ],
)
def test_the_port_of_a_plain_packet_is_found_without_reading_it(
    data: bytes, step: Step | None
) -> None:
    assert step_of(came_in(data)) == step
    assert step_of(came_in(data[14:], Link.IP)) == step
