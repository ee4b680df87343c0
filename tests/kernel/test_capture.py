"""Capture by itself, on real interfaces: what it hears and what it tells."""

from __future__ import annotations

import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from pyknockd.capture import Capture, CaptureError, Flood, interfaces, rtnetlink, sniffer
from pyknockd.capture.filter import Filter
from pyknockd.model import Flags, Knock, Link, Listen, Protocol
from pyknockd.model.events import (
    CaptureEvent,
    FirstKnocksLeftOut,
    InterfaceChanged,
    InterfaceState,
    PacketsDropped,
)
from pyknockd.system.netns import Namespace, connect
from pyknockd.system.process import CommandError
from tests.support.lab import CLIENT_4, INTERFACE, SERVER_4, SERVER_6, Lab, until
from tests.support.packets import Route, ethernet, ip, tcp, udp

UDP, TCP = Protocol.UDP, Protocol.TCP
EVERY_PORT = [Listen(UDP, 1, 65_535), Listen(TCP, 1, 65_535, required=Flags.SYN)]
COME, GONE, MISSING, TROUBLE = (
    InterfaceState.COME,
    InterfaceState.GONE,
    InterfaceState.MISSING,
    InterfaceState.TROUBLE,
)


@dataclass
class Ear:
    """A capture under test, in a namespace, with a clock that stands still unless it is moved."""

    host: Namespace
    capture: Capture
    now: float = 100.0
    knocks: list[Knock] = field(default_factory=list)
    told: list[CaptureEvent] = field(default_factory=list)

    def turn(self) -> None:
        """What the daemon's loop does with a capture in one turn."""
        with self.host.inside():
            if select.select([self.capture], [], [], 0)[0]:
                self.knocks += self.capture.read(self.now)
            self.told += self.capture.events(self.now)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            self.turn()
            return condition()

        until(holds, what)

    def hears(self, send: Callable[[], object], port: int) -> None:
        """Wait until a knock at ``port`` is heard, while ``send`` is called again and again."""

        def heard() -> bool:
            send()
            return any(knock.port == port for knock in self.knocks)

        self.until(heard, f"a knock at {port} is heard")

    def states(self) -> list[tuple[str, InterfaceState]]:
        """What was told of interfaces since the last call."""
        events = [event for event in self.told if isinstance(event, InterfaceChanged)]
        self.told = [event for event in self.told if event not in events]
        return [(event.name, event.state) for event in events]


@pytest.fixture
def listen(hosts: Lab) -> Iterator[Callable[..., Ear]]:
    """Makes a capture on the server that listens for UDP and SYNs to every port."""
    with ExitStack() as stack:

        def make(*wanted: str, flood: Flood | None = None, **options: bool) -> Ear:
            control = flood or Flood(lambda _: True, 200, 1000, 65.0)
            with hosts.server.inside():
                capture = Capture(wanted or (INTERFACE,), control, **options)
                stack.callback(capture.close)
                capture.listen(EVERY_PORT)
            return Ear(hosts.server, capture)

        yield make


def datagram(sender: Namespace, host: str, port: int, data: bytes = b"x", times: int = 1) -> None:
    """From one socket, so that several look alike."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with sender.inside(), socket.socket(family, socket.SOCK_DGRAM) as sending:
        for _ in range(times):
            sending.sendto(data, (host, port))


def transmit(hosts: Lab, packets: list[bytes], interface: str = "client0") -> None:
    """Frames to the server's hardware address."""
    words = hosts.server.ip("-o", "link", "show", INTERFACE).split()
    to = bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))
    with hosts.client.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        for packet in packets:
            raw.send(ethernet(packet, hardware=to + bytes(6)))


def test_a_knock_comes_with_its_time_and_the_payload_that_is_wanted(
    hosts: Lab, listen: Callable[..., Ear]
) -> None:
    ear = listen()
    with hosts.server.inside():
        ear.capture.listen([Listen(UDP, 7000, 7000, payload=1500), Listen(UDP, 7001, 7001)])
    data = bytes(range(256)) * 5
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7000, data), 7000)
    ear.hears(lambda: datagram(hosts.client, SERVER_6, 7001, data), 7001)
    wanted, other = ear.knocks[0], ear.knocks[-1]
    assert (wanted.source, wanted.payload, wanted.time) == (CLIENT_4, data, 100.0)
    assert (other.port, other.payload) == (7001, b"")


def test_with_ipv4_only_ipv6_does_not_wake_anybody(hosts: Lab, listen: Callable[..., Ear]) -> None:
    ear = listen(ipv4_only=True)
    datagram(hosts.client, SERVER_6, 7000)
    with hosts.server.inside():
        frames = ear.capture._interfaces.read(1.0)
        datagram(hosts.client, SERVER_4, 7001)
        until(lambda: select.select([ear.capture], [], [], 0)[0], "something comes")
        first = next(frames)
    assert first.data[12:14] == b"\x08\x00"
    ear.turn()
    assert not ear.knocks


def test_each_interface_is_told_of_once(hosts: Lab, listen: Callable[..., Ear]) -> None:
    ear = listen(INTERFACE, "later0")
    ear.turn()
    first = ear.told
    there = ("lo", INTERFACE)
    assert first == [
        InterfaceChanged(100.0, INTERFACE, COME, first=True),
        InterfaceChanged(100.0, "later0", MISSING, there, first=True),
    ]
    ear.told = []
    hosts.server.ip("link", "add", "other0", "type", "bridge")
    hosts.server.ip("link", "add", "later0", "type", "bridge")
    ear.until(lambda: len(ear.capture.names) == 2, "later0 is listened on")
    assert ear.told == [InterfaceChanged(100.0, "later0", COME)]
    assert ear.states()
    hosts.server.ip("link", "del", "later0")
    ear.until(lambda: len(ear.capture.names) == 1, "later0 is gone")
    hosts.server.ip("link", "del", "other0")
    ear.turn()
    assert ear.states() == [("later0", MISSING)]


def test_with_any_an_interface_comes_and_goes(hosts: Lab, listen: Callable[..., Ear]) -> None:
    ear = listen("any")
    ear.turn()
    assert ear.states() == [("lo", COME), (INTERFACE, COME)]
    hosts.server.ip("link", "add", "later0", "type", "bridge")
    ear.until(lambda: "later0" in ear.capture.names, "later0 is listened on")
    hosts.server.ip("link", "del", "later0")
    ear.until(lambda: "later0" not in ear.capture.names, "later0 is gone")
    assert ear.states() == [("later0", COME), ("later0", GONE)]


def test_an_interface_made_anew_is_listened_on(hosts: Lab, listen: Callable[..., Ear]) -> None:
    ear = listen()
    ear.turn()
    hosts.server.ip("link", "del", INTERFACE)
    connect(hosts.server, INTERFACE, hosts.client, "client0")
    hosts.server.ip("addr", "add", f"{SERVER_4}/24", "dev", INTERFACE)
    hosts.client.ip("addr", "add", f"{CLIENT_4}/24", "dev", "client0")
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7000), 7000)
    assert ear.states()[-1] == (INTERFACE, COME)


def test_auto_hears_as_soon_as_there_is_a_default_route(
    hosts: Lab, listen: Callable[..., Ear]
) -> None:
    """At boot the addresses are there first: then only the route tells which interface it is."""
    hosts.server.ip("link", "add", "other0", "type", "bridge")
    ear = listen("auto")
    ear.turn()
    assert ear.states() == [("eth0", MISSING)]
    hosts.server.ip("route", "add", "default", "via", CLIENT_4)
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7000), 7000)
    assert ear.states() == [(INTERFACE, COME)]
    hosts.server.ip("route", "del", "default")
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7001), 7001)
    assert ear.states() == []


def test_so_it_does_with_one_of_ipv6(hosts: Lab, listen: Callable[..., Ear]) -> None:
    hosts.server.ip("link", "add", "other0", "type", "bridge")
    ear = listen("auto")
    hosts.server.ip("-6", "route", "add", "default", "via", "fd77::2")
    ear.until(lambda: ear.capture.names == (INTERFACE,), "the route's interface is listened on")


def test_auto_takes_the_only_interface_there_is(hosts: Lab, listen: Callable[..., Ear]) -> None:
    assert listen("auto").capture.names == (INTERFACE,)


def test_other_routes_do_not_matter(hosts: Lab, listen: Callable[..., Ear]) -> None:
    with hosts.server.inside():
        changes = rtnetlink.Changes(routes=True)
        hosts.server.ip("route", "add", "10.99.0.0/16", "via", CLIENT_4)
        until(lambda: select.select([changes], [], [], 0)[0], "the route is told")
        assert not changes.drain()
        hosts.server.ip("route", "add", "default", "via", CLIENT_4)
        until(lambda: select.select([changes], [], [], 0)[0], "the route is told")
        assert changes.drain()
        assert rtnetlink.default_route(["lo", INTERFACE]) == INTERFACE
        assert rtnetlink.default_route(["lo"]) is None
        changes.close()


def test_only_an_interface_whose_addresses_change_is_filtered_anew(
    hosts: Lab, listen: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        hosts.server.ip("link", "add", f"other{number}", "type", "bridge")
    ear = listen("any")
    ear.turn()
    made: list[frozenset[bytes]] = []
    program = Filter.program

    def counted(self: Filter, own: frozenset[bytes], link: Link) -> bytes:
        made.append(own)
        return program(self, own, link)

    monkeypatch.setattr(Filter, "program", counted)
    hosts.server.ip("addr", "add", "10.78.0.1/24", "dev", INTERFACE)
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7000), 7000)
    assert len(made) == 1
    assert socket.inet_aton("10.78.0.1") in made[0]


def test_our_own_address_is_nobody_elses_on_any_interface(
    hosts: Lab, listen: Callable[..., Ear]
) -> None:
    hosts.server.ip("link", "add", "other0", "type", "bridge")
    hosts.server.ip("addr", "add", "10.78.0.1/24", "dev", "other0")
    ear = listen()
    forged = [
        ip(udp(7000 + number), 17, Route(source, SERVER_4))
        for number, source in enumerate(("10.78.0.1", SERVER_4, "127.0.0.1", "10.78.0.2"))
    ]
    ear.hears(lambda: transmit(hosts, forged), 7003)
    assert {knock.port for knock in ear.knocks} == {7003}
    hosts.server.ip("addr", "add", "10.78.0.2/24", "dev", "other0")
    fresh = iter(range(8000, 9000, 2))

    def deaf() -> bool:
        forged, honest = next(fresh), next(fresh)
        ear.hears(
            lambda: transmit(
                hosts,
                [
                    ip(udp(forged), 17, Route("10.78.0.2", SERVER_4)),
                    ip(udp(honest), 17, Route(CLIENT_4, SERVER_4)),
                ],
            ),
            honest,
        )
        return forged not in {knock.port for knock in ear.knocks}

    until(deaf, "the new address is nobody else's")


def test_the_host_may_knock_at_itself(hosts: Lab, listen: Callable[..., Ear]) -> None:
    ear = listen("lo")
    ear.hears(lambda: datagram(hosts.server, "127.0.0.1", 7000), 7000)
    ear.hears(lambda: datagram(hosts.server, "::1", 7001), 7001)
    assert {knock.source for knock in ear.knocks} == {"127.0.0.1", "::1"}


def test_a_knock_that_a_bridge_and_its_port_hear_is_one(
    hosts: Lab, listen: Callable[..., Ear]
) -> None:
    hosts.server.ip("link", "add", "bridge0", "type", "bridge")
    hosts.server.ip("link", "set", INTERFACE, "master", "bridge0")
    hosts.server.ip("link", "set", "bridge0", "up")
    hosts.server.ip("addr", "flush", "dev", INTERFACE)
    hosts.server.ip("addr", "add", f"{SERVER_4}/24", "dev", "bridge0")
    ear = listen("any")
    with hosts.server.inside():
        ear.capture.listen([Listen(UDP, 1, 65_535, target=SERVER_4), *EVERY_PORT])
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7000), 7000)
    ear.now, ear.knocks = ear.now + 10, []
    datagram(hosts.client, SERVER_4, 7001, times=3)
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7002), 7002)
    ports = [knock.port for knock in ear.knocks]
    assert ports.count(7001) == 3
    ear.capture._copies.listen([])
    datagram(hosts.client, SERVER_4, 7003)
    ear.until(lambda: [k.port for k in ear.knocks].count(7003) == 2, "both have heard it")


def test_a_first_knock_of_a_flood_is_read_as_it_came_in(
    hosts: Lab, listen: Callable[..., Ear]
) -> None:
    """The two knocks come in on two interfaces with an address each."""
    connect(hosts.server, "second0", hosts.client, "client1")
    hosts.server.ip("addr", "add", "10.78.0.1/24", "dev", "second0")
    hosts.client.ip("addr", "add", "10.78.0.2/24", "dev", "client1")
    flood = Flood(lambda _: False, 0, 1000, 65.0)
    ear = listen(INTERFACE, "second0", flood=flood)
    transmit(hosts, [ip(tcp(7000), 6, Route("10.78.0.2", SERVER_4))])
    ear.until(lambda: flood.next_deadline() is not None, "the first knock is put aside")
    ear.now = 101.0
    datagram(hosts.client, "10.78.0.1", 8000)
    ear.until(lambda: bool(ear.knocks), "the second knock comes")
    assert [(k.port, k.local, k.time) for k in ear.knocks] == [
        (7000, True, 100.0),
        (8000, True, 101.0),
    ]
    assert FirstKnocksLeftOut(101.0, 1) in ear.told


def test_it_is_told_how_many_packets_the_kernel_dropped(
    hosts: Lab, listen: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sniffer, "BUFFER", 4096)
    ear = listen()
    ear.hears(lambda: datagram(hosts.client, SERVER_4, 7000), 7000)
    datagram(hosts.client, SERVER_4, 7001, times=1000)
    ear.until(lambda: any(k.port == 7001 for k in ear.knocks), "some are heard")
    assert not any(isinstance(event, PacketsDropped) for event in ear.told)
    deadline = ear.capture.next_deadline()
    assert deadline == 101.0
    ear.now = deadline
    ear.until(
        lambda: any(isinstance(e, PacketsDropped) for e in ear.told), "the others are counted"
    )
    assert ear.capture.next_deadline() is None


@contextmanager
def no_more_files() -> Iterator[None]:
    """As if as many files were open as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_trouble_is_told_once_and_looked_at_again(hosts: Lab, listen: Callable[..., Ear]) -> None:
    ear = listen(INTERFACE, "later0")
    ear.turn()
    ear.told = []
    hosts.server.ip("link", "add", "later0", "type", "bridge")
    with hosts.server.inside():
        until(lambda: select.select([ear.capture], [], [], 0)[0], "the interface is told")
        with no_more_files():
            assert list(ear.capture.read(100.0)) == []
            told = ear.capture.events(100.0)
            assert list(ear.capture.events(110.0)) == []
    assert [event.state for event in told if isinstance(event, InterfaceChanged)] == [TROUBLE]
    ear.now = ear.capture.next_deadline() or 0.0
    assert ear.now == 120.0
    ear.turn()
    assert ear.states() == [("later0", COME)]
    assert ear.capture.next_deadline() is None


def test_a_filter_that_the_kernel_refuses_is_no_start_and_trouble_later(
    hosts: Lab, listen: Callable[..., Ear]
) -> None:
    def allow(size: int) -> None:
        """How many bytes of filters and options a socket may hold."""
        try:
            hosts.server.run("sh", "-c", f"echo {size} > /proc/sys/net/core/optmem_max")
        except CommandError:
            pytest.skip("before Linux 6.8 this limit is the whole machine's")

    allow(100_000)
    ear = listen(INTERFACE, "later0")
    ear.turn()
    ear.told = []
    allow(100)
    with pytest.raises(CaptureError, match="the kernel refuses the packet filter"):
        listen()
    with hosts.server.inside(), pytest.raises(CaptureError):
        ear.capture.listen([Listen(TCP, 1, 2)])
    hosts.server.ip("link", "add", "later0", "type", "bridge")
    ear.until(lambda: bool(ear.told), "the trouble is told")
    assert ear.states() == [("later0", TROUBLE)]
    allow(100_000)
    ear.now += interfaces.RETRY_SECONDS
    ear.turn()
    assert ear.states() == [("later0", COME)]
