"""The oracle itself: the real knockd, driven in virtual time, does what is known of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.oracle import Network, Opening, Packet, read_config, run
from tests.support.packets import SYN, TCP, UDP, Route, ethernet, ip, tcp, udp

DOOR = """
[door]
sequence = 7000,8000:udp,9000
seq_timeout = 5
tcpflags = syn
command = open %IP%
cmd_timeout = 3
stop_command = close %IP%
"""
CLIENT = Route("198.51.100.1", "192.0.2.1")
OTHER = Route("198.51.100.2", "192.0.2.1")
CLIENT6 = Route("2001:db8::9", "2001:db8::1")


def syn(route: Route, port: int, flags: int = SYN) -> bytes:
    return ethernet(ip(tcp(port, flags), TCP, route))


def datagram(route: Route, port: int) -> bytes:
    return ethernet(ip(udp(port), UDP, route))


def knocks(route: Route, *times: float) -> list[Packet]:
    """The three knocks of ``DOOR``."""
    frames = [syn(route, 7000), datagram(route, 8000), syn(route, 9000)]
    return [Packet(time, frame) for time, frame in zip(times, frames, strict=True)]


def test_a_door_opens_at_its_last_knock() -> None:
    outcome = run(DOOR, knocks(CLIENT, 100, 101, 102.5))
    assert outcome.openings == [Opening(2, "door", "198.51.100.1")]
    assert outcome.heard == frozenset({0, 1, 2})
    assert (outcome.status, outcome.stderr) == (0, "")


def test_a_door_opens_over_ipv6() -> None:
    assert run(DOOR, knocks(CLIENT6, 1, 1, 1)).openings == [Opening(2, "door", "2001:db8::9")]


def test_commands_are_told_in_order_and_not_run() -> None:
    outcome = run(DOOR, knocks(CLIENT, 0, 0, 0))
    told = [(entry.kind.value, entry.text) for entry in outcome.entries if entry.packet == 2]
    assert told == [
        ("stdout", "198.51.100.1: door: Stage 3"),
        ("stdout", "198.51.100.1: door: OPEN SESAME"),
        ("stdout", "door: running command: open 198.51.100.1"),
        ("system", "open 198.51.100.1"),
        ("sleep", "3"),
        ("stdout", "198.51.100.1: door: command timeout"),
        ("stdout", "door: running command: close 198.51.100.1"),
        ("system", "close 198.51.100.1"),
    ]


@pytest.mark.parametrize(
    ("last", "opens"), [(5.999, True), (6.0, False)], ids=["in the last second", "too late"]
)
def test_the_clock_is_that_of_the_packets_in_whole_seconds(last: float, opens: bool) -> None:
    outcome = run(DOOR, knocks(CLIENT, 1.999, 2, last))
    assert bool(outcome.openings) is opens
    assert ("198.51.100.1: door: sequence timeout (stage 2)" in outcome.stdout) is not opens


def test_what_the_filter_drops_is_not_heard() -> None:
    strangers = [
        Packet(100, syn(CLIENT, 7001)),
        Packet(100, syn(CLIENT, 7000, flags=0x10)),
        Packet(100, syn(Route("198.51.100.1", "192.0.2.9"), 7000)),
        Packet(100, datagram(CLIENT, 7000)),
    ]
    assert run(DOOR, strangers).heard == frozenset()


def test_addresses_are_those_that_were_asked_for() -> None:
    network = Network(addresses=("192.0.2.7", "192.0.2.9"))
    outcome = run(DOOR, knocks(Route("198.51.100.1", "192.0.2.9"), 1, 1, 1), network=network)
    assert len(outcome.openings) == 1
    assert not run(DOOR, knocks(CLIENT, 1, 1, 1), network=network).heard


def test_sources_spoil_each_other() -> None:
    first, second = knocks(CLIENT, 1, 1, 1), knocks(OTHER, 1, 1, 1)
    interleaved = [packet for pair in zip(first, second, strict=True) for packet in pair]
    assert run(DOOR, interleaved).openings == [Opening(4, "door", "198.51.100.1")]
    assert [opening.packet for opening in run(DOOR, first + second).openings] == [2, 5]


def test_many_openings_do_not_make_packets_come_twice() -> None:
    config = "[one]\nsequence = 1\ncommand = true #status=256\n"
    outcome = run(config, [Packet(second, syn(CLIENT, 1)) for second in range(200)])
    assert [opening.packet for opening in outcome.openings] == list(range(200))
    assert outcome.stderr == "one: command returned non-zero status code (1)\n" * 200


def test_a_log_file_is_written_only_in_the_given_directory(tmp_path: Path) -> None:
    outside = tmp_path / "outside.log"
    (tmp_path / "inside").mkdir()
    for path in (str(outside), "%DIR%/inside.log"):
        config = f"[options]\nlogfile = {path}\n[one]\nsequence = 1\n"
        run(config, [Packet(60, syn(CLIENT, 1))], directory=tmp_path / "inside")
    assert not outside.exists()
    assert (tmp_path / "inside/inside.log").read_text().splitlines() == [
        "[1970-01-01 00:00] starting up, listening on eth0",
        "[1970-01-01 00:01] 198.51.100.1: one: Stage 1",
        "[1970-01-01 00:01] 198.51.100.1: one: OPEN SESAME",
    ]


def test_a_good_file_is_accepted() -> None:
    outcome = read_config("[options]\n UseSyslog\n[a]\nsequence = 1:UDP, 2\n")
    assert outcome.accepted
    assert outcome.listened
    assert [line for line in outcome.stdout if line.startswith("config:")] == [
        "config: new section: 'options'",
        "config: usesyslog",
        "config: new section: 'a'",
        "config: a: sequence: 1:udp,2:tcp",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nfoo = 1\n", "config: line 2: syntax error\n"),
        ("[a]\n", "error: section 'a' has an empty knock sequence\n"),
        ("[a]\nsequence = 1:icmp\n", "config: section a: unknown protocol in knock sequence\n"),
    ],
)
def test_a_bad_file_is_rejected_with_its_reason(text: str, message: str) -> None:
    outcome = read_config(text)
    assert not outcome.accepted
    assert (outcome.stderr, outcome.status) == (message, 1)


def test_a_target_that_is_no_address_fails_only_after_the_file() -> None:
    outcome = read_config("[a]\nsequence = 1\ntarget = 1.2.3.400\n")
    assert outcome.accepted
    assert not outcome.listened
    assert outcome.stderr == "pcap_compile: invalid IPv4 address '1.2.3.400'\n"
