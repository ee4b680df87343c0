"""How long a door takes to open: from the last knock's leaving to the first packet let through.

Three knocks, then a UDP datagram to the guarded port every 0.2 ms, each with its own number. A
socket behind the firewall tells which was the first to arrive; when that one was sent, after the
last knock, is the time. The cable delivers within the sending call, so what is measured is the
daemon and the firewall, to within one interval.
"""

from __future__ import annotations

import random
import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from tests.bench.arena import GUARDED_PORT, LEGACY, NFT, STEPS, Arena, Bench, Program, arena
from tests.bench.frames import Syn, sleep_exactly, sleep_until
from tests.bench.report import Bound, Row, Wanted
from tests.support.lab import CLIENT_4, SERVER_4, Lab

ROUNDS, QUICK_ROUNDS = 200, 20
INTERVAL = 0.0002  # seconds between two probes
BETWEEN_KNOCKS = 0.001
PATIENCE = 2.0  # seconds until a door counts as shut for good
# Between rounds: knockd looks at what was captured every 50 ms, and the rounds must begin at all
# moments of those, evenly.
LEAST_PAUSE, MOST_PAUSE = 0.03, 0.08
SEED = 20
FILLING = 5000  # rules that are there already, in the measures with many

_NFT_WANTED = Wanted(Bound.SHARE_OF_KNOCKD, 1 / 20)
_LEGACY_WANTED = Wanted(Bound.SHARE_OF_KNOCKD, 1 / 12)

_PROBE = Struct("!II")  # round, number


@dataclass(frozen=True, slots=True)
class Way:
    """How the door's rule gets into the table.

    ``more`` are words that the rule has besides; ``rules`` is how many others stand behind it.
    """

    iptables: str
    wanted: Wanted | None = None
    more: str = ""
    rules: int = 0

    def command(self, operation: str, source: str) -> str:
        rule = f"-s {source} -p udp --dport {GUARDED_PORT} {self.more} -j ACCEPT"
        return f"{self.iptables} {operation} INPUT {rule}"


# Of a comment only iptables itself can make a rule: the program is run.
COMMENT = "-m comment --comment knock"


def open_nft(bench: Bench) -> list[Row]:
    return _measure(bench, "open-nft", Way(NFT, _NFT_WANTED))


def open_legacy(bench: Bench) -> list[Row]:
    return _measure(bench, "open-legacy", Way(LEGACY, _LEGACY_WANTED))


def open_program(bench: Bench) -> list[Row]:
    return _measure(bench, "open-program", Way(NFT, more=COMMENT))


def open_nft_5000(bench: Bench) -> list[Row]:
    return _measure(bench, "open-nft-5000", Way(NFT, rules=FILLING))


def open_legacy_5000(bench: Bench) -> list[Row]:
    return _measure(bench, "open-legacy-5000", Way(LEGACY, rules=FILLING))


def open_program_5000(bench: Bench) -> list[Row]:
    return _measure(bench, "open-program-5000", Way(NFT, more=COMMENT, rules=FILLING))


def _measure(bench: Bench, name: str, way: Way) -> list[Row]:
    knockd, ours = bench.both(lambda program: _times(bench, program, way))
    note = ""
    shut = [times.count(None) for times in (knockd, ours)]
    if any(shut):
        note = f"doors that stayed shut: knockd {shut[0]}, pyknockd {shut[1]} of {len(ours)}"
    what = "last knock to open door"
    rows = [Row(name, f"{what}, the first", "ms", _quantile(knockd[:1], 1), _quantile(ours[:1], 1))]
    for which, share, wanted in (
        ("median", 0.5, way.wanted),
        ("p90", 0.9, None),
        ("worst", 1.0, None),
    ):
        figures = _quantile(knockd, share), _quantile(ours, share)
        rows.append(Row(name, f"{what}, {which}", "ms", *figures, wanted, note))
    return rows


def _quantile(times: Sequence[float | None], share: float) -> float | None:
    """In milliseconds, of the doors that opened."""
    known = sorted(t for t in times if t is not None)
    if not known:
        return None
    if share == 0.5:
        return statistics.median(known) * 1000
    return known[round(share * (len(known) - 1))] * 1000


def _times(bench: Bench, program: Program, way: Way) -> list[float | None]:
    """Seconds, one a round; None where the door stayed shut."""
    sleep_exactly()
    chance = random.Random(SEED)
    count = bench.rounds(ROUNDS, QUICK_ROUNDS)
    times: list[float | None] = []
    with arena(bench, program, way.command("-I", "%IP%"), way.iptables) as here:
        fill(here.hosts, way.iptables, way.rules)
        with here.hosts.server.inside():
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with listener:
            listener.bind((SERVER_4, GUARDED_PORT))
            for number, pause in enumerate(_pauses(count, chance)):
                time.sleep(pause)
                _make_sure_it_is_shut(here, listener, number)
                times.append(_round(here, listener, number, chance))
                if times[-1] is not None:
                    here.hosts.server.run(*way.command("-D", CLIENT_4).split(), "-w")
                bench.progress.part((number + 1) / count)
    return times


def fill(hosts: Lab, iptables: str, count: int) -> None:
    """Put ``count`` rules into INPUT that drop what others send."""
    rules = [f"-A INPUT -s 10.99.{n // 250}.{n % 250}/32 -p udp -j DROP\n" for n in range(count)]
    path = hosts.folder / "filling"
    path.write_text("".join(["*filter\n", *rules, "COMMIT\n"]))
    hosts.server.run(f"{iptables}-restore", "--noflush", str(path))


def _pauses(count: int, chance: random.Random) -> list[float]:
    """Seconds before each round, in which the last one settles: evenly spread, in any order."""
    step = (MOST_PAUSE - LEAST_PAUSE) / count
    pauses = [LEAST_PAUSE + step * number for number in range(count)]
    chance.shuffle(pauses)
    return pauses


def _make_sure_it_is_shut(here: Arena, listener: socket.socket, number: int) -> None:
    _arrived(listener, number)
    here.sender.send(
        here.sender.datagram_header(GUARDED_PORT, _PROBE.size) + _PROBE.pack(number, 0)
    )
    time.sleep(BETWEEN_KNOCKS)
    assert _arrived(listener, number) is None, "the door is open before it was knocked at"


def _round(
    here: Arena, listener: socket.socket, number: int, chance: random.Random
) -> float | None:
    """Knock, and probe until something comes through. Seconds."""
    sender = here.sender
    header = sender.datagram_header(GUARDED_PORT, _PROBE.size)
    knocks = [
        sender.syn(Syn(CLIENT_4, port, 20_000 + number, chance.getrandbits(32))) for port in STEPS
    ]
    for knock in knocks[:-1]:
        sender.send(knock)
        time.sleep(BETWEEN_KNOCKS)
    sent: list[float] = []
    began = time.perf_counter()
    sender.send(knocks[-1])
    while time.perf_counter() - began < PATIENCE:
        sleep_until(began + (len(sent) + 1) * INTERVAL)
        sent.append(time.perf_counter())
        sender.send(header + _PROBE.pack(number, len(sent)))
        first = _arrived(listener, number)
        if first is not None:
            return sent[first - 1] - began
    return None


def _arrived(listener: socket.socket, number: int) -> int | None:
    """The first probe of this round that waits, or None. Empties the socket."""
    first = None
    while True:
        try:
            of_round, probe = _PROBE.unpack(listener.recv(_PROBE.size))
        except BlockingIOError:
            return first
        if of_round == number and first is None:
            first = probe
