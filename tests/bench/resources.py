"""What a daemon costs: CPU time, memory, and the time until it listens."""

from __future__ import annotations

import random
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.arena import NFT, STARTED, STEPS, Bench, Program, Usage, arena, launch, stage
from tests.bench.clients import address, let_in
from tests.bench.frames import Syn, Timed
from tests.bench.report import Bound, Row, Wanted
from tests.support.lab import CLIENT_4, PATIENCE

HEARD, QUICK_HEARD = 20_000, 2_000
HEARD_A_SECOND = 2_000
DOORS, QUICK_DOORS = 200, 20
DOORS_A_SECOND = 10
STARTS, QUICK_STARTS = 11, 3
SETTLE_SECONDS = 1.0
LOOK_SECONDS = 0.0002  # how often the log is looked at while a daemon starts
SEED = 3

MOST_MEMORY = Wanted(Bound.AT_MOST, 48.0)
MOST_START = Wanted(Bound.AT_MOST, 0.6)


_LEFT_OUT = re.compile(r"a flood of first knocks: (\d+) lines about them left out")


def _first_knocks(text: str) -> int:
    """How many were heard: those that the log speaks of, and those that it only counts."""
    return text.count("Stage 1") + sum(map(int, _LEFT_OUT.findall(text)))


@dataclass(frozen=True, slots=True)
class Memory:
    """In MB: all that is mapped and present, and with what is shared divided among its users."""

    resident: float
    proportional: float


def cpu(bench: Bench) -> list[Row]:
    """Microseconds a heard packet and milliseconds an opened door."""
    count = bench.rounds(HEARD, QUICK_HEARD)
    packets = [usage.own / count * 1e6 for usage in bench.both(lambda p: _hear(bench, p, count))]
    doors = bench.rounds(DOORS, QUICK_DOORS)
    opened = bench.both(lambda program: _open(bench, program, doors))
    own = [usage.own / doors * 1e3 for usage in opened]
    children = [usage.children / doors * 1e3 for usage in opened]
    heard = f"{count:,} knocks of one source, first and wrong in turn, {HEARD_A_SECOND:,} a second"
    door = f"{doors} doors, {DOORS_A_SECOND} a second, each by {NFT} -I"
    return [
        Row("cpu", "CPU time a heard packet", "µs", packets[0], packets[1], note=heard),
        Row("cpu", "CPU time an opened door, the daemon", "ms", own[0], own[1], note=door),
        Row(
            "cpu",
            "CPU time an opened door, its children",
            "ms",
            children[0],
            children[1],
            note=door,
        ),
    ]


def _hear(bench: Bench, program: Program, count: int) -> Usage:
    """First knocks, each followed by a wrong one: half the packets are logged, no door opens."""
    chance = random.Random(SEED)
    first, wrong = STEPS[0], STEPS[-1]
    knocks = [
        Timed(
            number / HEARD_A_SECOND,
            Syn(CLIENT_4, wrong if number % 2 else first, 30_000, chance.getrandbits(32)),
        )
        for number in range(count)
    ]
    with arena(bench, program, "true") as here:
        before = here.usage()
        here.sender.send_all(knocks, bench.progress.part)
        heard = _first_knocks(here.wait_until_said(lambda s: _first_knocks(s) == count // 2))
        assert heard == count // 2, f"{program.name} heard {heard} of {count // 2} first knocks"
        return _spent(before, here.usage())


def _open(bench: Bench, program: Program, count: int) -> Usage:
    """Clients who knock one after the other, each at once."""
    chance = random.Random(SEED)
    knocks = [
        Timed(
            client / DOORS_A_SECOND + step / 1000,
            Syn(address(client), port, 30_000, chance.getrandbits(32)),
        )
        for client in range(count)
        for step, port in enumerate(STEPS)
    ]
    with arena(bench, program, f"{NFT} -I INPUT -s %IP% -j ACCEPT") as here:
        before = here.usage()
        here.sender.send_all(knocks, bench.progress.part)
        opened = let_in(here, count)
        assert opened == count, f"{program.name} opened {opened} of {count} doors"
        time.sleep(SETTLE_SECONDS)  # the last child ends, and is counted then
        rules = here.hosts.rules(NFT)
        assert len(rules) == count, f"{program.name} has made {len(rules)} of {count} rules"
        return _spent(before, here.usage())


def _spent(before: Usage, after: Usage) -> Usage:
    return Usage(after.own - before.own, after.children - before.children)


def memory(bench: Bench) -> list[Row]:
    """Megabytes, of a daemon that has started and heard nothing yet."""
    knockd, ours = bench.both(lambda program: _memory(bench, program))
    what, shared = "memory when idle, resident (RSS)", "memory when idle, proportional (PSS)"
    return [
        Row("memory", what, "MB", knockd.resident, ours.resident, MOST_MEMORY),
        Row("memory", shared, "MB", knockd.proportional, ours.proportional),
    ]


def _memory(bench: Bench, program: Program) -> Memory:
    with arena(bench, program, "true") as here:
        time.sleep(SETTLE_SECONDS)
        return Memory(here.memory("VmRSS"), here.memory("Pss", "smaps_rollup"))


def start(bench: Bench) -> list[Row]:
    """Seconds from starting the program to its line that it listens."""
    knockd, ours = bench.both(lambda program: _starts(bench, program))
    note = f"median of {len(ours)}, after one that is not counted"
    medians = statistics.median(knockd), statistics.median(ours)
    return [Row("start", "start to listening, median", "s", *medians, MOST_START, note)]


def _starts(bench: Bench, program: Program) -> list[float]:
    count = bench.rounds(STARTS, QUICK_STARTS)
    times = []
    with stage(bench) as hosts:
        for number in range(1 + count):
            began = time.perf_counter()
            running, log = launch(hosts, program, "true")
            while not _says_it_started(log):
                assert running.process.poll() is None, running.text()
                assert time.perf_counter() - began < PATIENCE, f"{program.name} does not start"
                time.sleep(LOOK_SECONDS)
            times.append(time.perf_counter() - began)
            running.stop()
            bench.progress.part((number + 1) / (1 + count))
    return times[1:]


def _says_it_started(log: Path) -> bool:
    return log.exists() and STARTED in log.read_text(errors="replace")
