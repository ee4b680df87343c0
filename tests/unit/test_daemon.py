"""The loop, with knocks from a list: what lasts for ever, fails for ever, or comes as a signal."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.lab import PATIENCE, ROOT

# A daemon in a process of its own, since it takes signals. ``knocks`` come in at once; whatever the
# capture does is counted, and TERM comes from outside of the loop or from ``fault``.
SCRIPT = """
import json, os, signal, socket, sys, threading
from pyknockd.daemon import SIGNALS, Daemon, World
from pyknockd.config import ConfigError
from pyknockd.doors import Journal
from pyknockd.model import Command, Config, Door, Knock, Protocol, Step
from pyknockd.report import Log, Report
from pyknockd.system.signals import Signals

told = json.loads(sys.argv[1])
reader, writer = socket.socketpair()
counts = {"reads": 0, "turns": 0, "reloads": 0}


class Capture:
    names = ("test0",)

    def fileno(self):
        return reader.fileno()

    def listen(self, listens):
        pass

    def read(self, now):
        counts["reads"] += 1
        if told["fault"]:
            if counts["reads"] == told["fault"]:
                os.kill(os.getpid(), signal.SIGTERM)
            raise OSError(24, "Too many open files")
        reader.recv(100)
        for number, port in enumerate(told["knocks"]):
            yield Knock("192.0.2.9", "192.0.2.1", True, Protocol.TCP, port, 1, 2, number, now)

    def events(self, now):
        counts["turns"] += 1
        return []

    def next_deadline(self):
        return None


def read_again():
    counts["reloads"] += 1
    raise ConfigError(["knockd.conf:1: a mistake"])


steps = tuple(Step(port, Protocol.TCP) for port in told["steps"])
door = Door("d", steps, timeout=told["timeout"], opening=Command("true"),
            closing=Command("true"), open_for=told["open_for"])
log = Log()
log.open(told["log"], use_syslog=False)
world = World(lambda flood: Capture(), Signals(SIGNALS), Report(log), Journal(None), read_again, "f")
daemon = Daemon(world, Config((door,), log_file=told["log"]))
daemon.start()
writer.send(b"x")
for after, name in told["signals"]:
    threading.Timer(after, os.kill, (os.getpid(), signal.Signals[name])).start()
daemon.run()
daemon.stop()
print(json.dumps(counts))
"""


@dataclass(frozen=True)
class Ran:
    """What the capture counted, and the lines of the log."""

    reads: int
    turns: int
    reloads: int
    log: str


def run(folder: Path, **told: object) -> Ran:
    path = folder / "log"
    defaults = {"knocks": [], "steps": [1, 2], "timeout": 5.0, "open_for": 5.0, "fault": 0}
    words = json.dumps({**defaults, "signals": [[0.4, "SIGTERM"]], "log": str(path), **told})
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Ran(**json.loads(done.stdout), log=path.read_text())


@pytest.mark.parametrize("seconds", [30 * 86_400.0, float(2**31 - 1), float(2**32 - 1)])
def test_an_attempt_that_may_take_years_makes_nobody_deaf(tmp_path: Path, seconds: float) -> None:
    ran = run(tmp_path, knocks=[1], timeout=seconds)
    assert "192.0.2.9: d: Stage 1" in ran.log
    assert "internal error" not in ran.log
    assert ran.turns < 20


@pytest.mark.parametrize("seconds", [30 * 86_400.0, float(2**32 - 1)])
def test_a_door_that_stays_open_for_years_makes_nobody_deaf(tmp_path: Path, seconds: float) -> None:
    ran = run(tmp_path, knocks=[1, 2], open_for=seconds)
    assert "192.0.2.9: d: OPEN SESAME" in ran.log
    assert "internal error" not in ran.log
    assert ran.turns < 20


def test_a_fault_that_lasts_is_told_once_and_heeds_term(tmp_path: Path) -> None:
    ran = run(tmp_path, fault=8, signals=[])
    assert ran.reads == 8
    assert ran.log.count("Too many open files") == 1
    assert len(ran.log.splitlines()) < 40
    assert "shutting down" in ran.log


def test_a_mistake_at_reload_keeps_the_doors_and_opens_the_log_anew(tmp_path: Path) -> None:
    ran = run(tmp_path, signals=[[0.1, "SIGHUP"], [0.4, "SIGTERM"]])
    assert ran.reloads == 1
    lines = [line.partition("] ")[2] for line in ran.log.splitlines()]
    assert lines[1:5] == [
        "re-reading config file: f",
        "knockd.conf:1: a mistake",
        "the file was not taken over: the doors stay as they were",
        f"re-opening log file: {tmp_path}/log",
    ]
