"""The client: its arguments in this process, its packets between two network namespaces.

The second half runs ours and Debian's C original over the same arguments and compares what
arrives at the other end of a veth pair.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyknockd import __version__, client
from pyknockd.model import Flags, Protocol
from tests.support.lab import ROOT
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
ORIGINAL_VERSION = "knock 0.8"
MARKER_PORT = 65535
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
DEADLINE_S = 10.0
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces")


# ---- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["127.0.0.1"],
        ["-v", "127.0.0.1"],
        ["-h"],
        ["--help", "127.0.0.1", "9"],
        ["127.0.0.1", "9", "--he"],
        ["-h", "-V"],
        ["-d", "127.0.0.1", "9"],
        ["--", "-V"],
    ],
)
def test_the_usage_text_goes_to_standard_output_with_status_1(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 1
    out, err = capsys.readouterr()
    assert out.startswith("usage: knock [options]") and not err
    for option in ("-u, --udp", "-d, --delay", "-4, --ipv4", "-6, --ipv6", "-v, --verbose"):
        assert option in out


@pytest.mark.parametrize(
    ("argv", "culprit"),
    [
        (["--bogus", "127.0.0.1", "9"], "--bogus"),
        (["-x", "127.0.0.1", "9"], "-x"),
        (["-ux", "127.0.0.1", "9"], "-x"),
        (["--ver", "127.0.0.1", "9"], "--ver"),
        (["--verbose=1", "127.0.0.1", "9"], "--verbose"),
        (["127.0.0.1", "9", "-d"], "-d"),
        (["127.0.0.1", "9", "--delay"], "--delay"),
    ],
)
def test_a_wrong_option_is_named_on_standard_error_above_the_usage_text(
    argv: list[str], culprit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 1
    out, err = capsys.readouterr()
    assert out.startswith("usage: ")
    assert err.startswith("knock: ") and err.count("\n") == 1 and culprit in err


@pytest.mark.parametrize("argv", [["-V"], ["--version", "-h"], ["-v", "host", "-V"], ["--vers"]])
def test_the_version_begins_with_the_line_of_the_original(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 0
    assert capsys.readouterr().out.splitlines() == [ORIGINAL_VERSION, f"pyknockd {__version__}"]


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["-uv", "-d5", "127.0.0.1", "9"], ["udp 127.0.0.1:9"]),
        (["127.0.0.1", "9:udp", "-v"], ["udp 127.0.0.1:9"]),
        (["127.0.0.1", "--del", "5", "9", "--udp", "9", "--verb"], ["udp 127.0.0.1:9"] * 2),
        (["-v", "--delay=5", "127.0.0.1", "9:tcp", "09:udp"], ["tcp 127.0.0.1:9", "udp 127.0.0.1:09"]),
        (["-6", "-4", "-v", "--", "127.0.0.1", "9:udp"], ["udp 127.0.0.1:9"]),
        (["127.0.0.1", "9:udp"], []),
    ],
)  # fmt: skip
def test_options_are_read_with_getopts_habits(
    argv: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"hitting {line}" for line in lines] and not err


@pytest.mark.parametrize(
    ("argv", "culprit"),
    [
        (["-6", "127.0.0.1", "9"], "127.0.0.1"),
        (["", "9"], "''"),
        (["127.0.0.1", "9", "no-such-service"], "no-such-service"),
        (["127.0.0.1", "9", "0x9"], "0x9"),
        (["127.0.0.1", "9", "9 "], "'9 '"),
        (["127.0.0.1", "9", "65536"], "65536"),
        (["127.0.0.1", "9", "--", "-1"], "-1"),
        (["127.0.0.1", "9", ":udp"], "port"),
        (["127.0.0.1", "9", ""], "port"),
        (["127.0.0.1", "9", "\udcff"], "port"),
        (["-d-5", "127.0.0.1", "9"], "-5"),
        (["-d", "99999999999", "127.0.0.1", "9"], "99999999999"),
    ],
)
def test_what_cannot_be_resolved_ends_in_one_line_and_nothing_sent(
    argv: list[str], culprit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(["-v", *argv]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("knock: ") and err.count("\n") == 1 and culprit in err


@pytest.mark.parametrize("protocol", ["UDP", "foo", "", " udp", "tcp:udp", "udp:tcp", "udpx"])
def test_a_protocol_that_is_none_means_tcp_and_is_warned_of(
    protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(["-v", "127.0.0.1", f"9:{protocol}"]) == 0
    out, err = capsys.readouterr()
    assert out == "hitting tcp 127.0.0.1:9\n"
    assert err.startswith("knock: warning: ") and repr(protocol) in err


@settings(deadline=None, database=None)
@given(st.text(" \t+-0123456789x.", max_size=9))
def test_a_delay_is_read_as_atoi_reads_it(text: str) -> None:
    expected = ctypes.CDLL(None).atoi(text.encode())
    if expected < 0:
        with pytest.raises(client.ClientError):
            client.read_delay(text)
    else:
        assert client.read_delay(text) == expected / 1000


def test_a_delay_that_is_no_number_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert client.main(["-d", "5ms", "127.0.0.1", "9:udp"]) == 0
    assert capsys.readouterr().err.startswith("knock: warning: delay '5ms'")


def test_a_closed_output_does_not_stop_the_knocking() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard, open("/dev/full", "w") as full:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(DEADLINE_S)
        port = str(heard.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-m", "pyknockd.client", "-uv", "127.0.0.1", port, port],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False, timeout=DEADLINE_S,
        )  # fmt: skip
        assert (heard.recv(9), heard.recv(9)) == (b"\0", b"\0")
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_an_interrupt_ends_the_client_quietly_with_status_130() -> None:
    """By way of env, since a shell's background jobs, such as CI's, begin with SIGINT ignored."""
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "pyknockd.client",
         "-uv", "-d60000", "127.0.0.1", "9", "9"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as ran:  # fmt: skip
        assert ran.stdout
        first = ran.stdout.readline()
        ran.send_signal(signal.SIGINT)
        rest = ran.communicate(timeout=DEADLINE_S)
    assert (first, rest, ran.returncode) == ("hitting udp 127.0.0.1:9\n", ("", ""), 130)


# ---- packets --------------------------------------------------------------------------------


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


def read_packet(frame: bytes, when: float) -> Packet | None:
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


def socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
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
            packet = read_packet(frame, seconds + nanoseconds / 1e9)
            if packet and packet.port == MARKER_PORT:
                return tuple(packets)
            if packet:
                packets.append(packet)

    def run(self, command: list[str], argv: list[str]) -> Run:
        """Run a client at the near end, and hear all of it at the far one."""
        started = time.monotonic()
        ran = subprocess.run(
            ["ip", "netns", "exec", CLIENT, *command, *argv],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S,
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
def two_namespaces() -> Iterator[None]:
    """The veth pair and the client's own /etc/hosts, /etc/services and nsswitch.conf."""
    etc = Path("/etc/netns") / CLIENT
    had_parent = etc.parent.exists()
    try:
        etc.mkdir(parents=True)
        (etc / "hosts").write_text(HOSTS)
        (etc / "services").write_text(SERVICES)
        (etc / "nsswitch.conf").write_text("hosts: files\nservices: files\n")
        for line in SETUP.strip().splitlines():
            subprocess.run(["ip", *line.split()], check=True, timeout=DEADLINE_S)
        yield
    finally:
        for name in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "delete", name], check=False, timeout=DEADLINE_S)
        for file in etc.glob("*"):
            file.unlink()
        etc.rmdir()
        if not had_parent:
            with contextlib.suppress(OSError):  # another test run has its own folder there by now
                etc.parent.rmdir()


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with (
        two_namespaces(),
        socket_in(SERVER, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as capture,
        socket_in(CLIENT, socket.AF_INET, socket.SOCK_DGRAM) as marker,
    ):
        capture.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        capture.settimeout(DEADLINE_S)
        yield Wire(capture, marker)


@root_only
@pytest.mark.parametrize(
    "argv",
    [
        [V4, "7000", "7001:udp", "7002:tcp", "7000", "7001:udp"],
        ["-u", "-v", V4, "7000:tcp", "7001:udp", "7002"],
        ["-v", V6, "7000", "7001:udp", "7002:tcp"],
        ["-6", "-v", f"{LINK_LOCAL}%{VETH}", "7000", "7001:udp"],
        [f"::ffff:{V4}", "7000", "7001:udp", "-v"],
        ["10.213.2", "7000", "-v"],
        ["both", "7000:udp", "7001", "-v"],
        ["-4", "both", "7000:udp", "7001", "-v"],
        ["-6", "both", "7000:udp", "7001", "-v"],
        ["-4", "-6", "-v", "both", "7000"],
        ["-6", "-4", "-v", "both", "7000"],
        ["-v", "two", "7000", "7001:udp"],
        ["-v", V4, "pk-both", "pk-both:udp", "pk-tcp", "pk-tcp:udp", "pk-udp", "pk-udp:udp"],
        ["-v", V4, "7000:UDP", "7001:tcp:udp", "7002:", "7003:udpx", "7004:udp:tcp"],
        ["-v", V4, " 7000", "+7001", "07002", "0", "65534"],
        ["-uv", "-d5", V4, "7000", "7001"],
        [V4, "--del", "5", "7000", "--verb", "7001"],
        ["-d", "5ms", "-v", V4, "7000", "7001"],
        ["-d", "-1", "-d", "1", "-v", V4, "7000"],
        ["--", V4, "7000"],
    ],
    ids=lambda argv: " ".join(argv).replace(VETH, "LINK"),  # the same for every worker
)
def test_both_clients_send_the_same_packets_and_print_the_same_lines(
    wire: Wire, argv: list[str]
) -> None:
    original, ours = wire.original(*argv), wire.ours(*argv)
    assert (original.status, original.err) == (0, "")
    assert original.packets
    assert ours.packets == original.packets
    assert (ours.status, ours.out) == (original.status, original.out)


@root_only
@pytest.mark.parametrize(
    "argv",
    [
        [],
        [V4],
        ["-h"],
        ["-h", "-V"],
        ["-V"],
        ["-V", "-h"],
        ["-d-5", "-V", V4, "7000"],
        ["-d-5", V4],
        ["-d-5", V4, "7000"],
        ["-d", V4, "7000"],
        ["--bogus", V4, "7000"],
        [V4, "7000", "-d"],
        ["--ipv", V4, "7000"],
        ["--verbose=1", V4, "7000"],
        ["no-such-host", "7000"],
        ["-4", V6, "7000"],
        ["-6", V4, "7000"],
        ["-6", "two", "7000"],
        ["", "7000"],
        [V4, "no-such-service"],
        [V4, "7000 "],
        [V4, "0x1b58"],
    ],
    ids=" ".join,
)
def test_both_clients_give_up_in_the_same_way(wire: Wire, argv: list[str]) -> None:
    original, ours = wire.original(*argv), wire.ours(*argv)
    assert ours.packets == original.packets == ()
    assert ours.status == original.status
    assert ours.out.split()[:2] == original.out.split()[:2]
    assert bool(ours.err) == bool(original.err)
    assert "Traceback" not in ours.err


@root_only
def test_a_tcp_hit_is_a_bare_syn_and_a_udp_hit_one_zero_byte(wire: Wire) -> None:
    tcp, udp = wire.ours(V4, "7000", "7001:udp").packets
    assert (tcp.flags, tcp.payload) == (Flags.SYN, b"")
    assert udp.payload == b"\0"


@root_only
def test_the_delay_comes_after_every_hit_in_both_clients(wire: Wire) -> None:
    delay_s = 0.25
    for run in (wire.original, wire.ours):
        ran = run("-d", "250", V4, "7000", "7001:udp", "7002")
        times = [packet.time for packet in ran.packets]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(gaps) == 2
        assert all(0.95 * delay_s < gap < 2 * delay_s for gap in gaps)
        assert ran.seconds > 3 * delay_s


@root_only
def test_a_syn_that_nobody_answers_is_sent_only_once(wire: Wire) -> None:
    """Linux sends an unanswered SYN again after a second; the delay is there to see it."""
    ran = wire.ours("-d", "1300", SILENT_V4, "7000")
    assert [(packet.port, packet.flags) for packet in ran.packets] == [(7000, Flags.SYN)]


@root_only
def test_posixly_correct_ends_the_options_at_the_host_in_both_clients(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSIXLY_CORRECT", "1")
    assert wire.ours("-v", V4, "7000", "-u").status == wire.original(V4, "7000", "-u").status == 1


@root_only
def test_an_unreachable_host_is_an_error_where_the_original_says_nothing(wire: Wire) -> None:
    argv = ("-v", NO_ROUTE, "7000", "7001:udp")
    original, ours = wire.original(*argv), wire.ours(*argv)
    assert (original.status, original.err) == (0, "")
    assert ours.out == original.out
    assert ours.status == 1
    assert ours.err.splitlines() == [
        f"knock: tcp {NO_ROUTE}:7000 not sent: Network is unreachable",
        f"knock: udp {NO_ROUTE}:7001 not sent: Network is unreachable",
    ]


@root_only
def test_one_hit_that_fails_neither_stops_the_others_nor_passes_for_success(wire: Wire) -> None:
    ran = wire.ours(V4, "0:udp", "7000")
    assert [packet.port for packet in ran.packets] == [7000]
    assert ran.status == 1


@root_only
@pytest.mark.parametrize("port", ["70000", "", ":udp", "no-such-service"])
def test_a_wrong_port_sends_nothing_where_the_original_sends_a_part(wire: Wire, port: str) -> None:
    original, ours = wire.original(V4, "7000", port), wire.ours(V4, "7000", port)
    assert original.packets
    assert (ours.packets, ours.status) == ((), 1)
