"""The client's packets, as they arrive at the other end of a cable."""

from __future__ import annotations

import subprocess
import sys

from pyknockd.model import Flags
from tests.support.doors import ssh
from tests.support.lab import ROOT, SERVER_4, Lab
from tests.support.wire import SILENT_V4, V4, Wire


def test_a_tcp_hit_is_a_bare_syn_and_a_udp_hit_one_zero_byte(wire: Wire) -> None:
    tcp, udp = wire.ours(V4, "7000", "7001:udp").packets
    assert (tcp.flags, tcp.payload) == (Flags.SYN, b"")
    assert udp.payload == b"\0"


def test_a_syn_that_nobody_answers_is_sent_only_once(wire: Wire) -> None:
    """Linux sends an unanswered SYN again after a second; the delay is there to see it."""
    ran = wire.ours("-d", "1300", SILENT_V4, "7000")
    assert [(packet.port, packet.flags) for packet in ran.packets] == [(7000, Flags.SYN)]


def test_one_hit_that_fails_neither_stops_the_others_nor_passes_for_success(wire: Wire) -> None:
    ran = wire.ours(V4, "0:udp", "7000")
    assert [packet.port for packet in ran.packets] == [7000]
    assert ran.status == 1


def test_a_carried_connection_ends_one_way_and_goes_on_the_other(hosts: Lab) -> None:
    hosts.server.run("iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
    daemon = hosts.start(ssh("iptables-nft", timed=30))
    words = [sys.executable, "-m", "pyknockd.client", "-W", f"{SERVER_4}:22", SERVER_4]
    with (
        hosts.listen(22) as server,
        subprocess.Popen(
            [*hosts.client.prefix, *words, "7000", "8000", "9000"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as client,
    ):
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            assert client.stdin and client.stdout
            client.stdin.write(b"asked")
            client.stdin.close()
            with connection.makefile("rb") as heard:
                assert heard.read() == b"asked"
            connection.sendall(b"answered" * 100_000)
            connection.shutdown(2)
            assert client.stdout.read() == b"answered" * 100_000
    assert client.returncode == 0
    daemon.wait_for("OPEN SESAME")


def test_a_port_that_stays_shut_is_status_3_and_says_what_was_seen(hosts: Lab) -> None:
    words = [sys.executable, "-m", "pyknockd.client", "--wait", "22,0.2", "--retries", "0"]
    done = subprocess.run(
        [*hosts.client.prefix, *words, SERVER_4, "7000"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 3
    assert b"port 22: refused after 1 knock" in done.stderr
