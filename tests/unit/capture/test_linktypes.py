"""Frames of every link type that a capture may have."""

from __future__ import annotations

import pytest

from pyknockd.capture.linktypes import is_known, medium_of, recorded
from pyknockd.capture.playback import Playback
from pyknockd.model import Knock, Listen, Protocol
from tests.support.captures import (
    ARP_LOOPBACK,
    COOKED,
    COOKED_2,
    ETHERNET,
    LOOP,
    NULL,
    OUTGOING,
    RADIO,
    RAW,
    cooked,
    cooked_2,
)
from tests.support.packets import OWN, TAG, Route, ethernet, ipv4, ipv6, tcp

PACKET, PACKET_6 = ipv4(tcp(7000)), ipv6(tcp(7000))
ON_LOOPBACK = ipv4(tcp(7000), route=Route("192.0.2.1", "192.0.2.1"))
HARDWARE = bytes(range(12))


def heard(link_type: int, data: bytes) -> Knock | None:
    playback = Playback(tuple(OWN))
    playback.listen([Listen(Protocol.TCP, 7000, 7000)], 0)
    one = recorded(link_type, medium_of(link_type), data, 1.0)
    return None if one is None else next(iter(playback.knocks_of(one)), None)


@pytest.mark.parametrize(
    ("link_type", "data"),
    [
        (ETHERNET, ethernet(PACKET, hardware=HARDWARE)),
        (ETHERNET, ethernet(PACKET_6, hardware=HARDWARE)),
        (ETHERNET, ethernet(PACKET, tags=TAG, hardware=HARDWARE)),
        (RAW, PACKET),
        (RAW, PACKET_6),
        (12, PACKET),
        (228, PACKET),
        (229, PACKET_6),
        (NULL, b"\2\0\0\0" + PACKET),
        (LOOP, b"\0\0\0\2" + PACKET),
        (COOKED, cooked(PACKET)),
        (COOKED, cooked(PACKET_6)),
        (COOKED, cooked(PACKET)[:14] + TAG + b"\x08\0" + PACKET),
        (COOKED_2, cooked_2(PACKET)),
        (COOKED_2, cooked_2(PACKET_6)),
    ],
)
def test_a_packet_is_heard_on_every_link(link_type: int, data: bytes) -> None:
    assert is_known(link_type)
    knock = heard(link_type, data)
    assert knock is not None
    assert (knock.port, knock.local, knock.time) == (7000, True, 1.0)


@pytest.mark.parametrize(
    ("link_type", "data"),
    [(COOKED, cooked(PACKET, OUTGOING)), (COOKED_2, cooked_2(PACKET, OUTGOING))],
)
def test_what_the_host_sends_is_left_out_where_the_capture_says_so(
    link_type: int, data: bytes
) -> None:
    assert recorded(link_type, medium_of(link_type), data, 0.0) is None


@pytest.mark.parametrize(
    ("link_type", "data"),
    [
        (ETHERNET, ethernet(ON_LOOPBACK)),
        (COOKED, cooked(ON_LOOPBACK, hardware=ARP_LOOPBACK)),
        (COOKED_2, cooked_2(ON_LOOPBACK, hardware=ARP_LOOPBACK)),
    ],
)
def test_on_the_loopback_the_host_knocks_at_itself(link_type: int, data: bytes) -> None:
    assert heard(link_type, data) is not None


@pytest.mark.parametrize(
    ("link_type", "data"),
    [
        (ETHERNET, ethernet(ON_LOOPBACK, hardware=HARDWARE)),
        (COOKED, cooked(ON_LOOPBACK)),
        (RAW, ON_LOOPBACK),
    ],
)
def test_elsewhere_nothing_comes_from_the_host(link_type: int, data: bytes) -> None:
    assert heard(link_type, data) is None


@pytest.mark.parametrize("link_type", [ETHERNET, RAW, NULL, COOKED, COOKED_2])
def test_no_frame_is_too_short(link_type: int) -> None:
    whole = {
        NULL: bytes(4) + PACKET,
        ETHERNET: ethernet(PACKET_6, hardware=HARDWARE),
        COOKED: cooked(PACKET_6),
        COOKED_2: cooked_2(PACKET),
    }.get(link_type, PACKET)
    for length in range(len(whole)):
        heard(link_type, whole[:length])


def test_each_interface_of_a_capture_of_all_is_known_by_its_number() -> None:
    one, other = (
        recorded(COOKED_2, medium_of(COOKED_2, "any"), cooked_2(PACKET, number=number), 0.0)
        for number in (3, 4)
    )
    assert one is not None and other is not None
    assert (one.medium.number, other.medium.number) == (3, 4)
    assert one.medium.name == ""


def test_a_link_without_ip_is_not_known() -> None:
    assert not is_known(RADIO)
