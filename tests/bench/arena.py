"""Where a daemon is measured: a server and a client of its own, and what it says and uses."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench.frames import Sender
from tests.bench.report import Progress
from tests.support.lab import INTERFACE, Lab, Running, lab, until
from tests.support.realknockd import debian_knockd

STEPS = (7000, 8000, 9000)
GUARDED_PORT = 9922  # no step: what is sent there is no knock
STARTED = "starting up, listening on"
QUIET_SECONDS = 1.0  # a log that has not grown for so long is complete
NFT, LEGACY = "/usr/sbin/iptables-nft", "/usr/sbin/iptables-legacy"

_CONFIG = """\
[options]
LogFile = {log}

[door]
Sequence = {steps}
Seq_Timeout = 15
TCPFlags = syn
Start_Command = {command}
"""
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_MEGABYTE = 1024.0  # in kB, as /proc counts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Program:
    """A daemon, and the words that start it; the options are the same for both."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmark: how thorough it is, and what takes part. ``folder`` is scratch."""

    quick: bool
    folder: Path
    progress: Progress

    def rounds(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def both(self, measure: Callable[[Program], T]) -> tuple[T, T]:
        """What ``measure`` gives for knockd, then for pyknockd."""
        knockd = Program("knockd", (str(debian_knockd() / "usr/sbin/knockd"),))
        ours = Program("pyknockd", (sys.executable, "-m", "pyknockd"))
        results = []
        for program in (knockd, ours):
            self.progress.program(program.name)
            results.append(measure(program))
        return results[0], results[1]


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time in seconds: the daemon's own, and that of its children that have ended."""

    own: float
    children: float


@dataclass(frozen=True, slots=True)
class Arena:
    """A daemon that listens, with one door of ``STEPS``, and a client that can send it anything."""

    hosts: Lab
    sender: Sender
    running: Running
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_said(self, complete: Callable[[str], bool]) -> str:
        """The log once it is complete, or has not grown for a while."""
        size, since = -1, time.monotonic()
        while True:
            now, length = time.monotonic(), self.log.stat().st_size
            if length != size:
                size, since = length, now
                if complete(self.said()):
                    break
            elif now - since > QUIET_SECONDS:
                break
            time.sleep(0.01)
        assert self.running.process.poll() is None, f"the daemon has ended:\n{self.running.text()}"
        return self.said()

    def usage(self) -> Usage:
        """proc(5): utime, stime, cutime and cstime, the 14th to 17th field of ``stat``."""
        process = Path(f"/proc/{self.running.process.pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        own, own_kernel, children, children_kernel = map(int, fields[11:15])
        # A tick is 10 ms, much to knockd; where the scheduler's own count is kept, it is in ns.
        exact = [path.read_text().split()[0] for path in process.glob("task/*/schedstat")]
        seconds = sum(map(int, exact)) / 1e9 if exact else (own + own_kernel) * _TICK
        return Usage(seconds, (children + children_kernel) * _TICK)

    def memory(self, key: str, file: str = "status") -> float:
        """A figure of /proc/PID/FILE that is given in kB, in MB."""
        text = Path(f"/proc/{self.running.process.pid}/{file}").read_text()
        for line in text.splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) / _MEGABYTE
        raise LookupError(f"no {key} in /proc/PID/{file}")


@contextmanager
def arena(bench: Bench, program: Program, command: str, firewall: str = NFT) -> Iterator[Arena]:
    """A running daemon whose door runs ``command``, behind a firewall that drops everything."""
    with stage(bench, firewall) as hosts:
        running, log = launch(hosts, program, command)
        until(lambda: _has_started(running, log), f"{program.name}: {STARTED}")
        with closing(Sender(hosts)) as sender:
            yield Arena(hosts, sender, running, log)


@contextmanager
def stage(bench: Bench, firewall: str = NFT) -> Iterator[Lab]:
    """The two hosts without a daemon; the server drops everything, and answers nothing."""
    with lab(bench.folder) as hosts:
        hosts.server.run(firewall, "-P", "INPUT", "DROP")
        yield hosts


def launch(hosts: Lab, program: Program, command: str) -> tuple[Running, Path]:
    """A daemon that has just been started, and the log file that it will write."""
    steps = ",".join(map(str, STEPS))
    config = hosts.config("")
    log = config.with_suffix(".log")
    config.write_text(_CONFIG.format(log=log, steps=steps, command=command))
    return hosts.spawn([*program.words, "-i", INTERFACE, "-c", str(config)]), log


def _has_started(running: Running, log: Path) -> bool:
    assert running.process.poll() is None, f"the daemon has ended:\n{running.text()}"
    return log.exists() and STARTED in log.read_text(errors="replace")
