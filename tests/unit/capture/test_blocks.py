"""Blocks of pcapng: what is in them, and what must be."""

from __future__ import annotations

from struct import pack

import pytest

from pyknockd.capture.blocks import BlockError, Blocks
from tests.support.captures import ETHERNET, RADIO, RAW, interface, option, packet
from tests.support.packets import ethernet, ipv4, tcp

FRAME = ethernet(ipv4(tcp(7000)))
TICKS = 1_764_032_400_123_456


def body(block: bytes) -> bytes:
    """Of a block of a file: without its type and its lengths."""
    return block[8:-4]


def blocks(*interfaces: bytes, order: str = "<") -> Blocks:
    made = Blocks()
    for one in interfaces:
        made.add_interface(body(one), order)
    return made


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_packet_has_its_interface_and_its_time(order: str) -> None:
    names = [interface(name, order=order) for name in ("eth0", "wlan0")]
    one = blocks(*names, order=order).packet(body(packet(1, TICKS, FRAME, order=order)), order)
    assert one is not None
    assert (one.data, one.medium.name, one.medium.number) == (FRAME, "wlan0", 2)
    assert one.time == pytest.approx(1_764_032_400.123456, abs=1e-6)


@pytest.mark.parametrize(
    ("resolution", "ticks"), [(9, 5 * 10**9), (6, 5 * 10**6), (0x8A, 5 << 10), (None, 5 * 10**6)]
)
def test_an_interface_says_how_its_time_counts(resolution: int | None, ticks: int) -> None:
    made = blocks(interface("eth0", resolution=resolution))
    one = made.packet(body(packet(0, ticks, FRAME)), "<")
    assert one is not None
    assert one.time == 5.0


@pytest.mark.parametrize(("flags", "heard"), [(0, True), (1, True), (2, False)])
def test_what_went_out_is_left_out(flags: int, heard: bool) -> None:
    options = option(1, b"seen") + option(2, pack("<I", flags))
    one = blocks(interface()).packet(body(packet(0, TICKS, FRAME, options=options)), "<")
    assert (one is not None) is heard


def test_packets_in_older_blocks_are_read_too() -> None:
    made = blocks(interface("eth0"))
    old = pack("<HHIIII", 0, 0, 0, 5_000_000, len(FRAME), len(FRAME)) + FRAME
    one = made.old_packet(old, "<")
    assert one is not None
    assert (one.data, one.time) == (FRAME, 5.0)
    simple = made.simple_packet(pack("<I", len(FRAME)) + FRAME + bytes(2), "<")
    assert simple is not None
    assert (simple.data, simple.time) == (FRAME, 5.0)


def test_a_new_section_has_interfaces_of_its_own() -> None:
    made = blocks(interface("eth0"))
    made.begin_section()
    with pytest.raises(BlockError, match="interface 0"):
        made.packet(body(packet(0, TICKS, FRAME)), "<")


@pytest.mark.parametrize("cut", [0, 3, 19, 40])
def test_what_is_too_short_is_an_error(cut: int) -> None:
    made = blocks(interface("eth0"))
    with pytest.raises(BlockError):
        made.packet(body(packet(0, TICKS, FRAME))[:cut], "<")
    for read in (made.add_interface, made.simple_packet, made.old_packet):
        if cut < 4:
            with pytest.raises(BlockError):
                read(body(packet(0, TICKS, FRAME))[:cut], "<")


@pytest.mark.parametrize(
    ("link_types", "deaf"),
    [((RADIO,), True), ((RADIO, ETHERNET), False), ((RAW,), False), ((), False)],
)
def test_it_is_known_whether_any_interface_can_be_heard(
    link_types: tuple[int, ...], deaf: bool
) -> None:
    assert blocks(*(interface("x", link_type) for link_type in link_types)).is_deaf is deaf


def test_options_that_go_on_beyond_their_block_are_left_out() -> None:
    made = Blocks()
    made.add_interface(pack("<HxxI", ETHERNET, 0) + pack("<HH", 2, 500) + b"eth", "<")
    assert made.packet(body(packet(0, TICKS, FRAME)), "<") is not None
