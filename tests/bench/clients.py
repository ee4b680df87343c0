"""How many honest clients get in when many knock at the same time."""

from __future__ import annotations

import random
import re
import time
from ipaddress import IPv4Address

from tests.bench.arena import NFT, STEPS, Arena, Bench, Program, arena
from tests.bench.frames import Syn, Timed
from tests.bench.report import Bound, Row, Wanted

SECONDS = 5.0  # all of a crowd's knocks fall into these
COMMAND = "true"
SETTLE_SECONDS = 1.0
SEED = 5
DOORS = 1000  # that open within
DOORS_SECONDS = 1.0

_FIRST_ADDRESS = int(IPv4Address("10.78.0.1"))
_OPENED = re.compile(r"(\S+): door: OPEN SESAME$", re.MULTILINE)


def clients_20(bench: Bench) -> list[Row]:
    return _measure(bench, 20)


def clients_1000(bench: Bench) -> list[Row]:
    return _measure(bench, 1000)


def doors_1000(bench: Bench) -> list[Row]:
    """Doors that open as fast as a thousand clients can knock: rules in the table, and when."""
    count = bench.rounds(DOORS, DOORS // 10)
    knockd, ours = bench.both(lambda program: _rules(bench, program, count))
    what = f"rules in the table, of {count} clients who knock within {DOORS_SECONDS:.0f} s"
    note = f"counted {SETTLE_SECONDS:.0f} s after the last knock; by {NFT} -I"
    return [Row("doors-1000", what, "", knockd, ours, Wanted(Bound.AT_LEAST, count), note)]


def _rules(bench: Bench, program: Program, count: int) -> int:
    with arena(bench, program, f"{NFT} -I INPUT -s %IP% -j ACCEPT") as here:
        here.sender.send_all(crowd(count, DOORS_SECONDS), bench.progress.part)
        time.sleep(SETTLE_SECONDS)
        return len(here.hosts.rules(NFT))


def address(number: int) -> str:
    """A source address of its own for each client."""
    return str(IPv4Address(_FIRST_ADDRESS + number))


def crowd(count: int, seconds: float) -> list[Timed]:
    """Every client's knocks in their order, but everybody's mixed with everybody else's."""
    chance = random.Random(SEED)
    knocks = []
    for number in range(count):
        moments = sorted(chance.uniform(0.0, seconds) for _ in STEPS)
        for at, port in zip(moments, STEPS, strict=True):
            source_port, sequence_number = chance.randrange(32_768, 61_000), chance.getrandbits(32)
            knocks.append(Timed(at, Syn(address(number), port, source_port, sequence_number)))
    return sorted(knocks, key=lambda timed: timed.at)


def let_in(here: Arena, count: int) -> int:
    """How many of ``count`` sources the log says the door was opened for, once it is complete."""
    text = here.wait_until_said(lambda said: len(set(_OPENED.findall(said))) >= count)
    return len(set(_OPENED.findall(text)))


def _measure(bench: Bench, count: int) -> list[Row]:
    knockd, ours = bench.both(lambda program: _count(bench, program, count))
    what = f"let in, of {count} who knock within {SECONDS:.0f} s"
    note = f"counted by OPEN SESAME in the log; the door's command is `{COMMAND}`"
    wanted = Wanted(Bound.AT_LEAST, count)
    return [Row(f"clients-{count}", what, "", knockd, ours, wanted, note)]


def _count(bench: Bench, program: Program, count: int) -> int:
    with arena(bench, program, COMMAND) as here:
        here.sender.send_all(crowd(count, SECONDS), bench.progress.part)
        return let_in(here, count)
