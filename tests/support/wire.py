"""Both ends of a cable: a knock client runs at one, and what it sends is read at the other."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pyknockd.model import Flags, Protocol
from tests.support.lab import PATIENCE, ROOT
from tests.support.realknockd import debian_knockd

PID = os.getpid()
CLIENT, SERVER = f"pk-c-{PID}-a", f"pk-c-{PID}-b"
VETH, FAR_VETH = f"pkc{PID}a", f"pkc{PID}b"
FAR_MAC = "02:00:00:00:00:02"
V4, OTHER_V4, SILENT_V4 = "10.213.0.2", "10.213.0.3", "10.213.0.99"
V6, LINK_LOCAL = "fd13::2", "fe80::2"
NO_ROUTE = "10.214.0.1"
HOSTS = f"127.0.0.1 localhost\n{V4} both two\n{V6} both\n{OTHER_V4} two\n"
SERVICES = "pk-both 7100/tcp\npk-both 7100/udp\npk-tcp 7101/tcp\npk-udp 7102/udp\n"
MARKER_PORT = 65535
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it


@dataclass(frozen=True)
class Packet:
    """What arrived at the far end; two are equal whatever their times, in seconds."""

    destination: str
    protocol: Protocol
    port: int
    flags: Flags
    payload: bytes
    time: float = field(compare=False)


@dataclass(frozen=True)
class Run:
    """A finished client."""

    status: int
    out: str
    err: str
    packets: tuple[Packet, ...]
    seconds: float


def _read_packet(frame: bytes, when: float) -> Packet | None:
    """An Ethernet frame → a packet, or None if it is neither TCP nor UDP. No IPv6 extensions."""
    ethertype, ip = frame[12:14], frame[14:]
    if ethertype == b"\x08\x00":
        number, destination = ip[9], socket.inet_ntop(socket.AF_INET, ip[16:20])
        segment = ip[(ip[0] & 15) * 4 : int.from_bytes(ip[2:4], "big")]
    elif ethertype == b"\x86\xdd":
        number, destination = ip[6], socket.inet_ntop(socket.AF_INET6, ip[24:40])
        segment = ip[40 : 40 + int.from_bytes(ip[4:6], "big")]
    else:
        return None
    if number not in (6, 17):
        return None
    protocol = Protocol(number)
    port = int.from_bytes(segment[2:4], "big")
    if protocol is Protocol.UDP:
        return Packet(destination, protocol, port, Flags(0), segment[8:], when)
    payload = segment[(segment[12] >> 4) * 4 :]
    return Packet(destination, protocol, port, Flags(segment[13] & 63), payload, when)


def _socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket that lives in a namespace: a thread goes there to make it, and ends."""
    made: list[socket.socket] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{namespace}") as place:
            if libc.setns(place.fileno(), 0) == 0:
                made.append(socket.socket(family, kind, protocol))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


@dataclass(frozen=True)
class Wire:
    """Both ends of the veth pair: clients run at one, ``capture`` listens at the other."""

    capture: socket.socket
    marker: socket.socket

    def packets(self) -> tuple[Packet, ...]:
        """What came in since the last call. A datagram sent now, and left out, marks the end."""
        self.marker.sendto(b"end", (V4, MARKER_PORT))
        packets: list[Packet] = []
        while True:
            frame, extra, _, address = self.capture.recvmsg(65535, 64)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            seconds, nanoseconds = struct.unpack("ll", extra[0][2])
            packet = _read_packet(frame, seconds + nanoseconds / 1e9)
            if packet and packet.port == MARKER_PORT:
                return tuple(packets)
            if packet:
                packets.append(packet)

    def run(self, command: list[str], argv: list[str]) -> Run:
        """Run a client at the near end, and hear all of it at the far one."""
        started = time.monotonic()
        ran = subprocess.run(
            ["ip", "netns", "exec", CLIENT, *command, *argv],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        seconds = time.monotonic() - started
        return Run(ran.returncode, ran.stdout, ran.stderr, self.packets(), seconds)

    def ours(self, *argv: str) -> Run:
        return self.run([sys.executable, "-m", "pyknockd.client"], list(argv))

    def original(self, *argv: str) -> Run:
        return self.run([str(debian_knockd() / "usr/bin/knock")], list(argv))


SETUP = f"""
netns add {CLIENT}
netns add {SERVER}
link add {VETH} netns {CLIENT} type veth peer name {FAR_VETH} netns {SERVER}
-n {SERVER} link set {FAR_VETH} address {FAR_MAC} up
-n {CLIENT} link set {VETH} up
-n {CLIENT} link set lo up
-n {CLIENT} address add 10.213.0.1/24 dev {VETH}
-n {CLIENT} address add fd13::1/64 dev {VETH} nodad
-n {CLIENT} address add fe80::1/64 dev {VETH} nodad
-n {SERVER} address add {V4}/24 dev {FAR_VETH}
-n {SERVER} address add {OTHER_V4}/24 dev {FAR_VETH}
-n {SERVER} address add {V6}/64 dev {FAR_VETH} nodad
-n {SERVER} address add {LINK_LOCAL}/64 dev {FAR_VETH} nodad
""" + "\n".join(  # known neighbours, so that no packet waits for an answer and is overtaken
    f"-n {CLIENT} neigh replace {address} lladdr {FAR_MAC} nud permanent dev {VETH}"
    for address in (V4, OTHER_V4, SILENT_V4, V6, LINK_LOCAL)
)


@contextlib.contextmanager
def wired() -> Iterator[Wire]:
    """Both ends, in namespaces of their own."""
    with (
        _two_namespaces(),
        _socket_in(SERVER, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as capture,
        _socket_in(CLIENT, socket.AF_INET, socket.SOCK_DGRAM) as marker,
    ):
        capture.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        capture.settimeout(PATIENCE)
        yield Wire(capture, marker)


@contextlib.contextmanager
def _two_namespaces() -> Iterator[None]:
    """The veth pair and the client's own /etc/hosts, /etc/services and nsswitch.conf."""
    etc = Path("/etc/netns") / CLIENT
    had_parent = etc.parent.exists()
    try:
        etc.mkdir(parents=True)
        (etc / "hosts").write_text(HOSTS)
        (etc / "services").write_text(SERVICES)
        (etc / "nsswitch.conf").write_text("hosts: files\nservices: files\n")
        for line in SETUP.strip().splitlines():
            subprocess.run(["ip", *line.split()], check=True, timeout=PATIENCE)
        yield
    finally:
        for name in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "delete", name], check=False, timeout=PATIENCE)
        for file in etc.glob("*"):
            file.unlink()
        etc.rmdir()
        if not had_parent:
            with contextlib.suppress(OSError):  # another test run has its own folder there by now
                etc.parent.rmdir()
