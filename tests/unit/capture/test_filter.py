"""The packet filter, in the real kernel: on a socket pair, whose messages serve as frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyknockd.capture.decode import knock_of
from pyknockd.capture.filter import program
from pyknockd.model import Door, Flags, Link, Protocol, Step
from pyknockd.proof.sequence import Machine
from tests.support.packets import (
    DESTINATION,
    ELSEWHERE,
    HOP_BY_HOP,
    OWN,
    ROUTING,
    TAG,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    udp,
)
from tests.support.socketfilter import Kernel

TCP, UDP = Protocol.TCP, Protocol.UDP
TCP_HEADER, UDP_HEADER = tcp(7000), udp(7000)
SYN_DOOR = Door("ssh", (Step(7000, TCP), Step(9000, UDP)), required=Flags.SYN)


@pytest.mark.parametrize(
    ("frame", "passes"),
    [
        (ethernet(ipv4(TCP_HEADER)), True),
        (ethernet(ipv4(TCP_HEADER), tags=TAG), True),
        (ethernet(ipv4(TCP_HEADER), tags=TAG * 2), True),
        (ethernet(ipv4(TCP_HEADER, options=bytes(8))), True),
        (ethernet(ipv6(TCP_HEADER), 0x86DD), True),
        (ethernet(ipv6(HOP_BY_HOP + ROUTING + DESTINATION + TCP_HEADER, 0), 0x86DD), True),
        (ethernet(ipv4(udp(9000), 17)), True),
        (ethernet(ipv4(UDP_HEADER, 17)), False),
        (ethernet(ipv4(tcp(7001))), False),
        (ethernet(ipv4(tcp(7000, 0x10))), False),
        (ethernet(ipv6(tcp(7000, 0x10)), 0x86DD), False),
        (ethernet(ipv4(TCP_HEADER, route=ELSEWHERE)), False),
        (ethernet(ipv4(TCP_HEADER, fragment=9)), False),
        (ethernet(ipv4(bytes(8), 1)), False),
        (ethernet(b""), False),
    ],
)
def test_only_what_a_door_listens_to_reaches_the_daemon(frame: bytes, passes: bool) -> None:
    kernel = Kernel(program([SYN_DOOR], OWN, Link.ETHERNET))
    assert kernel.passes(frame) is passes
    kernel.close()


def test_links_without_a_header_are_filtered_too() -> None:
    kernel = Kernel(program([SYN_DOOR], OWN, Link.IP))
    verdicts = [
        kernel.passes(packet) for packet in (ipv4(TCP_HEADER), ipv6(TCP_HEADER), ipv4(tcp(1)))
    ]
    assert verdicts == [True, True, False]
    kernel.close()


def test_a_target_is_listened_to_besides_the_own_addresses() -> None:
    there = Door("there", (Step(7000, TCP),), target="192.0.2.9")
    kernel = Kernel(program([there], OWN, Link.IP))
    assert kernel.passes(ipv4(TCP_HEADER, route=ELSEWHERE))
    assert not kernel.passes(ipv4(TCP_HEADER))
    kernel.close()


def test_a_target_that_is_no_address_lets_nothing_through() -> None:
    kernel = Kernel(program([Door("x", (Step(7000, TCP),), target="localhost")], OWN, Link.IP))
    assert not kernel.passes(ipv4(TCP_HEADER))
    kernel.close()


def test_without_doors_nothing_passes() -> None:
    kernel = Kernel(program([], OWN, Link.IP))
    assert not kernel.passes(ipv4(TCP_HEADER))
    kernel.close()


def test_the_kernel_takes_the_filter_of_five_hundred_doors_on_fifty_addresses() -> None:
    flags = [Flags.SYN, Flags(0), Flags.ACK, Flags.FIN, Flags.RST, Flags.URG, Flags.PSH]
    doors = [
        Door(
            f"door {n}",
            tuple(Step((n * 7919 + i * 104_729) % 65_536, UDP if i % 3 else TCP) for i in range(8)),
            required=flags[n % len(flags)],
        )
        for n in range(500)
    ]
    own = [f"192.0.2.{n}" for n in range(50)] + [f"2001:db8::{n:x}" for n in range(50)]
    kernel = Kernel(program(doors, own, Link.ETHERNET))
    for door in doors:
        for step in door.steps:
            if step.protocol is TCP:
                assert kernel.passes(ethernet(ipv4(tcp(step.port, int(door.required)))))
            else:
                assert kernel.passes(ethernet(ipv4(udp(step.port), 17)))
    kernel.close()


STEPS = st.builds(Step, st.integers(0, 12).map(lambda n: n * 5000), st.sampled_from(list(Protocol)))
FLAGS = st.integers(0, 63).map(Flags)
DOORS = st.builds(
    Door,
    st.just("d"),
    st.lists(STEPS, min_size=1, max_size=4).map(tuple),
    required=FLAGS,
    forbidden=FLAGS,
    target=st.sampled_from([None, "192.0.2.1", "192.0.2.9", "2001:db8::1"]),
)


@settings(max_examples=200)
@given(st.lists(DOORS, min_size=1, max_size=12), st.lists(st.tuples(STEPS, FLAGS), max_size=20))
def test_what_the_machine_hears_the_filter_lets_through(
    doors: list[Door], packets: list[tuple[Step, Flags]]
) -> None:
    kernel = Kernel(program(doors, OWN, Link.ETHERNET))
    for step, flags in packets:
        body = tcp(step.port, int(flags)) if step.protocol is TCP else udp(step.port)
        for frame in (
            ethernet(ipv4(body, step.protocol.value)),
            ethernet(ipv4(body, step.protocol.value, route=ELSEWHERE)),
            ethernet(ipv6(body, step.protocol.value), 0x86DD),
        ):
            knock = knock_of(frame, Link.ETHERNET, OWN)
            assert knock is not None
            heard = bool(Machine(doors).hearing(knock))
            assert kernel.passes(frame) or not heard
    kernel.close()
