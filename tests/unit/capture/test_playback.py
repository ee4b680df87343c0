"""Recorded frames as the host would have heard them."""

from __future__ import annotations

import pytest

from pyknockd.capture.flood import Flood
from pyknockd.capture.playback import MOST_FOUND, Medium, Playback, Recorded
from pyknockd.model import Flags, Knock, Link, Listen, Protocol
from tests.support.packets import (
    ACK,
    DESTINATION,
    HOP_BY_HOP,
    OUTER_TAG,
    ROUTING,
    SYN,
    TAG,
    UDP,
    Route,
    ethernet,
    ip,
    ipv4,
    ipv6,
    tcp,
    udp,
)

HERE, HERE_6, ELSEWHERE = "192.0.2.1", "2001:db8::1", "192.0.2.9"
HARDWARE = bytes(range(12))
WIRE, BARE = Medium(Link.ETHERNET, "eth0"), Medium(Link.IP, "wg0")
LISTENS = (Listen(Protocol.TCP, 7000, 7000), Listen(Protocol.UDP, 8000, 8000))


def playback(*addresses: str, around: int = 0, listens: tuple[Listen, ...] = LISTENS) -> Playback:
    made = Playback(addresses)
    made.listen(listens, around)
    return made


def hear(where: Playback, packet: bytes, medium: Medium = WIRE, tags: bytes = b"") -> Knock | None:
    data = packet if medium.link is Link.IP else ethernet(packet, hardware=HARDWARE, tags=tags)
    return next(iter(where.knocks_of(Recorded(data, medium, 1.0))), None)


def to(destination: str, port: int = 7000, flags: int = SYN) -> bytes:
    source = "2001:db8::7" if ":" in destination else "198.51.100.7"
    return ip(tcp(port, flags), 6, Route(source, destination))


@pytest.mark.parametrize("medium", [WIRE, BARE])
@pytest.mark.parametrize("destination", [HERE, HERE_6])
def test_a_step_is_heard_with_the_interface_that_it_came_in_on(
    medium: Medium, destination: str
) -> None:
    knock = hear(playback(HERE, HERE_6), to(destination), medium)
    assert knock is not None
    assert (knock.destination, knock.local, knock.interface) == (destination, True, medium.name)


@pytest.mark.parametrize(
    "packet",
    [
        to(HERE, 7001),
        to(HERE_6, 7001),
        ipv4(udp(8001), UDP),
        ipv4(tcp(7001), options=bytes(8)),
        ipv6(HOP_BY_HOP + ROUTING + DESTINATION + tcp(7001), 0),
        b"",
        b"\x45",
    ],
)
def test_other_ports_are_left_out(packet: bytes) -> None:
    for medium in (WIRE, BARE):
        assert hear(playback(HERE, HERE_6), packet, medium) is None


@pytest.mark.parametrize(
    ("packet", "tags"),
    [
        (ipv4(tcp(7000), options=bytes(8)), b""),
        (ipv6(HOP_BY_HOP + ROUTING + DESTINATION + tcp(7000), 0), b""),
        (to(HERE), OUTER_TAG + TAG),
    ],
)
def test_a_step_behind_more_headers_is_heard(packet: bytes, tags: bytes) -> None:
    assert hear(playback(HERE, HERE_6), packet, tags=tags) is not None


def test_a_port_near_a_step_is_given_where_that_is_asked_for() -> None:
    near = playback(HERE, around=3)
    assert hear(near, to(HERE, 7003)) is not None
    assert hear(near, to(HERE, 7004)) is None
    assert hear(near, to(HERE, 8000)) is not None  # by the other protocol


@pytest.mark.parametrize("port", [0, 65_535])
def test_no_port_is_near_beyond_the_last(port: int) -> None:
    edge = playback(HERE, around=3, listens=(Listen(Protocol.TCP, port, port),))
    assert hear(edge, to(HERE, port)) is not None


def test_over_ipv4_only_nothing_else_is_heard() -> None:
    only = Playback((HERE, HERE_6), ipv4_only=True)
    only.listen(LISTENS, 0)
    assert hear(only, to(HERE)) is not None
    assert hear(only, to(HERE_6)) is None
    assert hear(only, to(HERE_6), tags=TAG) is None


def test_addresses_that_are_told_are_the_only_ones() -> None:
    told = playback(HERE)
    knock = hear(told, to(ELSEWHERE))
    assert knock is not None
    assert not knock.local
    assert told.addresses == (HERE,)


def test_addresses_that_are_not_told_are_where_knocks_go() -> None:
    found = playback()
    for packet in (
        to(HERE),
        to(HERE_6),
        ipv4(udp(8000), UDP, route=Route("198.51.100.7", ELSEWHERE)),
    ):
        knock = hear(found, packet)
        assert knock is not None
        assert knock.local
    assert found.addresses == (HERE, HERE_6, ELSEWHERE)


@pytest.mark.parametrize(
    "packet",
    [
        to(HERE, flags=SYN | ACK),
        to(HERE, 7001),
        to("224.0.0.1"),
        to("255.255.255.255"),
        to("ff02::1"),
    ],
)
def test_no_address_is_found_by_what_begins_nothing_at_a_step_or_goes_to_many(
    packet: bytes,
) -> None:
    found = playback(around=3)
    hear(found, packet)
    assert found.addresses == ()


def test_of_addresses_that_are_found_there_are_not_too_many() -> None:
    found = playback()
    for number in range(MOST_FOUND + 10):
        hear(found, to(f"192.0.2.{number}"))
    assert len(found.addresses) == MOST_FOUND


def test_targets_are_the_hosts_and_where_all_have_one_no_other_is_found() -> None:
    target = Listen(Protocol.TCP, 7000, 7000, target=HERE)
    found = playback(listens=(target,))
    hear(found, to(ELSEWHERE))
    assert found.addresses == (HERE,)
    mixed = playback(listens=(target, LISTENS[1], Listen(Protocol.TCP, 7000, 7000, target="gate")))
    hear(mixed, ipv4(udp(8000), UDP, route=Route("198.51.100.7", ELSEWHERE)))
    assert mixed.addresses == (HERE, ELSEWHERE)


def test_what_comes_from_the_host_is_left_out() -> None:
    own = ip(tcp(7000), 6, Route(HERE, ELSEWHERE))
    assert hear(playback(HERE), own) is None


def test_one_packet_that_came_in_on_two_interfaces_is_one_knock() -> None:
    port, bridge = Medium(Link.ETHERNET, "eth0", 1), Medium(Link.ETHERNET, "br0", 2)
    both = playback(HERE)
    datagram = ipv4(udp(8000), UDP)
    heard = [hear(both, datagram, medium) for medium in (port, bridge, port, bridge)]
    assert [knock is not None for knock in heard] == [True, False, True, False]


def test_a_copy_on_an_interface_that_is_not_listened_on_takes_nothing_away() -> None:
    port, bridge = Medium(Link.ETHERNET, "eth0", 1), Medium(Link.ETHERNET, "br0", 2)
    one = Playback((HERE,), ("br0",))
    one.listen(LISTENS, 0)
    heard = [hear(one, ipv4(udp(8000), UDP), medium) for medium in (port, bridge)]
    assert [knock is not None and one.is_listened_on(knock.interface) for knock in heard] == [
        *(False, True),
    ]


def test_where_the_beginning_of_every_connection_matters_it_is_heard_and_nothing_else() -> None:
    every = Listen(Protocol.TCP, 1, 65_535, required=Flags.SYN, forbidden=Flags.ACK)
    for own in (HERE, HERE_6):
        strict = playback(own, listens=(*LISTENS, every))
        assert hear(strict, to(own, 443)) is not None
        assert hear(strict, to(own, 443), tags=TAG) is not None
        assert hear(strict, to(own, 443, SYN | ACK)) is None
        assert hear(strict, to(own, 443, ACK), tags=TAG) is None
    assert hear(strict, ipv4(udp(53), UDP)) is None


def test_such_a_beginning_shows_no_address() -> None:
    every = Listen(Protocol.TCP, 1, 65_535, required=Flags.SYN)
    strict = playback(listens=(*LISTENS, every))
    hear(strict, to(ELSEWHERE, 443))
    assert strict.addresses == ()


def test_payloads_that_are_wanted_are_there() -> None:
    wanted = Listen(Protocol.UDP, 62_201, 62_201, payload=5)
    knock = hear(playback(HERE, listens=(wanted,)), ipv4(udp(62_201, b"abcdefg"), UDP))
    assert knock is not None
    assert knock.payload == b"abcde"


def test_a_first_knock_in_a_flood_waits_for_its_sources_second() -> None:
    one = Playback((HERE,), (), Flood(lambda source: False, rate=1, most=10, patience=5.0))
    one.listen(LISTENS, 3)

    def send(number: int, port: int = 7000) -> list[int]:
        route = Route(f"198.51.100.{number}", HERE)
        data = ethernet(ipv4(tcp(port), route=route), hardware=HARDWARE)
        return [knock.port for knock in one.knocks_of(Recorded(data, WIRE, 1.0))]

    assert send(1) == [7000]
    assert send(2) == []
    assert send(3, 7001) == [7001]  # near a step, which the daemon would not hear
    assert send(2) == [7000, 7000]
    assert [event.count for event in one.events(3.0)] == [1]
    assert one.count == 4
