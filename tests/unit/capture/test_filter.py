"""The packet filter: interpreted, and in the real kernel, on a socket pair with messages for frames."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyknockd.capture.decode import knock_of
from pyknockd.capture.filter import LONG_SNAP_LENGTH, MOST_PAYLOAD, SNAP_LENGTH, Filter
from pyknockd.model import Flags, Knock, Link, Listen, Protocol
from tests.support.bpf import HOST, OTHER_HOST, OUTGOING, Machine
from tests.support.frames import OWN_BYTES, came_in, packed
from tests.support.packets import (
    DESTINATION,
    ELSEWHERE,
    HOP_BY_HOP,
    OUTER_TAG,
    OWN,
    ROUTE,
    ROUTE_6,
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
from tests.support.socketfilter import Kernel

TCP, UDP = Protocol.TCP, Protocol.UDP
TCP_HEADER, UDP_HEADER = tcp(7000), udp(7000)
CHAIN = HOP_BY_HOP + ROUTING + DESTINATION
SYN = Listen(TCP, 7000, 7000, required=Flags.SYN)
ENTRIES = [SYN, Listen(UDP, 9000, 9000)]
KILOBYTES = 1024


def verdict(
    listens: list[Listen], data: bytes, link: Link = Link.ETHERNET, kind: int = HOST
) -> int:
    """How many bytes of ``data`` pass."""
    program = Filter(listens).program(OWN_BYTES, link)
    return Machine(program, 14 if link is Link.ETHERNET else 0).accepts(data, kind)


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        (ethernet(ipv4(TCP_HEADER)), True),
        (ethernet(ipv4(TCP_HEADER), tags=TAG), True),
        (ethernet(ipv4(TCP_HEADER), tags=TAG * 2), True),
        (ethernet(ipv4(TCP_HEADER, options=bytes(8))), True),
        (ethernet(ipv6(TCP_HEADER)), True),
        (ethernet(ipv6(CHAIN + TCP_HEADER, 0)), True),
        (ethernet(ipv4(udp(9000), 17)), True),
        (ethernet(ipv4(UDP_HEADER, 17)), False),
        (ethernet(ipv4(tcp(7001))), False),
        (ethernet(ipv4(tcp(7000, 0x10))), False),
        (ethernet(ipv6(tcp(7000, 0x10))), False),
        (ethernet(ipv4(TCP_HEADER, route=ELSEWHERE)), False),
        (ethernet(ipv4(TCP_HEADER, fragment=9)), False),
        (ethernet(ipv4(bytes(8), 1)), False),
        (ethernet(b""), False),
    ],
)
def test_only_what_is_listened_for_reaches_the_daemon(data: bytes, passes: bool) -> None:
    kernel = Kernel(Filter(ENTRIES).program(OWN_BYTES, Link.ETHERNET))
    assert kernel.passes(data) is passes
    assert bool(verdict(ENTRIES, data)) is passes
    kernel.close()


def test_links_without_a_header_are_filtered_too() -> None:
    kernel = Kernel(Filter(ENTRIES).program(OWN_BYTES, Link.IP))
    packets = (ipv4(TCP_HEADER), ipv6(TCP_HEADER), ipv4(tcp(1)))
    assert [kernel.passes(packet) for packet in packets] == [True, True, False]
    kernel.close()


def test_a_target_is_listened_to_besides_the_own_addresses() -> None:
    there = replace(SYN, target="192.0.2.9")
    assert verdict([there], ipv4(TCP_HEADER, route=ELSEWHERE), Link.IP)
    assert not verdict([there], ipv4(TCP_HEADER), Link.IP)
    assert verdict([there, SYN], ipv4(TCP_HEADER), Link.IP)


@pytest.mark.parametrize("target", ["localhost", "", "\0", "192.0.2", "fe80::1%eth0"])
def test_a_target_that_is_no_address_lets_nothing_through(target: str) -> None:
    assert not verdict([replace(SYN, target=target)], ipv4(TCP_HEADER), Link.IP)


def test_where_nobody_listens_nothing_passes() -> None:
    for nothing in ([], [Listen(TCP, 7001, 7000)]):
        kernel = Kernel(Filter(nothing).program(OWN_BYTES, Link.IP))
        assert not kernel.passes(ipv4(TCP_HEADER))
        assert not kernel.passes(ipv6(CHAIN + TCP_HEADER, 0))
        kernel.close()


def test_without_an_address_nothing_is_meant_but_a_target() -> None:
    there = replace(SYN, target="192.0.2.9")
    machine = Machine(Filter([there, SYN]).program((), Link.IP), 0)
    assert machine.accepts(ipv4(TCP_HEADER, route=ELSEWHERE))
    assert not machine.accepts(ipv4(TCP_HEADER))
    assert not machine.accepts(ipv6(TCP_HEADER))


def test_a_range_of_ports_is_listened_to_from_end_to_end() -> None:
    ends = [(7000, 7999), (7100, 7200), (7500, 8500), (8501, 8501), (9000, 9000)]
    some = [Listen(UDP, low, high) for low, high in ends]
    for port in (7000, 7050, 7150, 7300, 7999, 8000, 8500, 8501, 9000):
        assert verdict(some, ethernet(ipv4(udp(port), 17)))
    for port in (0, 6999, 8502, 8999, 9001, 65_535):
        assert not verdict(some, ethernet(ipv4(udp(port), 17)))
    whole = [Listen(TCP, 0, 65_535)]
    assert all(verdict(whole, ethernet(ipv4(tcp(port)))) for port in (0, 1, 65_535))


def test_with_ipv4_only_ipv6_does_not_wake_the_daemon() -> None:
    kernel = Kernel(Filter(ENTRIES, ipv4_only=True).program(OWN_BYTES, Link.ETHERNET))
    assert kernel.passes(ethernet(ipv4(TCP_HEADER)))
    assert not kernel.passes(ethernet(ipv6(TCP_HEADER)))
    assert not kernel.passes(ethernet(ipv6(CHAIN + TCP_HEADER, 0)))
    kernel.close()


def test_what_the_host_sends_is_not_heard() -> None:
    there = replace(SYN, target="192.0.2.9")
    for data in (ethernet(ipv4(TCP_HEADER)), ethernet(ipv4(TCP_HEADER, route=ELSEWHERE))):
        assert not verdict([SYN, there], data, kind=OUTGOING)


def test_a_frame_for_another_host_is_heard_only_where_a_target_may_be_meant() -> None:
    assert not verdict([SYN], ethernet(ipv4(TCP_HEADER)), kind=OTHER_HOST)
    there = replace(SYN, target="192.0.2.1")
    assert verdict([there], ethernet(ipv4(TCP_HEADER)), kind=OTHER_HOST)


def test_no_more_of_a_packet_is_copied_than_is_wanted() -> None:
    wanted = [SYN, Listen(UDP, 9000, 9000, payload=300), Listen(UDP, 9001, 9001, payload=30)]
    rest = bytes(5000)
    assert verdict(wanted, ethernet(ipv4(TCP_HEADER + rest))) == SNAP_LENGTH
    assert verdict(wanted, ethernet(ipv4(udp(9000, rest), 17))) == SNAP_LENGTH + 300
    assert verdict(wanted, ethernet(ipv6(CHAIN + rest, 0))) == LONG_SNAP_LENGTH + 300
    assert Filter(wanted).snap_length == LONG_SNAP_LENGTH + 300
    assert Filter([SYN]).snap_length == LONG_SNAP_LENGTH
    endless = Filter([Listen(UDP, 1, 1, payload=10**9)])
    assert endless.snap_length == LONG_SNAP_LENGTH + MOST_PAYLOAD
    assert len(endless.program(OWN_BYTES, Link.IP)) < KILOBYTES


def many(count: int) -> list[Listen]:
    flags = [Flags.SYN, Flags(0), Flags.ACK, Flags.FIN, Flags.RST, Flags.URG, Flags.PSH]
    return [
        Listen(
            UDP if n % 3 else TCP,
            n * 7919 % 65_536,
            n * 7919 % 65_536,
            required=flags[n // 8 % len(flags)],
        )
        for n in range(count)
    ]


def test_the_kernel_takes_the_filter_of_four_thousand_ports_on_fifty_addresses() -> None:
    listens = many(4000)
    own = packed(*(f"192.0.2.{n}" for n in range(50)), *(f"2001:db8::{n:x}" for n in range(50)))
    kernel = Kernel(Filter(listens).program(own, Link.ETHERNET))
    for one in listens:
        if one.protocol is TCP:
            assert kernel.passes(ethernet(ipv4(tcp(one.low, int(one.required)))))
        else:
            assert kernel.passes(ethernet(ipv4(udp(one.low), 17)))
    kernel.close()


ROUTES = [ROUTE, ELSEWHERE, ROUTE_6, Route("2001:db8::7", "2001:db8::9")]
PORTS = st.integers(0, 65_535) | st.integers(0, 12).map(lambda n: n * 5000)
FLAGS = st.integers(0, 63).map(Flags)
LISTENS = st.builds(
    lambda ends, **rest: Listen(low=min(ends), high=max(ends), **rest),
    st.tuples(PORTS, PORTS) | PORTS.map(lambda port: (port, port)),
    protocol=st.sampled_from(Protocol),
    target=st.sampled_from([None, "192.0.2.1", "192.0.2.9", "2001:db8::1", "nowhere"]),
    required=FLAGS,
    forbidden=FLAGS,
    payload=st.sampled_from([0, 0, 20, 1500]),
)


@given(
    st.lists(LISTENS, max_size=3000, unique=True) | st.integers(0, 9000).map(many),
    st.integers(0, 100),
    st.sampled_from(Link),
)
@settings(max_examples=50, deadline=None)
def test_the_filter_stays_small_whatever_is_listened_for(
    listens: list[Listen], addresses: int, link: Link
) -> None:
    own = packed(
        *(f"192.0.2.{n}" for n in range(addresses)), *(f"2001:db8::{n}" for n in range(addresses))
    )
    assert len(Filter(listens).program(own, link)) < 10 * KILOBYTES / 2


@st.composite
def packets(draw: st.DrawFn, listens: list[Listen]) -> bytes:
    """A packet in any form, from its IP header on; most are for one of ``listens``."""
    aimed = draw(st.sampled_from([*listens, Listen(TCP, 0, 65_535), Listen(UDP, 0, 65_535)]))
    port = draw(st.sampled_from([aimed.low, aimed.high]) | st.integers(aimed.low, aimed.high))
    if aimed.protocol is TCP:
        flags = draw(st.sampled_from([0, 255])) & ~int(aimed.forbidden) | int(aimed.required)
        body, number = tcp(port, flags), 6
    else:
        body, number = udp(port, bytes(draw(st.sampled_from([0, 5, 2000])))), 17
    routes = [route for route in ROUTES if route.destination == aimed.target] or ROUTES
    route = draw(st.sampled_from(routes))
    if ":" in route.source:
        for longer in draw(st.sampled_from([(), (0,), (20, 5)])):
            body, number = bytes((number, longer)) + bytes(6 + 8 * longer) + body, 60
        return ip(body, number, route)
    options, fragment = draw(st.sampled_from([0, 4, 40])), draw(st.sampled_from([0, 0x2000, 1]))
    return ipv4(body, number, route=route, options=bytes(options), fragment=fragment)


def wants(one: Listen, knock: Knock) -> bool:
    """Whether ``knock`` is what ``one`` listens for."""
    meant = knock.local if one.target is None else knock.destination == one.target
    looked_at = int(one.required) | int(one.forbidden)
    flags_fit = one.protocol is UDP or int(knock.flags) & looked_at == int(one.required)
    return (
        meant and flags_fit and one.protocol is knock.protocol and one.low <= knock.port <= one.high
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(LISTENS, max_size=6), st.data())
def test_whatever_is_listened_for_passes_with_all_that_is_wanted_of_it(
    listens: list[Listen], data: st.DataObject
) -> None:
    link = data.draw(st.sampled_from(Link))
    made = Filter(listens)
    program = made.program(OWN_BYTES, link)
    machine, kernel = Machine(program, 14 if link is Link.ETHERNET else 0), Kernel(program)
    for _ in range(data.draw(st.integers(1, 6))):
        packet = data.draw(packets(listens))
        tags = data.draw(st.sampled_from([b"", TAG, OUTER_TAG + TAG]))
        frame = ethernet(packet, tags=tags) if link is Link.ETHERNET else packet
        passed = machine.accepts(frame)
        assert kernel.passes(frame) == bool(passed)
        knock = knock_of(came_in(frame, link, payloads=made.payloads))
        if knock is not None and any(wants(one, knock) for one in listens):
            assert passed
            assert knock_of(came_in(frame[:passed], link, payloads=made.payloads)) == knock
    kernel.close()


@settings(max_examples=100, deadline=None)
@given(st.lists(LISTENS, max_size=4), st.binary(max_size=200), st.sampled_from(Link))
def test_any_bytes_are_judged_as_the_kernel_judges_them(
    listens: list[Listen], data: bytes, link: Link
) -> None:
    program = Filter(listens).program(OWN_BYTES, link)
    kernel = Kernel(program)
    verdict = Machine(program, 14 if link is Link.ETHERNET else 0).accepts(data or b"\0")
    assert kernel.passes(data or b"\0") == bool(verdict)
    kernel.close()


def test_own_addresses_are_those_that_packets_go_to() -> None:
    assert packed(*OWN) == OWN_BYTES
