"""Honest clients in the midst of a flood of first knocks, each from another source."""

from __future__ import annotations

import re
import shutil
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.arena import STEPS, Arena, Bench, Program, arena
from tests.bench.clients import COMMAND, address
from tests.bench.frames import Syn
from tests.bench.report import Bound, Row, Wanted
from tests.support.lab import until

RATES, QUICK_RATES = (2_000, 10_000, 50_000, 100_000), (10_000,)
CLIENTS, QUICK_CLIENTS = 40, 10
SPOOFED = 1_000_000  # sources; the flood goes round when all have knocked
STEP_SECONDS = 0.005  # between the knocks of an honest client
PATIENCE = 0.5  # seconds until a client that is not let in is given up
LOOK_SECONDS = 0.0002

_PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)  # pcap-savefile(5), Ethernet


@dataclass(frozen=True, slots=True)
class Weathered:
    """What came of a flood: how long each client that got in waited, in ms, and MB of memory."""

    waits: tuple[float, ...]
    memory: float


def floods(bench: Bench) -> list[Row]:
    """One row on who gets in and two on how long it takes, for each rate."""
    if shutil.which("tcpreplay") is None:
        return [Row("floods", "needs tcpreplay: apt install tcpreplay", "", None, None)]
    rows = []
    for rate in QUICK_RATES if bench.quick else RATES:
        knockd, ours = bench.both(partial(_weather, bench, rate))
        rows += _rows(bench, rate, knockd, ours)
    return rows


def _rows(bench: Bench, rate: int, knockd: Weathered, ours: Weathered) -> list[Row]:
    count = bench.rounds(CLIENTS, QUICK_CLIENTS)
    name, at = f"flood-{rate // 1000}k", f"at {rate:,} first knocks a second"
    note = f"last knock to OPEN SESAME in the log; the door's command is `{COMMAND}`"

    def row(what: str, unit: str, figures: tuple[float | None, float | None], most: float) -> Row:
        return Row(name, f"{what}, {at}", unit, *figures, Wanted(Bound.AT_MOST, most), note)

    got_in = Wanted(Bound.AT_LEAST, count)
    return [
        Row(
            name, f"let in, of {count}, {at}", "", len(knockd.waits), len(ours.waits), got_in, note
        ),
        row("wait, median", "ms", (_median(knockd.waits), _median(ours.waits)), 20),
        row("wait, worst", "ms", (_worst(knockd.waits), _worst(ours.waits)), 100),
        row("memory", "MB", (knockd.memory, ours.memory), 150),
    ]


def _median(waits: tuple[float, ...]) -> float | None:
    return statistics.median(waits) if waits else None


def _worst(waits: tuple[float, ...]) -> float | None:
    return max(waits, default=None)


def _weather(bench: Bench, rate: int, program: Program) -> Weathered:
    count = bench.rounds(CLIENTS, QUICK_CLIENTS)
    with arena(bench, program, COMMAND) as here, _flood(bench, here, rate):
        waits = []
        for number in range(count):
            bench.progress.part(number / count)
            waits.append(_knock(here, number))
        return Weathered(tuple(wait for wait in waits if wait is not None), here.memory("VmRSS"))


def _knock(here: Arena, number: int) -> float | None:
    """How many ms an honest client waits after its last knock, or None if it is not let in."""
    source = address(number)
    position = here.log.stat().st_size
    for step, port in enumerate(STEPS):
        time.sleep(STEP_SECONDS)
        here.sender.send(here.sender.syn(Syn(source, port, 40_000 + step, number * 10 + step)))
    began = time.perf_counter()
    wanted = re.compile(rf"{re.escape(source)}: door: OPEN SESAME".encode())
    with here.log.open("rb") as log:
        log.seek(position)
        seen = b""
        while time.perf_counter() - began < PATIENCE:
            seen = seen[-100:] + log.read()
            if wanted.search(seen):
                return (time.perf_counter() - began) * 1000
            time.sleep(LOOK_SECONDS)
    return None


@contextmanager
def _flood(bench: Bench, here: Arena, rate: int) -> Iterator[None]:
    """tcpreplay on the client's end of the cable, for as long as the block lasts."""
    path = _capture_file(bench, here)
    words = ["tcpreplay", "-q", "-K", "-i", "client0", f"--pps={rate}", "--loop=1000", str(path)]
    flood = subprocess.Popen(
        [*here.hosts.client.prefix, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: "Stage 1" in here.said(), "the flood begins", patience=60)
        time.sleep(1)  # until it is at its height
        assert flood.poll() is None, "tcpreplay has ended"
        yield
        assert flood.poll() is None, "tcpreplay has ended"
    finally:
        flood.kill()
        flood.wait()


def _capture_file(bench: Bench, here: Arena) -> Path:
    """A file of first knocks. The hosts' hardware addresses are new each time, and so is it."""
    count = SPOOFED // 10 if bench.quick else SPOOFED
    frame = bytearray(here.sender.syn(Syn("11.0.0.0", STEPS[0], 1024, 0)))
    header = struct.pack("<IIII", 0, 0, len(frame), len(frame))
    path = bench.folder / "flood.pcap"
    with path.open("wb") as file:
        file.write(_PCAP)
        for number in range(count):
            frame[27:30] = number.to_bytes(3, "big")  # the checksums are nobody's concern
            frame[34:36] = (1024 + number % 60_000).to_bytes(2, "big")
            frame[38:42] = number.to_bytes(4, "big")
            file.write(header + frame)
    return path
