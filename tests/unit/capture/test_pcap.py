"""Capture files, whole and damaged."""

from __future__ import annotations

import gzip
import os
import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from scapy.utils import RawPcapNgWriter, RawPcapWriter

from pyknockd.capture import CaptureError, CaptureFile
from tests.support.captures import (
    COOKED_2,
    ETHERNET,
    MICROSECONDS,
    NANOSECONDS,
    RADIO,
    RAW,
    At,
    block,
    cooked_2,
    interface,
    packet,
    pcap,
    section,
)
from tests.support.packets import ethernet, ipv4, tcp

PACKETS = [ipv4(tcp(7000 + number)) for number in range(3)]
FRAMES = [ethernet(one) for one in PACKETS]
TIMES = [1_764_032_400.25, 1_764_032_401.5, 1_764_032_402.75]
PLAIN = pcap([At(time, frame) for time, frame in zip(TIMES, FRAMES, strict=True)])
BLOCKS = [packet(0, round(t * 1e6), frame) for t, frame in zip(TIMES, FRAMES, strict=True)]
PCAPNG = section() + interface("eth0") + b"".join(BLOCKS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture"


def read(path: Path, content: bytes) -> list[tuple[float, bytes]]:
    path.write_bytes(content)
    return [(one.time, one.data) for one in CaptureFile(str(path)).packets()]


def read_until_damage(path: Path, content: bytes) -> tuple[list[bytes], str]:
    path.write_bytes(content)
    found: list[bytes] = []
    with pytest.raises(CaptureError) as raised:
        found.extend(one.data for one in CaptureFile(str(path)).packets())
    return found, str(raised.value)


WHOLE = list(zip(TIMES, FRAMES, strict=True))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [MICROSECONDS, NANOSECONDS])
def test_a_pcap_file_is_read(path: Path, order: str, magic: int) -> None:
    found = read(path, pcap([At(*one) for one in WHOLE], magic=magic, order=order))
    assert [data for _, data in found] == FRAMES
    assert [time for time, _ in found] == pytest.approx(TIMES, abs=1e-6)


def test_a_pcapng_file_is_read(path: Path) -> None:
    assert read(path, PCAPNG) == WHOLE


def test_sections_follow_each_other_whatever_their_order_of_bytes(path: Path) -> None:
    big = packet(0, round(TIMES[0] * 1e6), FRAMES[0], order=">")
    other = section(">") + interface("eth1", order=">") + big
    path.write_bytes(PCAPNG + other)
    names = [one.medium.name for one in CaptureFile(str(path)).packets()]
    assert names == ["eth0"] * 3 + ["eth1"]


def test_blocks_of_other_kinds_are_passed_over(path: Path) -> None:
    secrets = block(10, b"KLST" + bytes(8))
    content = (
        section()
        + secrets
        + interface("eth0")
        + block(4, bytes(8))
        + BLOCKS[0]
        + block(5, bytes(12))
    )
    assert read(path, content) == WHOLE[:1]


@pytest.mark.parametrize("content", [PLAIN, PCAPNG])
def test_a_compressed_file_is_read(path: Path, content: bytes) -> None:
    assert read(path, gzip.compress(content, mtime=0)) == WHOLE


def test_what_scapy_writes_is_read(path: Path) -> None:
    for writer in (RawPcapWriter, RawPcapNgWriter):
        with writer(str(path)) as file:
            for frame in FRAMES:
                file.write(frame)
        assert [data for _, data in read(path, path.read_bytes())] == FRAMES


def test_link_types_are_heeded(path: Path) -> None:
    assert [data for _, data in read(path, pcap([At(0, PACKETS[0])], RAW))] == PACKETS[:1]
    (one,) = read(path, pcap([At(0, cooked_2(PACKETS[0]))], COOKED_2))
    assert one[1][14:] == PACKETS[0]
    # The upper half says how long the frame's checksum is.
    assert len(read(path, pcap([At(0, FRAMES[0])], ETHERNET | 0x54000000))) == 1


def test_a_file_without_packets_is_no_error(path: Path) -> None:
    assert read(path, pcap([])) == []
    assert read(path, section() + interface("eth0")) == []


def test_a_stream_is_read_as_it_comes(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read_first = threading.Event()

    def write() -> None:
        with open(fifo, "wb", buffering=0) as file:
            file.write(PLAIN[: 24 + 16 + len(FRAMES[0])])
            assert read_first.wait(60)
            file.write(PLAIN[24 + 16 + len(FRAMES[0]) :])

    writer = threading.Thread(target=write)
    writer.start()
    capture = CaptureFile(str(fifo))
    packets = capture.packets()
    assert next(packets).data == FRAMES[0]
    read_first.set()
    assert [one.data for one in packets] == FRAMES[1:]
    assert (capture.size, capture.position) == (0, 0)
    writer.join()


def test_how_far_it_has_been_read_is_known(path: Path) -> None:
    path.write_bytes(PLAIN)
    capture = CaptureFile(str(path))
    list(capture.packets())
    assert capture.position == capture.size == len(PLAIN)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: expected a capture, pcap or pcapng"),
        (b"\xd4\xc3", "is no capture: expected"),
        (b"[options]\n  UseSyslog\n", "is no capture: expected"),
        (PLAIN[:20], "is no capture: expected"),
        (bytes(1000), "is no capture: expected"),
        (b"\x1f\x8b\x08", "the compressed data end too early: expected"),
        (gzip.compress(b"text", mtime=0), "is no capture: expected"),
        (pcap([], RADIO), "is of link type 127: expected Ethernet"),
    ],
)
def test_what_is_no_capture_is_refused_with_what_was_expected(
    path: Path, content: bytes, said: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(CaptureError) as raised:
        list(CaptureFile(str(path)).packets())
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_pcapng_file_in_which_nothing_can_be_heard_is_refused(path: Path) -> None:
    content = section() + interface("mon0", RADIO) + packet(0, 0, FRAMES[0])
    found, said = read_until_damage(path, content)
    assert found == []
    assert "no interface of a known type" in said


@pytest.mark.parametrize("path_", ["/nowhere/x.pcap", "/", "/proc/self/mem"])
def test_what_cannot_be_read_is_named(path_: str) -> None:
    with pytest.raises(CaptureError, match=path_):
        list(CaptureFile(path_).packets())


@pytest.mark.parametrize("content", [PLAIN, PCAPNG])
def test_a_file_that_is_cut_off_gives_what_came_before(path: Path, content: bytes) -> None:
    second = content.index(FRAMES[1])
    for end in range(second - 15, second + len(FRAMES[1]) - 1):
        found, said = read_until_damage(path, content[:end])
        assert found == FRAMES[:1]
        assert "is damaged at byte" in said


def test_so_does_a_compressed_one(path: Path) -> None:
    chance = random.Random(1)
    noise = [At(0, chance.randbytes(200)) for _ in range(2_000)]
    whole = gzip.compress(pcap(noise))
    found, said = read_until_damage(path, whole[: len(whole) * 3 // 4])
    assert len(found) > 100
    assert "is damaged at byte" in said


@pytest.mark.parametrize(
    "damage",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x40", b"\x01\x00\x04\x00"],
    ids=["as long as can be", "1 GiB", "a little too long"],
)
def test_a_length_that_no_packet_has_is_damage(path: Path, damage: bytes) -> None:
    at = PLAIN.index(FRAMES[1]) - 8
    found, said = read_until_damage(path, PLAIN[:at] + damage + PLAIN[at + 4 :] + bytes(300_000))
    assert found == FRAMES[:1]
    assert "expected at most 262144" in said


def test_a_time_that_is_none_is_damage(path: Path) -> None:
    at = PLAIN.index(FRAMES[1]) - 12
    found, said = read_until_damage(path, PLAIN[:at] + b"\xff\xff\xff\x7f" + PLAIN[at + 4 :])
    assert found == FRAMES[:1]
    assert "parts of a second" in said


def test_whatever_the_bytes_nothing_but_an_error_of_ours_comes(path: Path) -> None:
    chance = random.Random(7)
    for whole in (PLAIN, PCAPNG, gzip.compress(PCAPNG, mtime=0)):
        for _ in range(300):
            content = bytearray(whole)
            for _ in range(chance.randrange(1, 6)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            path.write_bytes(content)
            with suppress(CaptureError):
                list(CaptureFile(str(path)).packets())


def test_standard_input_is_read_under_that_name(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    path.write_bytes(b"no capture")
    descriptor, saved = os.open(path, os.O_RDONLY), os.dup(0)
    try:
        os.dup2(descriptor, 0)
        with pytest.raises(CaptureError, match="standard input is no capture"):
            CaptureFile("-")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(descriptor)
