"""Packets made by hand and put on the wire as they are, from whatever source address."""

from __future__ import annotations

import ctypes
import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyknockd.system.netns import Namespace
from tests.support.lab import CLIENT_4, INTERFACE, SERVER_4, Lab
from tests.support.packets import TCP, UDP, Route, ethernet, ipv4, tcp, udp, with_checksums

CLIENT_INTERFACE = "client0"

_DO_NOT_FRAGMENT = 0x4000
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
        self._hardware = _hardware_address(hosts.server, INTERFACE) + _hardware_address(
            hosts.client, CLIENT_INTERFACE
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
        segment = tcp(knock.port, number=knock.sequence_number, source_port=knock.source_port)
        return self._frame(segment, TCP, knock.source)

    def datagram_header(self, port: int, length: int) -> bytes:
        """All of a UDP frame but its ``length`` bytes of payload, which may be anything."""
        # Its checksum is left out: RFC 768.
        return self._frame(udp(port, bytes(length), source_port=port), UDP, CLIENT_4)[:-length]

    def _frame(self, payload: bytes, protocol: int, source: str) -> bytes:
        """To the server, which is to take it."""
        packet = ipv4(payload, protocol, route=Route(source, SERVER_4), fragment=_DO_NOT_FRAGMENT)
        return ethernet(with_checksums(packet), hardware=self._hardware)

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
