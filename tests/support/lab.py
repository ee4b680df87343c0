"""A server and a client in network namespaces of their own, and daemons to run on the server."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pyknockd.system.netns import Namespace, connect
from pyknockd.system.process import output

ROOT = Path(__file__).resolve().parents[2]
SERVER_4, CLIENT_4 = "10.77.0.1", "10.77.0.2"
SERVER_6, CLIENT_6 = "fd77::1", "fd77::2"
INTERFACE = "server0"
PATIENCE = 60.0  # seconds until a thing that must happen has not happened, on whatever machine

T = TypeVar("T")
_numbers = itertools.count()


def until(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Wait until ``condition()`` is true and return what it gives."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain for: {what}"
        time.sleep(0.002)


@dataclass
class Running:
    """A daemon under test and what it has printed."""

    process: subprocess.Popen[bytes]
    path: Path

    def text(self) -> str:
        return self.path.read_text(errors="replace")

    def lines(self) -> list[str]:
        return self.text().splitlines()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until it has printed ``text`` so many times; fails at once if it has ended."""

        def seen() -> bool:
            if self.text().count(text) >= times:
                return True
            assert self.process.poll() is None, f"the daemon has ended:\n{self.text()}"
            return False

        try:
            until(seen, text)
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe daemon said:\n{self.text()}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@dataclass
class Lab:
    """``server`` and ``client``, joined by a cable, with an address of each family."""

    server: Namespace
    client: Namespace
    folder: Path
    daemons: list[Running] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """A daemon's, so that its journal and its socket lie here and not among the machine's own."""
        own = {"STATE_DIRECTORY": "state", "RUNTIME_DIRECTORY": "run"}
        return {**os.environ, **{name: str(self.folder / place) for name, place in own.items()}}

    def config(self, text: str) -> Path:
        path = self.folder / f"knockd-{next(_numbers)}.conf"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def start(self, config: str | Path, *options: str, wait: bool = True) -> Running:
        """The daemon, on the server, once it listens."""
        path = config if isinstance(config, Path) else self.config(config)
        settings = ["--settings", str(self.folder / "pyknockd.yaml")]
        words = [
            sys.executable,
            "-m",
            "pyknockd",
            "-i",
            INTERFACE,
            "-c",
            str(path),
            "-v",
            *settings,
        ]
        words += options
        running = self.spawn(words)
        if wait:
            running.wait_for("starting up, listening on")
        return running

    def spawn(self, words: list[str]) -> Running:
        """Any program on the server, its output in a file."""
        path = self.folder / f"output-{next(_numbers)}"
        with path.open("wb") as file:
            process = subprocess.Popen(
                [*self.server.prefix, *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self.environment,
            )
        running = Running(process, path)
        self.daemons.append(running)
        return running

    def knock(self, *ports: str | int, host: str = SERVER_4, options: tuple[str, ...] = ()) -> None:
        """Our own client, on the client."""
        words = [sys.executable, "-m", "pyknockd.client", *options, host, *map(str, ports)]
        subprocess.run([*self.client.prefix, *words], check=True, cwd=ROOT)

    def listen(self, port: int, host: str = SERVER_4) -> socket.socket:
        """A listening socket on the server."""
        with self.server.inside():
            return socket.create_server((host, port), family=_family(host))

    def reaches(self, port: int, host: str = SERVER_4, seconds: float = 0.2) -> bool:
        """Whether a TCP connection from the client comes about within ``seconds``."""
        with self.client.inside(), socket.socket(_family(host), socket.SOCK_STREAM) as probe:
            probe.settimeout(seconds)
            try:
                probe.connect((host, port))
            except OSError:
                return False
            return True

    def rules(self, program: str = "iptables") -> list[str]:
        """The rules on the server, policies left out."""
        lines = self.server.run(program, "-S").splitlines()
        return [line for line in lines if line.startswith("-A")]

    def close(self) -> None:
        for running in self.daemons:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait(PATIENCE)
        for pid in output(["ip", "netns", "pids", self.server.name]).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)  # what detached itself from us
        self.client.delete()
        self.server.delete()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Two hosts; gone afterwards, with every process in them that was started here."""
    name = f"pk{os.getpid()}-{next(_numbers)}"
    server = Namespace(f"{name}-s")
    try:
        client = Namespace(f"{name}-c")
        made = Lab(server, client, folder)
        try:
            connect(server, INTERFACE, client, "client0")
            for host, interface, v4, v6 in (
                (server, INTERFACE, SERVER_4, SERVER_6),
                (client, "client0", CLIENT_4, CLIENT_6),
            ):
                host.ip("addr", "add", f"{v4}/24", "dev", interface)
                host.ip("addr", "add", f"{v6}/64", "dev", interface, "nodad")
            yield made
        finally:
            made.close()
    finally:
        server.delete()
