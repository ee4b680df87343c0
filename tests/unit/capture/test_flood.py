"""The sieve: first knocks of a flood are put aside, and nobody who goes on is missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyknockd.capture.decode import knock_of
from pyknockd.capture.flood import Sieve
from pyknockd.model import Door, Event, EventKind, Link, Protocol, Step
from pyknockd.proof.sequence import Machine
from tests.support.packets import OWN, Route, ethernet, ipv4, tcp

DOOR = Door("d", tuple(Step(port, Protocol.TCP) for port in (7000, 8000, 9000)), timeout=5)


def frame(source: int, port: int, number: int = 12_345) -> bytes:
    route = Route(f"10.0.{source // 256}.{source % 256}", "192.0.2.1")
    return ethernet(ipv4(tcp(port, number=number), route=route))


def sift(sieve: Sieve, one: bytes, now: float) -> list[tuple[bytes, float]]:
    return list(sieve.sift(one, Link.ETHERNET, now))


def test_as_long_as_there_is_no_flood_everything_passes() -> None:
    sieve = Sieve(lambda _: False, rate=3, most=10)
    for second in range(5):
        for number in range(3):
            one = frame(10 * second + number, 7000)
            assert sift(sieve, one, float(second)) == [(one, 0.0)]
    assert sieve.put_aside() == 0


def test_in_a_flood_the_first_packet_waits_for_the_second() -> None:
    sieve = Sieve(lambda _: False, rate=1, most=10)
    sift(sieve, frame(1, 7000), 0.0)
    first, second = frame(2, 7000), frame(2, 8000)
    assert sift(sieve, first, 0.25) == []
    assert sift(sieve, second, 0.5) == [(first, 0.25), (second, 0.0)]
    assert sieve.put_aside() == 1
    assert sieve.put_aside() == 0


def test_known_sources_always_pass() -> None:
    sieve = Sieve(lambda source: source == "10.0.0.7", rate=0, most=10)
    assert sift(sieve, frame(7, 8000), 0.0) == [(frame(7, 8000), 0.0)]
    assert sift(sieve, frame(8, 8000), 0.0) == []


def test_no_more_than_so_many_packets_are_kept() -> None:
    sieve = Sieve(lambda _: False, rate=0, most=100)
    for number in range(1000):
        sift(sieve, frame(number, 7000), 0.0)
    assert len(sieve._aside) == 100
    assert len(sift(sieve, frame(999, 8000), 0.0)) == 2


@given(st.sampled_from(list(Link)), st.binary(max_size=60))
def test_any_bytes_can_be_sifted(link: Link, one: bytes) -> None:
    sieve = Sieve(lambda _: False, rate=0, most=3)
    assert sieve.sift(one, link, 0.0) in ((), ((one, 0.0),))
    assert len(sieve.sift(one, link, 1.0)) >= 1


STEPS = st.tuples(st.integers(0, 4), st.sampled_from((7000, 8000, 9000)), st.floats(0, 2))


@given(st.lists(STEPS, max_size=40), st.integers(0, 3))
def test_with_and_without_it_the_same_doors_open(
    steps: list[tuple[int, int, float]], rate: int
) -> None:
    sifted, plain = Machine([DOOR]), Machine([DOOR])
    sieve = Sieve(sifted.knows, rate, most=100)
    now = 0.0
    for number, (source, port, pause) in enumerate(steps):
        now += pause
        one = frame(source, port, number)
        expected = opened(plain, one, now)
        found = [
            opening
            for passed, age in sieve.sift(one, Link.ETHERNET, now)
            for opening in opened(sifted, passed, now - age)
        ]
        assert found == expected


def opened(machine: Machine, one: bytes, now: float) -> list[Event]:
    knock = knock_of(one, Link.ETHERNET, OWN)
    assert knock is not None
    return [event for event in machine.feed(knock, now) if event.kind is EventKind.OPENED]
