"""The client's packets, as they arrive at the other end of a cable."""

from __future__ import annotations

from pyknockd.model import Flags
from tests.support.wire import SILENT_V4, V4, Wire


def test_a_tcp_hit_is_a_bare_syn_and_a_udp_hit_one_zero_byte(wire: Wire) -> None:
    tcp, udp = wire.ours(V4, "7000", "7001:udp").packets
    assert (tcp.flags, tcp.payload) == (Flags.SYN, b"")
    assert udp.payload == b"\0"


def test_a_syn_that_nobody_answers_is_sent_only_once(wire: Wire) -> None:
    """Linux sends an unanswered SYN again after a second; the delay is there to see it."""
    ran = wire.ours("-d", "1300", SILENT_V4, "7000")
    assert [(packet.port, packet.flags) for packet in ran.packets] == [(7000, Flags.SYN)]


def test_one_hit_that_fails_neither_stops_the_others_nor_passes_for_success(wire: Wire) -> None:
    ran = wire.ours(V4, "0:udp", "7000")
    assert [packet.port for packet in ran.packets] == [7000]
    assert ran.status == 1
