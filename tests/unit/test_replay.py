"""A capture played through a configuration: what is told, and that nothing is done."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import pytest

from pyknockd.capture.linktypes import medium_of, recorded
from pyknockd.capture.playback import Recorded
from pyknockd.config.knockd_conf import parse
from pyknockd.model import Config, Extras, Limits
from pyknockd.model.events import Event
from pyknockd.proof.onetime import first_sequence
from pyknockd.replay import MOST_TOLD, Replay, Request, main
from pyknockd.report import json_line
from tests.support.captures import (
    COOKED,
    COOKED_2,
    ETHERNET,
    NULL,
    RAW,
    At,
    cooked,
    cooked_2,
    interface,
    packet,
    pcap,
    section,
)
from tests.support.packets import ACK, GOOD, MSS, SYN, UDP, Route, ethernet, ipv4, tcp, udp

ME, OTHER, HERE, ELSEWHERE = "198.51.100.7", "198.51.100.8", "192.0.2.1", "192.0.2.9"
BEGIN = 1_764_032_400.0
HARDWARE = bytes(range(12))
RULE = "INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
TEXT = f"""[openSSH]
sequence = 7000,8000,9000
seq_timeout = 5
tcpflags = syn
start_command = iptables -I {RULE}
cmd_timeout = 10
stop_command = iptables -D {RULE}
"""
_numbers = count(1)


def config(text: str = TEXT, limits: Limits | None = None) -> Config:
    reading = parse(text, interface_given=True, first_sequence=first_sequence)
    assert not reading.mistakes
    extras = Extras(limits=limits or Limits())
    return Config(reading.config.doors, extras=extras)


@dataclass
class Sender:
    """Packets, one after the other; each SYN is a connection of its own."""

    packets: list[At] = field(default_factory=list)

    def tcp(
        self, after: float, port: int, source: str = ME, *, flags: int = SYN, to: str = HERE
    ) -> None:
        number = next(_numbers)
        segment = tcp(port, flags, number=number, source_port=41_000 + number % 1000, options=MSS)
        self.add(after, ipv4(segment, route=Route(source, to)))

    def udp(self, after: float, port: int) -> None:
        self.add(after, ipv4(udp(port), UDP, route=Route(ME, HERE)))

    def add(self, after: float, data: bytes) -> None:
        self.packets.append(At(BEGIN + after, ethernet(data, hardware=HARDWARE)))

    def again(self, after: float) -> None:
        """The last one, as its kernel would send it again."""
        self.packets.append(At(BEGIN + after, self.packets[-1].data))


@dataclass
class Player:
    """Replays what has been sent."""

    path: Path
    output: pytest.CaptureFixture[bytes]

    def text(self, sent: Sender, settings: Config | None = None, **more: object) -> str:
        self.path.write_bytes(pcap(sent.packets))
        request = Request(str(self.path), **{"addresses": (HERE,), **more})  # type: ignore[arg-type]
        assert main(settings or config(), request) == 0
        return self.output.readouterr().out.decode()

    def events(
        self, sent: Sender, settings: Config | None = None, **more: object
    ) -> list[dict[str, object]]:
        lines = self.text(sent, settings, as_json=True, **more).splitlines()
        return [json.loads(line) for line in lines]

    def causes(self, sent: Sender, settings: Config | None = None, **more: object) -> list[str]:
        events = self.events(sent, settings, **more)
        return [
            f"{e['event']} {e['cause']}" for e in events if e["event"] in ("ended", "not-heard")
        ]


@pytest.fixture
def player(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Player:
    return Player(tmp_path / "capture.pcap", capsysbinary)


@pytest.fixture
def sent() -> Sender:
    return Sender()


def knock(sent: Sender, *ports: int, after: float = 0.0, source: str = ME) -> None:
    for number, port in enumerate(ports):
        sent.tcp(after + number / 10, port, source)


def test_a_door_opens_and_closes_in_the_packets_time(player: Player, sent: Sender) -> None:
    knock(sent, 7000, 8000, 9000)
    events = player.events(sent)
    assert [(e["event"], round(float(str(e["time"])) - BEGIN, 3)) for e in events] == [
        *(("stage", 0.0), ("stage", 0.1), ("stage", 0.2), ("opened", 0.2)),
        *(("command", 0.2), ("stands", 0.2), ("command", 10.2), ("closed", 10.2)),
    ]
    assert events[4]["text"] == f"would have run: iptables -I {RULE}".replace("%IP%", ME)
    assert events[6]["command"] == f"iptables -D {RULE}".replace("%IP%", ME)
    assert {(e["source"], e["door"]) for e in events} == {(ME, "openSSH")}


def test_the_story_of_each_source_is_told(player: Player, sent: Sender) -> None:
    knock(sent, 7000, 8000, 7000)
    knock(sent, 7000, 8000, 9000, after=1, source=OTHER)
    text = player.text(sent)
    mine, _, others = text.partition(f"\n{OTHER}\n")
    assert mine.startswith(f"{ME}\n")
    assert "openSSH: ended at stage 2: 7000 came again where 9000 was due (a new connection" in mine
    assert f"openSSH: would have run: iptables -I INPUT -s {OTHER} " in others
    assert text.splitlines()[-1] == (
        f"6 packets in 1 s, 6 to a port of a sequence, or near one; 1 opening. The host: {HERE}"
    )


def test_nothing_is_run(player: Player, sent: Sender, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    knock(sent, 7000)
    player.text(sent, config(f"[d]\nsequence = 7000\ncommand = touch {mark}\n"))
    assert not mark.exists()


def test_each_reason_has_its_word(player: Player, sent: Sender) -> None:
    knock(sent, 7000, 9000)  # wrong-port
    knock(sent, 7000, after=10)
    sent.tcp(15.2, 8000)  # too late, twice: the attempt, and the knock
    sent.tcp(20, 7000, flags=SYN | ACK)
    sent.tcp(21, 7000, to=ELSEWHERE)
    sent.tcp(22, 8000, source=OTHER)
    sent.tcp(23, 9002)
    sent.udp(24, 9000)
    sent.tcp(30, 7000)
    sent.again(31)
    strict = config(TEXT.replace("tcpflags = syn", "tcpflags = syn,!ack"))
    assert player.causes(sent, strict) == [
        *("ended wrong-port", "ended too-late", "not-heard too-late", "not-heard flags"),
        *("not-heard not-addressed-here", "not-heard no-attempt", "not-heard near-port"),
        *("not-heard wrong-protocol", "not-heard repeated", "ended capture-ended"),
    ]


def test_an_attempt_that_goes_on_by_the_wrong_protocol_ends(player: Player, sent: Sender) -> None:
    knock(sent, 7000)
    sent.udp(1, 8000)
    both = config("[d]\nsequence = 7000,8000,8000:udp\nseq_timeout = 5\n")
    assert player.causes(sent, both) == ["ended wrong-protocol"]


def test_without_room_the_oldest_attempt_makes_some(player: Player, sent: Sender) -> None:
    for number in range(3):
        knock(sent, 7000, after=number, source=f"198.51.100.{number}")
    causes = player.causes(sent, config(limits=Limits(attempts=2)))
    assert causes == ["ended evicted", "ended capture-ended", "ended capture-ended"]


def test_a_packet_of_a_busy_connection_is_told_once(player: Player, sent: Sender) -> None:
    segment = tcp(7000, ACK, source_port=50_000)
    for number in range(100):
        sent.add(number / 100, ipv4(segment, route=Route(ME, HERE)))
    assert player.causes(sent) == ["not-heard flags"]


def test_what_is_told_once_is_remembered_within_bounds() -> None:
    told: list[Event] = []
    replay = Replay(config(), Request("-", (HERE,)), told.append)
    sent = Sender()
    for number in range(MOST_TOLD + 100):
        sent.tcp(0, 7001, f"10.0.{number // 250}.{number % 250}")
    for one in sent.packets:
        (knock,) = replay.playback.knocks_of(Recorded(one.data, medium_of(1), one.time))
        replay.hear(knock)
    assert len(told) == MOST_TOLD + 100
    assert len(replay._told) == MOST_TOLD


def test_sequences_of_a_file_are_used_one_after_the_other_and_the_file_is_not(
    player: Player, sent: Sender, tmp_path: Path
) -> None:
    file = tmp_path / "once"
    file.write_text("7000,8000\n7100,8100\n")
    door = config(f"[once]\none_time_sequences = {file}\ncommand = true\n")
    knock(sent, 7000, source=OTHER)
    knock(sent, 7000, 8000, after=1)
    knock(sent, 7000, 8000, after=2)
    knock(sent, 7100, 8100, after=3)
    events = player.events(sent, door)
    assert [e["source"] for e in events if e["event"] == "opened"] == [ME, ME]
    assert [e["source"] for e in events if e.get("cause") == "one-time-used"] == [OTHER]
    assert [e["text"] for e in events if e["event"] == "sequence"] == [
        "the next one-time sequence is in force",
        "no one-time sequence is left: the door is disabled",
    ]
    assert file.read_text() == "7000,8000\n7100,8100\n"


def test_an_interface_that_is_not_listened_on_is_told(
    player: Player, sent: Sender, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    knock(sent, 7000)
    blocks = [packet(number, int(BEGIN * 1e6), sent.packets[0].data) for number in (1, 0)]
    content = section() + interface("eth0") + interface("wlan0") + b"".join(blocks)
    player.path.write_bytes(content)
    for interfaces, causes in ((("eth0",), ["not-listened-on", "capture-ended"]), (("any",), None)):
        request = Request(str(player.path), (HERE,), interfaces, as_json=True)
        assert main(config(), request) == 0
        lines = capsysbinary.readouterr().out.splitlines()
        found = [json.loads(line).get("cause") for line in lines]
        if causes:
            assert [cause for cause in found if cause] == causes
        else:
            assert "not-listened-on" not in found


def test_what_came_before_the_damage_is_told(
    player: Player, sent: Sender, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    knock(sent, 7000, 8000)
    player.path.write_bytes(pcap(sent.packets)[:-5])
    assert main(config(), Request(str(player.path))) == 1
    said = capsysbinary.readouterr()
    assert b"stage 1 of 3: 7000" in said.out
    assert b"is damaged at byte" in said.err
    assert b"1 packet before that could be read" in said.err


def test_what_is_no_capture_is_an_error(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "knockd.conf"
    path.write_text(TEXT)
    assert main(config(), Request(str(path))) == 1
    said = capsysbinary.readouterr()
    assert said.out == b""
    assert said.err.startswith(f"knockd: {path} is no capture: expected".encode())


def test_an_empty_story_says_how_much_there_was(player: Player, sent: Sender) -> None:
    sent.tcp(0, 443)
    assert player.text(sent) == (
        f"1 packet in 0 s, 0 to a port of a sequence, or near one; 0 openings. The host: {HERE}\n"
    )


def test_a_clock_that_is_set_back_ends_no_attempt(player: Player, sent: Sender) -> None:
    sent.tcp(3600, 7000, OTHER)
    knock(sent, 7000, 8000, 9000)
    assert "opened" in [e["event"] for e in player.events(sent)]


def test_no_frame_brings_a_replay_to_its_end_too_early() -> None:
    """Mutated, cut and random frames on every link; each of the good ones is to a step."""
    chance = Random(11)
    told: list[Event] = []
    replay = Replay(config(), Request("-"), told.append)
    packets = [frame[14:] for frame in GOOD[:2]] + [GOOD[2]]
    for number in range(6_000):
        link_type = chance.choice([ETHERNET, RAW, NULL, COOKED, COOKED_2])
        data = _mangled(chance, framed(link_type, chance.choice(packets)))
        one = recorded(link_type, medium_of(link_type), data, BEGIN + number / 100)
        for knock in () if one is None else replay.playback.knocks_of(one):
            replay.hear(knock)
    replay.end()
    assert len(told) > 100
    assert all(json_line(event) for event in told)


def framed(link_type: int, packet: bytes) -> bytes:
    """``packet`` as it stands in a capture of that kind."""
    if link_type == ETHERNET:
        return ethernet(packet, hardware=HARDWARE)
    if link_type == COOKED:
        return cooked(packet)
    if link_type == COOKED_2:
        return cooked_2(packet)
    return packet if link_type == RAW else bytes(4) + packet


def _mangled(chance: Random, data: bytes) -> bytes:
    mangled = bytearray(data)
    for _ in range(chance.randrange(4)):
        mangled[chance.randrange(len(mangled))] = chance.randrange(256)
    if chance.random() < 0.2:
        return bytes(mangled[: chance.randrange(len(mangled))])
    return chance.randbytes(chance.randrange(100)) if chance.random() < 0.1 else bytes(mangled)


@pytest.mark.parametrize(
    ("resolution", "ticks", "said"),
    [
        (6, 1_764_032_400_100_000, "2025-11-25 01:00:00.100"),
        (0, 2**64 - 1, "18446744073709551616.000"),  # as late as a capture can say
    ],
)
def test_the_time_is_that_of_the_clock_on_the_wall(
    player: Player, sent: Sender, resolution: int, ticks: int, said: str
) -> None:
    knock(sent, 7000)
    capture = section() + interface("eth0", resolution=resolution)
    player.path.write_bytes(capture + packet(0, ticks, sent.packets[0].data))
    with in_utc():
        assert main(config(), Request(str(player.path))) == 0
    assert f"  {said}" in player.output.readouterr().out.decode()


@contextmanager
def in_utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_in_a_flood_who_knocks_to_the_end_gets_in_and_the_rest_is_counted(
    player: Player, sent: Sender
) -> None:
    for number in range(3_000):
        sent.tcp(number / 1000, 7000, f"10.1.{number // 250}.{number % 250}")
        if number in (1_000, 1_500, 2_000):
            sent.tcp(number / 1000, 6000 + number, OTHER)
    small = config(TEXT.replace("8000", "7500").replace("9000", "8000"))
    events = player.events(sent, small)
    assert [e["source"] for e in events if e["event"] == "opened"] == [OTHER]
    counted = sum(int(str(e["count"])) for e in events if e["event"] == "first-knocks-left-out")
    stages = [e for e in events if e["event"] == "stage" and e["stage"] == 1]
    assert counted + len(stages) in (3_001, 3_002)  # the one who gets in may be among both
