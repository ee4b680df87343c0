"""Flood control: first knocks of a flood are put aside, and nobody who goes on is missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.capture.decode import Frame, knock_of
from pyknockd.capture.flood import Flood
from pyknockd.model import Door, Flags, Link, Listen, Protocol, Step
from pyknockd.model.events import FirstKnocksLeftOut, Opened
from pyknockd.proof.sequence import Sequences
from tests.support.frames import came_in
from tests.support.packets import (
    DESTINATION,
    HOP_BY_HOP,
    ROUTING,
    TAG,
    Route,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    udp,
)

TCP, UDP = Protocol.TCP, Protocol.UDP
PATIENCE = 65.0
CHAIN = HOP_BY_HOP + ROUTING + DESTINATION


def flood(rate: int = 0, most: int = 100, patience: float = PATIENCE) -> Flood:
    return Flood(lambda _: False, rate, most, patience)


def frame(
    source: int,
    port: int,
    time: float = 0.0,
    *,
    number: int = 12_345,
    link: Link = Link.ETHERNET,
    protocol: Protocol = TCP,
) -> Frame:
    route = Route(f"10.0.{source // 256}.{source % 256}", "192.0.2.1")
    body = tcp(port, number=number) if protocol is TCP else udp(port)
    packet = ipv4(body, protocol.value, route=route)
    return came_in(ethernet(packet) if link is Link.ETHERNET else packet, link, time)


def test_as_long_as_there_is_no_flood_everything_passes() -> None:
    control = flood(rate=3)
    for second in range(5):
        for number in range(3):
            one = frame(10 * second + number, 7000, float(second))
            assert control.sift(one) == (one,)
    assert control.events(9.0) == []
    assert control.next_deadline() is None


def test_in_a_flood_the_first_packet_waits_for_the_second() -> None:
    control = flood(rate=1)
    control.sift(frame(1, 7000))
    first, second = frame(2, 7000, 0.25), frame(2, 8000, 0.5)
    assert control.sift(first) == ()
    assert control.sift(second) == (first, second)


def test_what_was_put_aside_is_read_as_it_came_in() -> None:
    """On another interface than the second, which has other addresses and another link header."""
    control = flood()
    control.sift(frame(2, 7000, 0.25, link=Link.ETHERNET))
    passed = control.sift(frame(2, 8000, 0.5, link=Link.IP))
    knocks = [knock_of(one) for one in passed]
    assert [(k.port, k.time, k.local) for k in knocks if k] == [
        (7000, 0.25, True),
        (8000, 0.5, True),
    ]
    assert [one.ingress.name for one in passed] == ["ethernet0", "ip0"]


def test_known_sources_always_pass() -> None:
    control = Flood(lambda source: source == "10.0.0.7", 0, 10, PATIENCE)
    assert control.sift(frame(7, 8000))
    assert not control.sift(frame(8, 8000))


def test_it_is_told_once_a_second_how_many_were_put_aside() -> None:
    control = flood(rate=1)
    for number in range(5):
        control.sift(frame(number, 7000, 0.5))
    assert control.next_deadline() == 1.5
    assert control.events(1.4) == []
    assert control.events(1.5) == [FirstKnocksLeftOut(1.5, 4)]
    assert control.events(3.0) == []
    assert control.next_deadline() == 0.5 + PATIENCE


def test_no_more_than_so_many_packets_are_kept() -> None:
    control = flood(most=100)
    for number in range(1000):
        control.sift(frame(number, 7000))
    kept = [number for number in range(999, -1, -1) if control.sift(frame(number, 8000))]
    assert kept == list(range(999, 899, -1))


def test_nothing_is_kept_for_longer_than_it_is_of_use() -> None:
    control = flood(patience=10)
    control.sift(frame(1, 7000, 1.0))
    control.sift(frame(2, 7000, 3.0))
    control.events(10.9)
    deadline = control.next_deadline()
    assert deadline is not None
    control.events(deadline)
    assert deadline <= 12.0
    assert control.sift(frame(1, 8000, deadline)) == ()
    assert len(control.sift(frame(2, 8000, deadline))) == 2


def test_when_the_flood_is_over_there_is_nothing_to_wake_for() -> None:
    control = flood(patience=10)
    for number in range(5000):
        control.sift(frame(number, 7000, number / 1000))
    now, woken = 5.0, 0
    while (deadline := control.next_deadline()) is not None:
        now, woken = max(now, deadline), woken + 1
        control.events(now)
    assert now <= 16.0
    assert woken <= 10
    assert len(control._aside) == 0


URGENT = [
    Listen(UDP, 5000, 5000, can_wait=False),
    Listen(TCP, 6000, 6100, target="192.0.2.9", required=Flags.SYN, can_wait=False),
]


@pytest.mark.parametrize(
    ("port", "protocol", "waits"),
    [
        (5000, UDP, False),
        (5000, TCP, True),
        (5001, UDP, True),
        (5999, TCP, True),
        (6000, TCP, False),
        (6050, TCP, False),
        (6100, TCP, False),
        (6101, TCP, True),
        (6000, UDP, True),
    ],
)
@pytest.mark.parametrize("link", list(Link))
def test_what_may_open_a_door_by_itself_is_not_put_aside(
    port: int, protocol: Protocol, waits: bool, link: Link
) -> None:
    control = flood()
    control.listen([Listen(TCP, 0, 65_535), Listen(UDP, 0, 65_535), *URGENT])
    assert (control.sift(frame(1, port, protocol=protocol, link=link)) == ()) is waits
    control.listen([Listen(TCP, 0, 65_535), Listen(UDP, 0, 65_535)])
    assert control.sift(frame(2, port, protocol=protocol, link=link)) == ()


@pytest.mark.parametrize("port", [6000, 7000])
def test_nor_is_it_in_any_other_form(port: int) -> None:
    control = flood()
    control.listen([Listen(TCP, 7000, 7000), *URGENT])
    for packet in (ipv4(tcp(port), options=bytes(8)), ipv6(CHAIN + tcp(port), 0), ipv6(tcp(port))):
        control = flood()
        control.listen([Listen(TCP, 7000, 7000), *URGENT])
        assert bool(control.sift(came_in(ethernet(packet)))) is (port == 6000)
    assert control.sift(came_in(ethernet(ipv4(tcp(port)), tags=TAG)))


def test_what_cannot_wait_does_not_make_others_wait() -> None:
    control = flood(rate=3)
    control.listen(URGENT)
    for number in range(100):
        assert control.sift(frame(number, 5000, protocol=UDP))
    assert control.sift(frame(200, 7000))


def test_it_plays_back_what_waits_for_its_source() -> None:
    control = flood()
    control.listen(URGENT)
    first, second = frame(1, 7000, 1.0), frame(1, 5000, 2.0, protocol=UDP)
    assert control.sift(first) == ()
    assert control.sift(second) == (first, second)


@given(st.sampled_from(list(Link)), st.binary(max_size=60), st.booleans())
def test_any_bytes_can_be_sifted(link: Link, data: bytes, urgent: bool) -> None:
    control = flood(most=3)
    control.listen(URGENT if urgent else [])
    one = came_in(data, link)
    assert control.sift(one) in ((), (one,))
    assert len(control.sift(came_in(data, link, 1.0))) >= 1 or urgent


TIMEOUT = 5.0
SEQUENCES = {
    "three": (Step(7000, TCP), Step(8000, TCP), Step(9000, TCP)),
    "one": (Step(5000, UDP),),
    "begins like one": (Step(5000, UDP), Step(7000, TCP)),
    "two": (Step(8000, TCP), Step(5000, UDP)),
}
DOORS = [Door(name, steps, timeout=TIMEOUT) for name, steps in SEQUENCES.items()]
PACKETS = st.tuples(
    st.integers(0, 4),
    st.sampled_from([Step(7000, TCP), Step(8000, TCP), Step(9000, TCP), Step(5000, UDP)]),
    st.sampled_from(list(Link)),
    st.floats(0, 2),
)


def opened(sequences: Sequences, one: Frame) -> list[Opened]:
    knock = knock_of(one)
    assert knock is not None
    return [event for event in sequences.feed(knock) if isinstance(event, Opened)]


@given(
    st.sets(st.sampled_from(range(len(DOORS))), min_size=1),
    st.lists(PACKETS, max_size=40),
    st.integers(0, 3),
)
def test_with_and_without_it_the_same_doors_open(
    chosen: set[int], packets: list[tuple[int, Step, Link, float]], rate: int
) -> None:
    doors = [DOORS[number] for number in chosen]
    sifted, plain = Sequences(doors), Sequences(doors)
    control = Flood(sifted.knows, rate, 100, TIMEOUT)
    control.listen(sifted.listens())
    now = 0.0
    for number, (source, step, link, pause) in enumerate(packets):
        now += pause
        one = frame(source, step.port, now, number=number, link=link, protocol=step.protocol)
        found = [opening for passed in control.sift(one) for opening in opened(sifted, passed)]
        assert found == opened(plain, one)
        control.events(now)
