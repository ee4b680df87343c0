"""The numbers of packets are the network's."""

from __future__ import annotations

import socket

from pyknockd.model import Flags, Protocol


def test_protocols_have_their_numbers() -> None:
    assert Protocol(socket.IPPROTO_TCP) is Protocol.TCP
    assert Protocol(socket.IPPROTO_UDP) is Protocol.UDP
    assert len(Protocol) == 2


def test_flags_are_the_bits_of_the_header_from_the_last_on() -> None:
    assert [int(flag) for flag in Flags] == [1, 2, 4, 8, 16, 32]
    assert [flag.name for flag in Flags] == ["FIN", "SYN", "RST", "PSH", "ACK", "URG"]
