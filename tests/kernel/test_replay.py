"""What the daemon heard, and what tcpdump wrote down meanwhile: the replay tells the same of both."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from tests.support.captures import RAW, At, pcap
from tests.support.lab import INTERFACE, PATIENCE, ROOT, SERVER_4, Lab, Running
from tests.support.nobody import as_nobody
from tests.support.packets import ACK, MSS, SYN, UDP, Route, ipv4, tcp, udp

ME, OTHER, MARKER = "10.77.0.101", "10.77.0.102", "10.77.0.103"
ON_LOOPBACK = "10.77.0.9"  # an address of the server, but not of the interface that is listened on
MARKER_PORT = 5999
TIMEOUT = 1.0
# So many different flags that the kernel leaves them to the daemon, and a target, so that what goes to
# an address of another interface is let through: the daemon tells of them only if it hears them.
OTHER_DOORS = "".join(
    f"[flags{number}]\nsequence = {6100 + number},6200\ntcpflags = {flags}\ncommand = true\n"
    for number, flags in enumerate(("fin", "psh", "urg", "fin,psh", "!fin"))
)
CONFIG = f"""
[door]
sequence = 7000,8000,9000
seq_timeout = {TIMEOUT:g}
tcpflags = syn
command = true
[both]
sequence = 7100,8100,8100:udp
seq_timeout = {TIMEOUT:g}
tcpflags = syn
command = true
[aimed]
sequence = 6000,6001
target = {ON_LOOPBACK}
command = true
[marker]
sequence = {MARKER_PORT}
tcpflags = syn
command = true
{OTHER_DOORS}
"""
_numbers = count(1)


@dataclass
class Sender:
    """Sends to the server as hosts that are not there; each SYN is a connection of its own."""

    raw: socket.socket
    last: bytes = b""

    def tcp(self, port: int, source: str = ME, *, flags: int = SYN, to: str = SERVER_4) -> None:
        number = next(_numbers)
        segment = tcp(port, flags, number=number, source_port=30_000 + number, options=MSS)
        self.send(ipv4(segment, route=Route(source, to)), to)

    def udp(self, port: int) -> None:
        self.send(ipv4(udp(port), UDP, route=Route(ME, SERVER_4)))

    def again(self) -> None:
        self.send(self.last)

    def send(self, packet: bytes, to: str = SERVER_4) -> None:
        self.last = packet
        self.raw.sendto(packet, (to, 0))
        time.sleep(0.01)  # so that nothing overtakes

    def knock(self, *ports: int, source: str = ME) -> None:
        for port in ports:
            self.tcp(port, source)


@dataclass
class Scene:
    """A daemon that is watched by a witness and by tcpdump."""

    hosts: Lab
    config: Path
    daemon: Running
    tcpdump: Running
    testimony: Path
    capture: Path
    sender: Sender

    def heard(self) -> list[str]:
        """What the daemon has told, once it has heard everything. It ends."""
        self.sender.tcp(MARKER_PORT, MARKER)
        self.daemon.wait_for(f"{MARKER}: marker: OPEN SESAME")
        assert self.daemon.stop() == 0
        assert self.tcpdump.stop(signal.SIGINT) == 0
        return told(self.testimony.read_text())

    def replayed(self, *, config: Path | None = None) -> list[str]:
        """What a replay of the capture tells."""
        return told(read(self.hosts, config or self.config, str(self.capture)).stdout)


def read(
    hosts: Lab, config: Path, capture: str, *options: str, address: str = SERVER_4
) -> subprocess.CompletedProcess[str]:
    words = ["--read", capture, "-c", str(config), "--address", address, "--json", *options]
    words += ["--settings", str(hosts.folder / "pyknockd.yaml")]
    done = subprocess.run(
        [sys.executable, "-m", "pyknockd", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def told(lines: str) -> list[str]:
    """Of each attempt and packet what became of it; without the marker's, and what ends with the run."""
    found = []
    for line in lines.splitlines():
        event = json.loads(line)
        if event["event"] not in ("stage", "ended", "not-heard", "opened"):
            continue
        if event["source"] == MARKER or event.get("cause") == "capture-ended":
            continue
        words = [event["source"], event["door"], event["event"]]
        words += [str(event[key]) for key in ("stage", "cause") if key in event]
        found.append(" ".join(words))
    return found


@contextmanager
def scene(hosts: Lab, text: str, *, attempts: int = 100) -> Iterator[Scene]:
    if shutil.which("tcpdump") is None:
        pytest.skip("needs tcpdump")
    hosts.server.ip("addr", "add", f"{ON_LOOPBACK}/32", "dev", "lo")
    hosts.server.run("iptables", "-P", "OUTPUT", "DROP")  # those who knock are not there
    (hosts.folder / "pyknockd.yaml").write_text(f"limits:\n  attempts: {attempts}\n")
    config, testimony = hosts.config(text), hosts.folder / "testimony"
    capture = hosts.folder / "capture.pcap"
    words = ["--immediate-mode", "-U", "-n", "-Z", "root", "-i", INTERFACE, "-w", str(capture)]
    tcpdump = hosts.spawn(["tcpdump", *words])
    tcpdump.wait_for("listening on")
    words = ["-i", INTERFACE, "-v", "-c", str(config)]
    words += ["--settings", str(hosts.folder / "pyknockd.yaml")]
    daemon = hosts.spawn([sys.executable, "-m", "tests.support.witness", str(testimony), *words])
    daemon.wait_for("starting up, listening on")
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        yield Scene(hosts, config, daemon, tcpdump, testimony, capture, Sender(raw))


def wrong_port(sender: Sender) -> None:
    sender.knock(7000, 8000, 7000)


def wrong_protocol(sender: Sender) -> None:
    sender.knock(7100)
    sender.udp(8100)


def too_late(sender: Sender) -> None:
    sender.knock(7000, 8000)
    time.sleep(TIMEOUT + 0.3)
    sender.knock(9000)


def flags(sender: Sender) -> None:
    sender.tcp(7000, flags=ACK)


def not_addressed_here(sender: Sender) -> None:
    sender.tcp(7000, to=ON_LOOPBACK)


def repeated(sender: Sender) -> None:
    sender.knock(7000)
    sender.again()
    sender.knock(8000)


def no_attempt(sender: Sender) -> None:
    sender.knock(9000)


def opened(sender: Sender) -> None:
    sender.knock(7000, 7000, 8000, 9000)


@dataclass
class Case:
    """Something to bring about, and what is told of it."""

    bring_about: Callable[[Sender], None]
    told: list[str] = field(default_factory=list)


STAGES = [f"{ME} door stage {number}" for number in (1, 2, 3)]
CASES = {
    "wrong-port": Case(
        wrong_port, [*STAGES[:2], f"{ME} door ended 2 wrong-port", f"{ME} door stage 1"]
    ),
    "wrong-protocol": Case(
        wrong_protocol, [f"{ME} both stage 1", f"{ME} both ended 1 wrong-protocol"]
    ),
    "too-late": Case(
        too_late,
        [*STAGES[:2], f"{ME} door ended 2 too-late", f"{ME} door not-heard too-late"],
    ),
    "flags": Case(flags, [f"{ME} door not-heard flags"]),
    "not-addressed-here": Case(not_addressed_here, [f"{ME} door not-heard not-addressed-here"]),
    "repeated": Case(repeated, [STAGES[0], f"{ME} door not-heard repeated", STAGES[1]]),
    "no-attempt": Case(no_attempt, [f"{ME} door not-heard no-attempt"]),
    "opened": Case(
        opened, [STAGES[0], f"{ME} door ended 1 wrong-port", *STAGES, f"{ME} door opened"]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_replay_tells_what_the_daemon_has_told(hosts: Lab, name: str) -> None:
    case = CASES[name]
    with scene(hosts, CONFIG) as here:
        case.bring_about(here.sender)
        heard = here.heard()
        assert without_last(heard) == case.told
        assert without_last(here.replayed()) == case.told


def without_last(events: list[str]) -> list[str]:
    """What came before the end, which ends what is under way: by its time, or with the capture."""
    late = f"{ME} door ended"
    while events and events[-1].startswith(late) and events[-1].endswith("too-late"):
        events = events[:-1]
    return events


def test_it_tells_who_made_room_for_others(hosts: Lab) -> None:
    sources = [f"10.77.0.{number}" for number in range(110, 114)]
    with scene(hosts, CONFIG, attempts=2) as here:
        for source in sources:
            here.sender.knock(7000, source=source)
        here.sender.knock(8000, source=sources[2])
        here.sender.knock(8000, source=sources[3])
        here.sender.knock(7000)
        heard, replayed = here.heard(), here.replayed()
    expected = [f"{source} door ended 1 evicted" for source in sources[:2]]
    expected.append(f"{ME} door not-heard turned-away")
    for events in (heard, replayed):
        assert [e for e in events if "evicted" in e or "turned-away" in e] == expected


def test_it_tells_whose_one_time_sequence_somebody_else_has_used(
    hosts: Lab, tmp_path: Path
) -> None:
    file, before = tmp_path / "once", tmp_path / "once.before"
    for path in (file, before):
        path.write_text("7200,8200\n7300,8300\n")
        path.chmod(0o600)
    door = "[once]\none_time_sequences = {}\nseq_timeout = 30\ntcpflags = syn\ncommand = true\n"
    with scene(hosts, door.format(file) + CONFIG) as here:
        here.sender.knock(7200, source=OTHER)
        here.sender.knock(7200, 8200)
        here.daemon.wait_for(f"{ME}: once: OPEN SESAME")
        here.sender.knock(7300, 8300)
        here.daemon.wait_for(f"{ME}: once: OPEN SESAME", times=2)
        heard = here.heard()
        replayed = here.replayed(config=hosts.config(door.format(before) + CONFIG))
    assert heard == replayed
    assert f"{OTHER} once ended 1 one-time-used" in replayed
    assert file.read_text() == "#200,8200\n#300,8300\n"
    assert before.read_text() == "7200,8200\n7300,8300\n"


def test_what_comes_near_a_sequence_is_told_by_the_capture_alone(hosts: Lab) -> None:
    with scene(hosts, CONFIG) as here:
        here.sender.knock(7001)
        here.sender.udp(7000)
        assert here.heard() == []
        replayed = here.replayed()
    assert replayed == [f"{ME} door not-heard near-port", f"{ME} door not-heard wrong-protocol"]


def test_a_capture_of_all_interfaces_gives_the_same(hosts: Lab, tmp_path: Path) -> None:
    whole = tmp_path / "any.pcap"
    with scene(hosts, CONFIG) as here:
        words = ["--immediate-mode", "-U", "-Z", "root", "-i", "any", "-w", str(whole)]
        other = hosts.spawn(["tcpdump", *words])
        other.wait_for("listening on")
        here.sender.knock(7000, 8000, 9000)
        heard = here.heard()
        assert other.stop(signal.SIGINT) == 0
        assert told(read(hosts, here.config, str(whole)).stdout) == heard
    assert heard == [*STAGES, f"{ME} door opened"]


def test_a_stream_is_told_as_it_comes(hosts: Lab) -> None:
    with scene(hosts, CONFIG) as here:
        knockd = f"{sys.executable} -m pyknockd --read - --json -c {here.config}"
        tcpdump = f"tcpdump --immediate-mode -U -n -Z root -i {INTERFACE} -w -"
        stream = hosts.spawn(["sh", "-c", f"{tcpdump} | {knockd}"])
        stream.wait_for("listening on")
        here.sender.knock(7000)
        stream.wait_for('"event": "stage", "stage": 1')
        assert stream.process.poll() is None


def test_it_needs_no_root_and_changes_nothing(tmp_path: Path) -> None:
    packets = [At(1.0, ipv4(tcp(7000, options=MSS), route=Route(ME, SERVER_4)))]
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(pcap(packets, RAW))
    done = as_nobody("--read", "-", config=CONFIG, stdin=capture)
    assert done.returncode == 0, done.stderr
    assert "door: stage 1 of 3: 7000" in done.stdout
