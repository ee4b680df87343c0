"""The real daemon on every kind of link that the kernel has; what the kernel lacks is skipped."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from struct import pack

import pytest

from pyknockd.system.netns import Namespace, connect
from pyknockd.system.process import CommandError
from tests.support.lab import CLIENT_4, CLIENT_6, INTERFACE, SERVER_4, SERVER_6, Lab, Running, until
from tests.support.packets import (
    DESTINATION,
    ELSEWHERE,
    HOP_BY_HOP,
    IPV6,
    OUTER_TAG,
    ROUTING,
    TAG,
    ethernet,
    ipv4,
    ipv6,
    tcp,
    udp,
)

PORTS, MORE_PORTS = range(7000, 7030), range(17_000, 17_010)
OWN = ("192.0.2.1/32", "2001:db8::1/128")  # where the packets go to
OTHER_MAC, BROADCAST = bytes.fromhex("020000000099"), b"\xff" * 6
PRIORITY_TAG = b"\x81\x00\xa0\x00"
CHAIN = HOP_BY_HOP + ROUTING + DESTINATION
FIRST_FRAGMENT, LATER_FRAGMENT = pack("!BBHI", 6, 0, 1, 9), pack("!BBHI", 6, 0, 8, 9)

TUNSETIFF, TUNSETLINK = 0x400454CA, 0x400454CD  # linux/if_tun.h
TUN, TAP, NO_PI = 0x0001, 0x0002, 0x1000
# ARPHRD_* of links without a link header, linux/if_arp.h.
HEADERLESS = {"none": 65_534, "ppp": 512, "rawip": 519, "tunnel": 768, "sit": 776, "gre": 778}
INFINIBAND = 32

NEAR_4, FAR_4 = "10.79.0.1", "10.79.0.2"
NEAR_6, FAR_6 = "fd79::1", "fd79::2"
OVERLAYS = {
    "ipip": "type ipip local {here4} remote {there4}",
    "gre": "type gre local {here4} remote {there4}",
    "gre-with-many-ends": "type gre local {here4} key 5",
    "sit": "type sit mode any local {here4} remote {there4}",
    "ip6tnl": "type ip6tnl mode any local {here6} remote {there6}",
    "ip6gre": "type ip6gre local {here6} remote {there6}",
    "gretap": "type gretap local {here4} remote {there4}",
    "geneve": "type geneve id 7 remote {there4}",
    "vxlan": "type vxlan id 7 local {here4} remote {there4} dstport 4789",
    "vlan": "link {cable} type vlan id 7",
    "qinq": "link {cable} type vlan proto 802.1ad id 7; link under0 type vlan id 8",
    "macvlan": "link {cable} type macvlan mode bridge",
    "ipvlan": "link {cable} type ipvlan mode l2",
    "wireguard": "type wireguard",
}


def doors(target: str = "", ports: range = PORTS) -> str:
    """A door of one step for each port, named after it: TCP for even ones, UDP for odd ones."""
    more = f"target = {target}\n" if target else ""
    protocols = ("tcp", "udp")
    return "".join(f"[{p}]\nsequence = {p}:{protocols[p % 2]}\n{more}" for p in ports)


def start(hosts: Lab, interface: str = INTERFACE, text: str = "") -> Running:
    path = str(hosts.config(text or doors()))
    daemon = hosts.spawn([sys.executable, "-m", "pyknockd", "-i", interface, "-c", path, "-v"])
    daemon.wait_for(f"starting up, listening on {interface}")
    return daemon


def opened(daemon: Running) -> set[int]:
    """The doors that were opened, as ports."""
    return {int(line.split(": ")[1]) for line in daemon.lines() if line.endswith("OPEN SESAME")}


def hears(daemon: Running, send: Callable[[], object], *ports: int) -> None:
    """Wait until the doors of ``ports`` are open, while ``send`` is called again and again."""

    def all_open() -> bool:
        send()
        return opened(daemon) >= set(ports)

    try:
        until(all_open, f"knocks at {ports} are heard")
    except AssertionError as error:
        raise AssertionError(f"{error}; the daemon said:\n{daemon.text()}") from None


def datagram(sender: Namespace, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with sender.inside(), socket.socket(family, socket.SOCK_DGRAM) as sending:
        sending.sendto(b"x", (host, port))


def transmit(sender: Namespace, interface: str, to: bytes, *frames: bytes) -> None:
    """Ethernet frames, with the address ``to`` put into them."""
    with sender.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        for frame in frames:
            raw.send(to + frame[6:])


def mac(host: Namespace, interface: str) -> bytes:
    words = host.ip("-o", "link", "show", interface).split()
    return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))


def give(host: Namespace, interface: str, *addresses: str) -> None:
    """Addresses with their prefix length; IPv6 ones are not looked for on the link first."""
    for address in addresses:
        host.ip("addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))


def add_link(host: Namespace, name: str, words: str) -> None:
    """A new interface, up, on top of others if there are several; skips where the kernel has none."""
    *under, over = words.split("; ")
    for link, what in [*((f"under{n}", what) for n, what in enumerate(under)), (name, over)]:
        try:
            host.ip("link", "add", "name", link, *what.split())
        except CommandError as error:
            pytest.skip(f"this kernel has no {what}: {error}")
        host.ip("link", "set", link, "up")


def test_frames_of_every_form_are_heard(hosts: Lab) -> None:
    frames = {
        7000: ethernet(ipv4(tcp(7000))),
        7001: ethernet(ipv4(udp(7001), 17)),
        7002: ethernet(ipv4(tcp(7002)), tags=TAG),
        7004: ethernet(ipv4(tcp(7004)), tags=PRIORITY_TAG),
        7006: ethernet(ipv4(tcp(7006)), tags=OUTER_TAG + TAG),
        7008: ethernet(ipv4(tcp(7008)), tags=TAG + TAG),
        7010: ethernet(ipv4(tcp(7010), options=bytes(40))),
        7012: ethernet(ipv4(tcp(7012), fragment=0x2000)),
        7014: ethernet(ipv6(tcp(7014)), IPV6),
        7015: ethernet(ipv6(udp(7015), 17), IPV6),
        7016: ethernet(ipv6(tcp(7016)), IPV6, tags=OUTER_TAG + TAG),
        7018: ethernet(ipv6(CHAIN + tcp(7018), 0), IPV6),
        7020: ethernet(ipv6(FIRST_FRAGMENT + tcp(7020), 44), IPV6),
        7022: ethernet(ipv6(CHAIN + tcp(7022), 0), IPV6, tags=TAG),
    }
    give(hosts.server, INTERFACE, *OWN)
    daemon = start(hosts)
    transmit(hosts.client, "client0", mac(hosts.server, INTERFACE), *frames.values())
    hears(daemon, lambda: None, *frames)
    assert opened(daemon) == set(frames)


def test_later_fragments_and_frames_for_another_mac_are_not_heard(hosts: Lab) -> None:
    give(hosts.server, INTERFACE, *OWN)
    daemon = start(hosts)
    transmit(hosts.client, "client0", OTHER_MAC, ethernet(ipv4(tcp(7000))))
    transmit(
        *(hosts.client, "client0", mac(hosts.server, INTERFACE)),
        ethernet(ipv4(tcp(7002), fragment=1)),
        ethernet(ipv4(tcp(7004), fragment=0x2001)),
        ethernet(ipv6(LATER_FRAGMENT + tcp(7006), 44), IPV6),
        ethernet(ipv4(tcp(7008), route=ELSEWHERE)),
        ethernet(ipv4(tcp(7010))),
    )
    hears(daemon, lambda: None, 7010)
    assert opened(daemon) == {7010}


def test_what_the_host_itself_sends_is_not_heard(hosts: Lab) -> None:
    daemon = start(hosts, text=doors() + doors(CLIENT_4, MORE_PORTS))
    datagram(hosts.server, CLIENT_4, 7001)
    datagram(hosts.server, CLIENT_4, 17_001)
    give(hosts.server, INTERFACE, *OWN)
    transmit(hosts.server, INTERFACE, BROADCAST, ethernet(ipv4(tcp(7002))))
    hears(daemon, lambda: datagram(hosts.client, SERVER_4, 7005), 7005)
    assert opened(daemon) == {7005}


def test_a_knock_on_the_loopback_is_heard(hosts: Lab) -> None:
    daemon = start(hosts, "lo")
    hears(daemon, lambda: datagram(hosts.server, "127.0.0.1", 7001), 7001)
    hears(daemon, lambda: datagram(hosts.server, "::1", 7003), 7003)


@contextmanager
def tun(host: Namespace, name: str, mode: int, hardware: int) -> Iterator[int]:
    """An interface that is up and has OWN; what is written to it comes in on it."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs /dev/net/tun")
    with ExitStack() as stack:
        with host.inside():
            device = os.open("/dev/net/tun", os.O_RDWR)
            stack.callback(os.close, device)
            fcntl.ioctl(device, TUNSETIFF, pack("16sH22x", name.encode(), mode | NO_PI))
        fcntl.ioctl(device, TUNSETLINK, hardware)
        host.ip("link", "set", name, "up")
        give(host, name, *OWN)
        yield device


@pytest.mark.parametrize("hardware", HEADERLESS)
def test_a_link_without_a_header_is_heard(hosts: Lab, hardware: str) -> None:
    with tun(hosts.server, "tun0", TUN, HEADERLESS[hardware]) as device:
        daemon = start(hosts, "tun0")
        os.write(device, ipv4(tcp(7000)))
        os.write(device, ipv6(tcp(7002)))
        os.write(device, ipv4(tcp(7004), route=ELSEWHERE))
        os.write(device, ipv6(CHAIN + tcp(7006), 0))
        hears(daemon, lambda: None, 7000, 7002, 7006)
        assert opened(daemon) == {7000, 7002, 7006}


def test_a_link_with_a_header_of_a_foreign_kind_is_heard(hosts: Lab) -> None:
    """Not a real InfiniBand one: fourteen bytes that the daemon must not take for Ethernet's."""
    with tun(hosts.server, "tap0", TAP, INFINIBAND) as device:
        daemon = start(hosts, "tap0")
        os.write(device, BROADCAST + ethernet(ipv4(tcp(7000)))[6:])
        os.write(device, BROADCAST + ethernet(ipv6(tcp(7002)), IPV6)[6:])
        hears(daemon, lambda: None, 7000, 7002)


def test_ones_own_end_of_a_point_to_point_link_is_heard_and_the_other_not(hosts: Lab) -> None:
    with tun(hosts.server, "tun0", TUN, HEADERLESS["ppp"]) as device:
        hosts.server.ip("addr", "flush", "dev", "tun0")
        for own, peer in (("192.0.2.1", "192.0.2.9"), ("2001:db8::1", "2001:db8::9")):
            hosts.server.ip("addr", "add", own, "peer", peer, "dev", "tun0")
        daemon = start(hosts, "tun0")
        os.write(device, ipv4(tcp(7000), route=ELSEWHERE))
        os.write(device, ipv4(tcp(7002)))
        os.write(device, ipv6(tcp(7004)))
        hears(daemon, lambda: None, 7002, 7004)
        assert 7000 not in opened(daemon)


def meet(hosts: Lab, kind: str, folder: Path) -> None:
    """What the two ends of an overlay must know of each other."""
    ends = ((hosts.server, SERVER_4, FAR_4, FAR_6), (hosts.client, CLIENT_4, NEAR_4, NEAR_6))
    if kind == "gre-with-many-ends":
        for (host, _, *inner), (_, outer, *_) in zip(ends, reversed(ends), strict=True):
            for address in inner:
                host.ip("neigh", "add", address, "lladdr", outer, "dev", "over0")
    if kind == "wireguard":
        if shutil.which("wg") is None:
            pytest.skip("needs wg, of wireguard-tools")
        keys = [folder / "server.key", folder / "client.key"]
        public = [hosts.server.run("sh", "-c", f"wg genkey | tee {k} | wg pubkey") for k in keys]
        for (host, _, *inner), (_, outer, *_), key, peer in zip(
            ends, reversed(ends), keys, reversed(public), strict=True
        ):
            words = f"set over0 listen-port 5182 private-key {key} peer {peer.strip()}"
            words += f" endpoint {outer}:5182 allowed-ips {','.join(inner)}"
            host.run("wg", *words.split())


@pytest.mark.parametrize("kind", OVERLAYS)
def test_a_link_upon_a_link_is_heard(hosts: Lab, kind: str, tmp_path: Path) -> None:
    server, client = (SERVER_4, SERVER_6, INTERFACE), (CLIENT_4, CLIENT_6, "client0")
    for host, here, there in (hosts.server, server, client), (hosts.client, client, server):
        words = OVERLAYS[kind].format(
            here4=here[0], here6=here[1], cable=here[2], there4=there[0], there6=there[1]
        )
        add_link(host, "over0", words)
    give(hosts.server, "over0", f"{NEAR_4}/24", f"{NEAR_6}/64")
    give(hosts.client, "over0", f"{FAR_4}/24", f"{FAR_6}/64")
    meet(hosts, kind, tmp_path)
    daemon = start(hosts, "over0")
    hears(daemon, lambda: datagram(hosts.client, NEAR_4, 7001), 7001)
    if kind != "ipip":
        hears(daemon, lambda: datagram(hosts.client, NEAR_6, 7003), 7003)


@pytest.mark.parametrize("kind", ["bridge", "bond mode active-backup"])
def test_a_link_made_of_others_is_heard(hosts: Lab, kind: str) -> None:
    add_link(hosts.server, "all0", f"type {kind}")
    hosts.server.ip("link", "set", INTERFACE, "down")
    hosts.server.ip("link", "set", INTERFACE, "master", "all0")
    hosts.server.ip("link", "set", INTERFACE, "up")
    give(hosts.server, "all0", f"{NEAR_4}/24", f"{NEAR_6}/64")
    give(hosts.client, "client0", f"{FAR_4}/24", f"{FAR_6}/64")
    daemon = start(hosts, "all0")
    hears(daemon, lambda: datagram(hosts.client, NEAR_4, 7001), 7001)
    hears(daemon, lambda: datagram(hosts.client, NEAR_6, 7003), 7003)


@pytest.fixture
def inner(hosts: Lab) -> Iterator[Namespace]:
    """A host behind the server, which routes to it."""
    host = Namespace(f"{hosts.server.name}-inner")
    try:
        connect(hosts.server, "inside0", host, "inner0")
        give(hosts.server, "inside0", "10.80.0.1/24", "fd80::1/64")
        give(host, "inner0", "10.80.0.2/24", "10.80.0.3/24", "fd80::2/64", "fd80::3/64")
        for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            hosts.server.run("sh", "-c", f"echo 1 > /proc/sys/net/{switch}")
        hosts.client.ip("route", "add", "10.80.0.0/24", "via", SERVER_4)
        hosts.client.ip("route", "add", "fd80::/64", "via", SERVER_6)
        host.ip("route", "add", "default", "via", "10.80.0.1")
        host.ip("route", "add", "default", "via", "fd80::1")
        yield host
    finally:
        host.delete()


def test_a_target_behind_a_router_is_heard_and_no_other_host(hosts: Lab, inner: Namespace) -> None:
    daemon = start(hosts, text=doors("10.80.0.2") + doors("fd80::2", MORE_PORTS))
    for host in (SERVER_4, "10.80.0.3"):
        datagram(hosts.client, host, 7001)
    for host in (SERVER_6, "fd80::3"):
        datagram(hosts.client, host, 17_001)
    hears(daemon, lambda: datagram(hosts.client, "10.80.0.2", 7003), 7003)
    hears(daemon, lambda: datagram(hosts.client, "fd80::2", 17_003), 17_003)
    assert opened(daemon) == {7003, 17_003}
    with inner.inside(), socket.create_server(("10.80.0.2", 22)):
        assert hosts.reaches(22, "10.80.0.2", seconds=5)


def test_a_target_is_heard_in_what_only_passes_by(hosts: Lab) -> None:
    """As on the port of a bridge: the frames bear the address of the host behind it."""
    daemon = start(hosts, text=doors("192.0.2.1"))
    transmit(hosts.client, "client0", OTHER_MAC, ethernet(ipv4(tcp(7000))))
    hears(daemon, lambda: None, 7000)


def test_addresses_are_heard_for_as_long_as_they_are_there(hosts: Lab) -> None:
    daemon = start(hosts)
    give(hosts.server, INTERFACE, *OWN, "10.77.0.9/24")
    hosts.server.ip("addr", "add", "fd77::9/64", "dev", INTERFACE)
    own = mac(hosts.server, INTERFACE)
    hears(daemon, lambda: transmit(hosts.client, "client0", own, ethernet(ipv4(tcp(7000)))), 7000)
    hears(daemon, lambda: datagram(hosts.client, "10.77.0.9", 7001), 7001)
    hears(daemon, lambda: datagram(hosts.client, "fd77::9", 7003), 7003)
    hosts.server.ip("addr", "del", OWN[0], "dev", INTERFACE)
    fresh = iter(PORTS[10:])

    def deaf() -> bool:
        gone, still = next(fresh), next(fresh)
        transmit(hosts.client, "client0", own, ethernet(ipv4(tcp(gone))))
        hears(daemon, lambda: datagram(hosts.client, SERVER_4, still), still)
        return gone not in opened(daemon)

    until(deaf, "the address that is gone is not heard")


def test_a_link_that_is_down_at_the_start_is_heard_once_it_is_up(hosts: Lab) -> None:
    hosts.server.ip("link", "set", INTERFACE, "down")
    daemon = start(hosts)
    hosts.server.ip("link", "set", INTERFACE, "up")
    hears(daemon, lambda: datagram(hosts.client, SERVER_4, 7001), 7001)
    # The kernel took the IPv6 addresses away with the link.
    give(hosts.server, INTERFACE, f"{SERVER_6}/64")
    hears(daemon, lambda: datagram(hosts.client, SERVER_6, 7003), 7003)


def test_an_interface_that_is_deleted_and_made_anew_is_heard(hosts: Lab) -> None:
    daemon = start(hosts)
    hosts.server.ip("link", "del", INTERFACE)
    connect(hosts.server, INTERFACE, hosts.client, "client0")
    give(hosts.server, INTERFACE, f"{SERVER_4}/24", f"{SERVER_6}/64")
    give(hosts.client, "client0", f"{CLIENT_4}/24", f"{CLIENT_6}/64")
    hears(daemon, lambda: datagram(hosts.client, SERVER_4, 7001), 7001)
    hears(daemon, lambda: datagram(hosts.client, SERVER_6, 7003), 7003)
