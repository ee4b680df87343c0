"""Our client and Debian's C original over the same arguments: the same comes of both."""

from __future__ import annotations

import itertools

import pytest

from tests.support.doors import ssh
from tests.support.lab import SERVER_4, SERVER_6, Lab
from tests.support.realknockd import debian_knockd
from tests.support.wire import LINK_LOCAL, NO_ROUTE, V4, V6, VETH, Wire


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


def test_the_delay_comes_after_every_hit_in_both_clients(wire: Wire) -> None:
    delay_s = 0.25
    for run in (wire.original, wire.ours):
        ran = run("-d", "250", V4, "7000", "7001:udp", "7002")
        times = [packet.time for packet in ran.packets]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(gaps) == 2
        assert all(0.95 * delay_s < gap < 2 * delay_s for gap in gaps)
        assert ran.seconds > 3 * delay_s


def test_posixly_correct_ends_the_options_at_the_host_in_both_clients(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSIXLY_CORRECT", "1")
    assert wire.ours("-v", V4, "7000", "-u").status == wire.original(V4, "7000", "-u").status == 1


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


@pytest.mark.parametrize(
    ("host", "ports", "plain"),
    [
        (V4, ["7000,7001:udp,7002"], ["7000", "7001:udp", "7002"]),
        (V4, ["7000/tcp", "7001/udp"], ["7000", "7001:udp"]),
        (f"[{V6}]", ["7000", "7001:udp"], ["7000", "7001:udp"]),
    ],
)
def test_what_the_original_does_not_understand_is_sent_as_it_is_meant(
    wire: Wire, host: str, ports: list[str], plain: list[str]
) -> None:
    assert wire.original(host, *ports).packets == ()
    meant = wire.original(host.strip("[]"), *plain).packets
    assert meant
    assert wire.ours(host, *ports).packets == meant


@pytest.mark.parametrize("port", ["70000", "", ":udp", "no-such-service"])
def test_a_wrong_port_sends_nothing_where_the_original_sends_a_part(wire: Wire, port: str) -> None:
    original, ours = wire.original(V4, "7000", port), wire.ours(V4, "7000", port)
    assert original.packets
    assert (ours.packets, ours.status) == ((), 1)


def test_debians_own_client_is_understood(hosts: Lab) -> None:
    client = debian_knockd() / "usr/bin/knock"
    daemon = hosts.start(ssh("iptables-nft", timed=5))
    for host in (SERVER_4, SERVER_6):
        hosts.client.run(str(client), host, "7000", "8000", "9000")
    daemon.wait_for("OPEN SESAME", times=2)
