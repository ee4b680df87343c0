"""Packets made by hand and put on the wire as they are, from whatever source address."""

from __future__ import annotations

import ctypes
import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import pack

from pyknockd.system.netns import Namespace
from tests.support.lab import CLIENT_4, INTERFACE, SERVER_4, Lab

CLIENT_INTERFACE = "client0"

_IPV4 = b"\x08\x00"  # the ethertype
_SYN = 0x02
_WINDOW = 64_240  # what a Linux client offers
_PR_SET_TIMERSLACK = 29  # prctl(2)


@dataclass(frozen=True, slots=True)
class Syn:
    """The first segment of a TCP connection to ``port`` of the server: a knock."""

    source: str
    port: int
    source_port: int
    sequence_number: int


@dataclass(frozen=True, slots=True)
class Timed:
    """A knock, and when it is to leave, in seconds from the beginning."""

    at: float
    syn: Syn


class Sender:
    """The client's end of the cable."""

    def __init__(self, hosts: Lab) -> None:
        self._ethernet = (
            _hardware_address(hosts.server, INTERFACE)
            + _hardware_address(hosts.client, CLIENT_INTERFACE)
            + _IPV4
        )
        with hosts.client.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind((CLIENT_INTERFACE, 0))

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def close(self) -> None:
        self._socket.close()

    def syn(self, knock: Syn) -> bytes:
        """The frame of a knock."""
        segment = pack(
            *("!HHIIBBHHH", knock.source_port, knock.port, knock.sequence_number, 0, 5 << 4, _SYN),
            *(_WINDOW, 0, 0),
        )
        pseudo = _address(knock.source) + _address(SERVER_4)
        pseudo += pack("!HH", socket.IPPROTO_TCP, len(segment))
        checksum = _checksum(pseudo + segment)
        segment = segment[:16] + pack("!H", checksum) + segment[18:]
        return self._ethernet + _ip(knock.source, socket.IPPROTO_TCP, len(segment)) + segment

    def datagram_header(self, port: int, length: int) -> bytes:
        """All of a UDP frame but its ``length`` bytes of payload, which may be anything."""
        size = 8 + length
        udp = pack("!HHHH", port, port, size, 0)  # without a checksum: RFC 768
        return self._ethernet + _ip(CLIENT_4, socket.IPPROTO_UDP, size) + udp

    def send_all(self, knocks: Sequence[Timed], part: Callable[[float], None]) -> None:
        """Send each knock when its time has come, and tell ``part`` how much is done."""
        ready = [(timed.at, self.syn(timed.syn)) for timed in knocks]
        told_every = max(1, len(ready) // 100)
        began = time.perf_counter()
        for number, (at, frame) in enumerate(ready, start=1):
            sleep_until(began + at)
            self._socket.send(frame)
            if number % told_every == 0:
                part(number / len(ready))


def sleep_until(moment: float) -> None:
    """Sleep until ``time.perf_counter()`` says ``moment``, or not at all if it is past."""
    left = moment - time.perf_counter()
    if left > 0:
        time.sleep(left)


def sleep_exactly() -> None:
    """Let this thread's sleeps end when they should, not up to 50 µs later."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def _hardware_address(host: Namespace, interface: str) -> bytes:
    said = json.loads(host.ip("-j", "link", "show", "dev", interface))
    return bytes.fromhex(str(said[0]["address"]).replace(":", ""))


def _address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET, text)


def _ip(source: str, protocol: int, length: int) -> bytes:
    """An IPv4 header to the server, before ``length`` bytes; must not be fragmented."""
    before = pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0x4000, 64, protocol)
    addresses = _address(source) + _address(SERVER_4)
    return before + pack("!H", _checksum(before + addresses)) + addresses


def _checksum(data: bytes) -> int:
    """RFC 1071, for an even number of bytes."""
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
