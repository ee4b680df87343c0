"""One packet that comes in on several interfaces is one knock."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pyknockd.capture.copies import MOST_REMEMBERED, Copies
from pyknockd.model import Knock, Listen, Protocol

TARGET = "192.0.2.9"
KNOCK = Knock("198.51.100.7", TARGET, False, Protocol.UDP, 7000, 40_000)


def copies() -> Copies:
    made = Copies()
    made.listen([Listen(Protocol.UDP, 7000, 7000, target=TARGET), Listen(Protocol.TCP, 1, 2)])
    return made


def test_only_packets_to_targets_are_looked_at() -> None:
    assert copies().targets == {TARGET}


def test_a_packet_on_a_bridge_was_heard_on_its_port_already() -> None:
    heard = copies()
    assert not heard.is_copy(KNOCK, "eth0", 1.0)
    assert heard.is_copy(replace(KNOCK, local=True, time=0.5), "br0", 1.0)


def test_who_knocks_twice_alike_knocks_twice() -> None:
    heard = copies()
    told = [heard.is_copy(KNOCK, name, 1.0) for name in ("eth0", "eth0", "br0", "br0", "br0")]
    assert told == [False, False, True, True, False]


def test_what_differs_in_anything_is_another_packet() -> None:
    heard = copies()
    others = (
        replace(KNOCK, source="198.51.100.8"),
        replace(KNOCK, destination="192.0.2.8"),
        replace(KNOCK, protocol=Protocol.TCP),
        replace(KNOCK, port=7001),
        replace(KNOCK, source_port=40_001),
        replace(KNOCK, flags=2),
        replace(KNOCK, sequence_number=1),
        replace(KNOCK, payload=b"x"),
    )
    assert not heard.is_copy(KNOCK, "eth0", 1.0)
    assert not any(heard.is_copy(other, "br0", 1.0) for other in others)


def test_what_comes_later_on_another_interface_is_no_copy() -> None:
    heard = copies()
    heard.is_copy(KNOCK, "eth0", 1.0)
    assert not heard.is_copy(KNOCK, "eth1", 3.0)


def test_few_are_remembered() -> None:
    heard = copies()
    for number in range(MOST_REMEMBERED + 1):
        heard.is_copy(replace(KNOCK, source_port=number), "eth0", 1.0)
    assert not heard.is_copy(replace(KNOCK, source_port=0), "br0", 1.0)
    assert heard.is_copy(replace(KNOCK, source_port=MOST_REMEMBERED), "br0", 1.0)


@given(st.permutations(["eth0", "br0", "vlan0"] * 4))
def test_however_they_are_read_each_packet_is_heard_once(order: list[str]) -> None:
    heard = copies()
    assert [heard.is_copy(KNOCK, name, 1.0) for name in order].count(False) == 4
