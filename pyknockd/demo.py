"""``knockd --demo``: a knock from beginning to end, in two throw-away network namespaces."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from pyknockd import client
from pyknockd.system.netns import Namespace, connect
from pyknockd.system.process import CommandError, Process, spawn
from pyknockd.system.text import is_plain

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
PORT = 22
KNOCKS = ("7000", "8000", "9000")
MOST_COLUMNS = 100
_INTERFACE = "server0"
_PROBE_SECONDS = 0.001
_SHUT_SECONDS = 0.2
_PATIENCE = 10.0
_PACKAGES = {"ip": "iproute2", "iptables": "iptables"}  # program → Debian's package
_EXAMPLE = "knockd.conf.example"
_CHECKOUT = Path(__file__).resolve().parent.parent
_EXAMPLE_FOLDERS = (
    _CHECKOUT,
    Path(sys.prefix) / "share/doc/pyknockd/examples",
    Path("/usr/share/doc/pyknockd/examples"),
)
_GUIDES = (_CHECKOUT / "README.md", Path("/usr/share/doc/pyknockd/README.md"))
# The daemon by this Python (-I) and from this very package: the folder, the environment and the
# home of whoever runs the demo do not decide which code that is.
_RUN = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import pyknockd; del sys.path[0];"
    " from pyknockd.cli import main; sys.exit(main())"
)
_GREEN, _RED, _PLAIN = "\033[1;32m", "\033[1;31m", "\033[0m"
_COLOURS = {"OPEN SESAME": _GREEN, "OPEN": _GREEN, "SHUT": _RED}
_COLOURED = re.compile(r"\b(OPEN SESAME|OPEN|SHUT)\b")
_NEXT = """
Next, as root; {guide} has it at length, under "First steps":

  install    if you have not yet: build the package and install it
  doors      write them in /etc/knockd.conf; see what is made of them: knockd --check
  a way back keep a session to the host open until a knock has let you in
  shut       accept what is ESTABLISHED, then drop the port, over IPv4 and IPv6
  start      START_KNOCKD=1 in /etc/default/knockd, then: systemctl restart knockd
  knock      from another machine: knock HOST PORT PORT PORT && ssh HOST
"""


class DemoError(Exception):
    """The demonstration cannot go on."""


class Screen:
    """Standard output: lines with the time since the start, and colours where they are wanted."""

    def __init__(self) -> None:
        on_terminal = sys.stdout.isatty()
        self._coloured = on_terminal and not is_plain(os.environ)
        columns = os.get_terminal_size(sys.stdout.fileno()).columns if on_terminal else 0
        self._columns = min(columns or MOST_COLUMNS, MOST_COLUMNS)
        self._began = time.monotonic()

    def say(self, who: str, text: str) -> None:
        """What ``who`` does or says, broken at blanks where it is too long for a line."""
        margin = f"{time.monotonic() - self._began:6.3f} s  {who:6}  "
        room = max(self._columns - len(margin), 20)
        lines = textwrap.wrap(text, room, subsequent_indent="  ", break_on_hyphens=False)
        for line in lines or [""]:
            print(self._paint(margin + line) if self._coloured else margin + line, flush=True)
            margin = " " * len(margin)

    def _paint(self, line: str) -> str:
        return _COLOURED.sub(lambda word: f"{_COLOURS[word[0]]}{word[0]}{_PLAIN}", line)


class Daemon:
    """The daemon's process, and what it prints, shown as it comes."""

    def __init__(self, process: Process, say: Callable[[str, str], None]) -> None:
        """``process`` is one of ``spawn``'s. Raises DemoError."""
        if process.stdout is None:
            raise DemoError("knockd has no output")
        self._process = process
        self._stream = process.stdout
        os.set_blocking(self._stream.fileno(), False)
        self._say = say
        self._rest = b""
        self._ways: set[str] = set()  # in which commands will be run
        self._seen = ""

    def show(self) -> None:
        """Show what has come since the last time. Raises DemoError if the daemon has ended."""
        status = self._process.poll()  # before the reading: what it said last is shown as well
        data = self._stream.read() or b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._show_line(line.decode(errors="replace"))
        if status is not None:
            raise DemoError(f"knockd ended with status {status}, see above")

    def says(self, text: str) -> bool:
        """Whether ``text`` has come. Waits a moment for more if not. Raises DemoError."""
        self.show()
        if text not in self._seen:
            select.select([self._stream], [], [], 0.05)
        return text in self._seen

    def _show_line(self, text: str) -> None:
        self._seen += f"{text}\n"
        if text.startswith("firewall: "):
            # "firewall: COMMAND: how it will be run": the commands are long, and run alike.
            way = text.rpartition("%IP%")[2].partition(": ")[2]
            text = f"firewall: {way}" if way else text
            if text in self._ways:
                return
            self._ways.add(text)
        self._say("knockd", text)


class Stage:
    """Two hosts, and the daemon on one of them."""

    def __init__(self, server: Namespace, client: Namespace, screen: Screen) -> None:
        self.server = server
        self.client = client
        self.say = screen.say

    def answers(self, seconds: float = _PROBE_SECONDS) -> bool:
        """Whether the server's guarded port takes a connection within ``seconds``."""
        with self.client.inside(), socket.socket() as probe:
            probe.settimeout(seconds)
            try:
                probe.connect((SERVER, PORT))
            except OSError:
                return False
            return True


def wait_until(daemon: Daemon, condition: Callable[[], bool], what: str) -> float:
    """How many milliseconds it took. Raises DemoError, at once if the daemon ends meanwhile."""
    began = time.monotonic()
    while not condition():
        daemon.show()
        if time.monotonic() - began > _PATIENCE:
            raise DemoError(f"waited {_PATIENCE:.0f} s in vain until {what}")
    return (time.monotonic() - began) * 1000


def main() -> int:
    """Run it. Returns the exit status."""
    if os.geteuid() != 0:
        print("knockd: --demo needs root, to make network namespaces: try sudo", file=sys.stderr)
        return 1
    # After "su" the folders of root's programs are missing.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        need_programs()
        with _hosts() as stage:
            _show(stage)
    except KeyboardInterrupt:
        print("\ninterrupted; the namespaces are gone", file=sys.stderr)
        return 130
    except (CommandError, DemoError, OSError) as error:
        print(f"knockd: the demo cannot go on: {error}", file=sys.stderr)
        return 1
    guide = next((path for path in _GUIDES if path.is_file()), Path("README.md"))
    print(_NEXT.format(guide=guide), end="")
    return 0


def _interrupt(number: int, frame: object) -> NoReturn:
    # Once: an impatient second Ctrl-C must not cut the cleaning up short.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def need_programs() -> None:
    """Raises DemoError, with the command that gets them, if programs are missing."""
    missing = [program for program in _PACKAGES if shutil.which(program) is None]
    if missing:
        packages = " ".join(_PACKAGES[program] for program in missing)
        raise DemoError(
            f"there is no {' and no '.join(missing)}:"
            f" try: apt-get install --no-install-recommends {packages}"
        )


@contextmanager
def _hosts() -> Iterator[Stage]:
    with ExitStack() as stack:
        screen = Screen()
        name = f"knockd-demo-{os.getpid()}"
        server = Namespace(f"{name}-server")
        stack.callback(server.delete)
        visitor = Namespace(f"{name}-client")
        stack.callback(visitor.delete)
        connect(server, _INTERFACE, visitor, "client0")
        server.ip("addr", "add", f"{SERVER}/24", "dev", _INTERFACE)
        visitor.ip("addr", "add", f"{CLIENT}/24", "dev", "client0")
        yield Stage(server, visitor, screen)


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
        daemon = _start(stage, config, stack)
        wait_until(daemon, lambda: daemon.says("starting up, listening on"), "knockd listens")
        _expect_shut(stage)
        _knock(stage, KNOCKS)
        opened = wait_until(daemon, stage.answers, f"port {PORT} opens")
        daemon.show()
        stage.say("client", f"port {PORT} is OPEN, seen {opened:.1f} ms after the last knock")
        _knock(stage, KNOCKS[::-1])
        wait_until(daemon, lambda: not stage.answers(), f"port {PORT} closes")
        daemon.show()
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


def _start(stage: Stage, config: Path, stack: ExitStack) -> Daemon:
    """The real daemon on the server, until ``stack`` ends it."""
    program = [sys.executable, "-I", "-c", _RUN, str(_CHECKOUT)]
    options = ["-i", _INTERFACE, "-c", str(config), "-v"]
    # The journal and the socket are the demo's own, and so are the settings: none.
    state = ["env", f"STATE_DIRECTORY={config.parent}", f"RUNTIME_DIRECTORY={config.parent}"]
    process = spawn([*stage.server.prefix, *state, *program, *options, "--settings", os.devnull])
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return Daemon(process, stage.say)


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
