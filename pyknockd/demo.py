"""``knockd --demo``: a knock from beginning to end, in two throw-away network namespaces."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NoReturn

from pyknockd import client
from pyknockd.system.netns import Namespace, connect
from pyknockd.system.process import CommandError, spawn

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
PORT = 22
KNOCKS = ("7000", "8000", "9000")
_INTERFACE = "server0"
_PROBE_SECONDS = 0.001
_SHUT_SECONDS = 0.2
_PATIENCE = 10.0
_EXAMPLE = "knockd.conf.example"
_EXAMPLE_FOLDERS = (
    Path(__file__).resolve().parent.parent,
    Path(sys.prefix) / "share/doc/pyknockd/examples",
    Path("/usr/share/doc/pyknockd/examples"),
)


class DemoError(Exception):
    """The demonstration cannot go on."""


class Stage:
    """Two hosts, the daemon on one of them, and a clock that begins with them."""

    def __init__(self, server: Namespace, client: Namespace) -> None:
        self.server = server
        self.client = client
        self.show: Callable[[], None] = lambda: None
        self._began = time.monotonic()

    def say(self, who: str, text: str) -> None:
        """One line with the time since the start."""
        print(f"{time.monotonic() - self._began:8.3f} s  {who:8} {text}", flush=True)

    def answers(self, seconds: float = _PROBE_SECONDS) -> bool:
        """Whether the server's guarded port takes a connection within ``seconds``."""
        with self.client.inside(), socket.socket() as probe:
            probe.settimeout(seconds)
            try:
                probe.connect((SERVER, PORT))
            except OSError:
                return False
            return True

    def wait_until(self, condition: Callable[[], bool], what: str) -> float:
        """How many milliseconds it took. Raises DemoError."""
        began = time.monotonic()
        while not condition():
            self.show()
            if time.monotonic() - began > _PATIENCE:
                raise DemoError(f"waited {_PATIENCE:.0f} s in vain until {what}")
        return (time.monotonic() - began) * 1000


class Output:
    """What the daemon prints, shown as it comes."""

    def __init__(self, stream: IO[bytes], say: Callable[[str, str], None]) -> None:
        os.set_blocking(stream.fileno(), False)
        self._stream = stream
        self._say = say
        self._rest = b""
        self.seen = ""

    def show(self) -> None:
        """Show what has come since the last time."""
        data = self._stream.read() or b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            self.seen += f"{text}\n"
            self._say("knockd", text)

    def has(self, text: str) -> bool:
        self.show()
        return text in self.seen


def main() -> int:
    """Run it. Returns the exit status."""
    if os.geteuid() != 0:
        print("knockd: --demo needs root, to make network namespaces: try sudo", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with _hosts() as stage:
            _show(stage)
    except KeyboardInterrupt:
        print("\ninterrupted; the namespaces are gone", file=sys.stderr)
        return 130
    except (CommandError, DemoError, OSError) as error:
        print(f"knockd: the demo cannot go on: {error}", file=sys.stderr)
        return 1
    return 0


def _interrupt(number: int, frame: object) -> NoReturn:
    # Once: an impatient second Ctrl-C must not cut the cleaning up short.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _hosts() -> Iterator[Stage]:
    with ExitStack() as stack:
        name = f"knockd-demo-{os.getpid()}"
        server = Namespace(f"{name}-server")
        stack.callback(server.delete)
        visitor = Namespace(f"{name}-client")
        stack.callback(visitor.delete)
        connect(server, _INTERFACE, visitor, "client0")
        server.ip("addr", "add", f"{SERVER}/24", "dev", _INTERFACE)
        visitor.ip("addr", "add", f"{CLIENT}/24", "dev", "client0")
        yield Stage(server, visitor)


def _show(stage: Stage) -> None:
    with ExitStack() as stack:
        stage.say("demo", f"two hosts that nobody else sees: server {SERVER}, client {CLIENT}")
        with stage.server.inside():
            stack.enter_context(socket.create_server((SERVER, PORT)))
        drop = ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", str(PORT), "-j", "DROP"]
        stage.server.run(*drop)
        stage.say("server", f"listens on port {PORT}, behind: {' '.join(drop)}")
        config = stack.enter_context(_config())
        stage.say("server", f"starts knockd with {_EXAMPLE}")
        daemon = _daemon(stage, config, stack)
        output = Output(daemon, stage.say)
        stage.show = output.show
        stage.wait_until(lambda: output.has("starting up, listening on"), "knockd listens")
        _expect_shut(stage)
        _knock(stage, KNOCKS)
        opened = stage.wait_until(stage.answers, f"port {PORT} opens")
        output.show()
        stage.say("client", f"port {PORT} is OPEN, seen {opened:.1f} ms after the last knock")
        _knock(stage, KNOCKS[::-1])
        stage.wait_until(lambda: not stage.answers(), f"port {PORT} closes")
        output.show()
        _expect_shut(stage)
    stage.say("demo", "over; the two hosts are gone, and your own firewall was never touched")


def _expect_shut(stage: Stage) -> None:
    if stage.answers(_SHUT_SECONDS):
        raise DemoError(f"port {PORT} is open and should be shut")
    stage.say("client", f"port {PORT} is SHUT: no answer")


def _knock(stage: Stage, ports: tuple[str, ...]) -> None:
    stage.say("client", f"knock {SERVER} {' '.join(ports)}")
    with stage.client.inside():
        status = client.main([SERVER, *ports])
    if status == client.INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise DemoError("the knocks could not be sent")


def _daemon(stage: Stage, config: Path, stack: ExitStack) -> IO[bytes]:
    """The real daemon on the server; what it prints."""
    program = [sys.executable, "-m", "pyknockd", "-i", _INTERFACE, "-c", str(config), "-v"]
    # The journal is the demo's own, and so are the settings: none.
    state = ["env", f"STATE_DIRECTORY={config.parent}"]
    process = spawn([*stage.server.prefix, *state, *program, "--settings", os.devnull])
    stack.callback(process.wait)
    stack.callback(process.terminate)
    if process.stdout is None:
        raise DemoError("knockd has no output")
    return process.stdout


@contextmanager
def _config() -> Iterator[Path]:
    """The example as it is, but for the syslog, which is the machine's own and not the server's."""
    for folder in _EXAMPLE_FOLDERS:
        if (folder / _EXAMPLE).is_file():
            break
    else:
        raise DemoError(f"{_EXAMPLE} is neither in {' nor in '.join(map(str, _EXAMPLE_FOLDERS))}")
    lines = (folder / _EXAMPLE).read_text().splitlines()
    kept = [line for line in lines if line.strip().lower() != "usesyslog"]
    with tempfile.TemporaryDirectory(prefix="knockd-demo-") as scratch:
        path = Path(scratch, "knockd.conf")
        path.write_text("\n".join(kept) + "\n")
        path.chmod(0o600)
        yield path
