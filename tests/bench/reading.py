"""How long it takes to replay a capture, and how much memory; knockd has nothing of the kind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from struct import pack

from tests.bench.arena import STEPS, Bench
from tests.bench.report import Bound, Row, Wanted
from tests.support.captures import SNAP_LENGTH
from tests.support.lab import ROOT
from tests.support.packets import MSS, Route, ethernet, ipv4, tcp

PACKETS, QUICK_PACKETS = 1_000_000, 100_000
A_SECOND = 20_000
KINDS = 5_000  # different packets; a capture repeats them
TO_A_STEP = 100  # one packet in so many
MOST_PAYLOAD = 400
SEQUENCE_NUMBER_AT = 14 + 20 + 4  # behind Ethernet's header, IP's, and TCP's ports
HARDWARE = bytes(range(12))
SEED = 5
BEGIN = 1_764_032_400

MOST_SECONDS = Wanted(Bound.AT_MOST, 10.0)
MOST_MEMORY = Wanted(Bound.AT_MOST, 150.0)


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds, and megabytes at the most."""

    seconds: float
    memory: float


def read(bench: Bench) -> list[Row]:
    """Seconds and megabytes, for a capture of mixed traffic and one of first knocks alone."""
    count = bench.rounds(PACKETS, QUICK_PACKETS)
    bench.progress.program("pyknockd")
    mixed = _replay(bench, count, TO_A_STEP)
    bench.progress.part(0.3)
    flood = _replay(bench, count, 1)
    what, of = f"{count:,} packets read", f"one in {TO_A_STEP} to a step"
    note = "knockd reads no captures"
    return [
        Row("read", f"{what}, {of}", "s", None, mixed.seconds, MOST_SECONDS, note),
        Row("read", "the same, memory at most", "MB", None, mixed.memory, MOST_MEMORY),
        Row("read", f"{what}, each to a step", "s", None, flood.seconds),
        Row("read", "the same, memory at most", "MB", None, flood.memory, MOST_MEMORY),
    ]


def _replay(bench: Bench, count: int, one_in: int) -> _Cost:
    capture, config = bench.folder / "capture.pcap", bench.folder / "read.conf"
    _write(capture, count, one_in)
    steps = ",".join(map(str, STEPS))
    config.write_text(f"[door]\nsequence = {steps}\ntcpflags = syn\ncommand = true\n")
    config.chmod(0o600)
    words = [sys.executable, "-m", "pyknockd", "--read", str(capture), "-c", str(config)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*words, "--settings", os.devnull], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"the replay ended with status {process.returncode}"
    capture.unlink()
    return _Cost(seconds, usage.ru_maxrss / 1024)


def _write(path: Path, count: int, one_in: int) -> None:
    """Each packet begins a connection; there are as many sources as kinds of packets."""
    chance = random.Random(SEED)
    frames = []
    for number in range(KINDS):
        port = STEPS[number % len(STEPS)] if number % one_in == 0 else chance.randrange(1, 65_536)
        source = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
        segment = tcp(port, number=number, source_port=chance.randrange(1024, 65_536), options=MSS)
        packet = ipv4(segment, route=Route(source, "192.0.2.1"))
        frames.append(ethernet(packet, hardware=HARDWARE) + bytes(chance.randrange(MOST_PAYLOAD)))
    with path.open("wb") as file:
        file.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP_LENGTH, 1))
        for number in range(count):
            frame = frames[number % KINDS]
            seconds, rest = divmod(number, A_SECOND)
            head = (BEGIN + seconds, rest * 1_000_000 // A_SECOND, len(frame), len(frame))
            each = frame[:SEQUENCE_NUMBER_AT] + pack("!I", number) + frame[SEQUENCE_NUMBER_AT + 4 :]
            file.write(pack("<IIII", *head) + each)
