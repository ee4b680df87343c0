"""The demonstration, as whoever has just cloned the repository runs it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.lab import PATIENCE, ROOT, Lab, until
from tests.support.nobody import as_nobody

DEMO = [sys.executable, "-m", "pyknockd", "--demo"]


def namespaces(pid: int) -> list[str]:
    """Those of the demo that ran, or runs, as this process."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line for line in names.stdout.splitlines() if line.startswith(f"knockd-demo-{pid}-")]


def test_the_demo_shows_a_door_shut_open_and_shut(hosts: Lab) -> None:
    before = hosts.client.run("iptables", "-S")
    with subprocess.Popen(
        DEMO, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        printed, complaints = running.communicate()
    assert (running.returncode, complaints) == (0, "")
    texts = ["SHUT", "knock", "Stage 3", "OPEN SESAME", "OPEN", "knock", "OPEN SESAME", "SHUT"]
    texts += [
        "firewall was never touched",
        "Next",
        "knockd --check",
        "keep a session",
        "ESTABLISHED",
    ]
    remaining = iter(printed.splitlines())
    assert all(any(text in line for line in remaining) for text in texts)
    assert max(map(len, printed.splitlines())) <= 100
    assert "\033" not in printed
    assert namespaces(running.pid) == []
    assert hosts.client.run("iptables", "-S") == before


def on_a_terminal(**environment: str) -> str:
    """What the demo writes to a terminal of 120 columns."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    with subprocess.Popen(
        DEMO, cwd=ROOT, stdout=end, stderr=end, env={**inherited, "TERM": "xterm", **environment}
    ):
        os.close(end)
        written = b""
        # Once nobody has the other end open, Linux answers EIO.
        with open(terminal, "rb", buffering=0) as screen, suppress(OSError):
            while data := screen.read(4096):
                written += data
    return written.decode()


def test_on_a_terminal_open_and_shut_have_colours(hosts: Lab) -> None:
    written = on_a_terminal()
    for text in ("\033[1;31mSHUT\033[0m", "\033[1;32mOPEN SESAME\033[0m", "\033[1;32mOPEN\033[0m,"):
        assert text in written
    lines = re.sub("\033\\[[0-9;]*m", "", written).splitlines()
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(hosts: Lab, environment: dict[str, str]) -> None:
    written = on_a_terminal(**environment)
    assert "OPEN SESAME" in written
    assert "\033" not in written


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name fits a line."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_where_the_daemon_does_not_start_the_demo_ends_with_the_daemons_own_words(
    hosts: Lab, short_path: Path
) -> None:
    """Run by a Python that does not see Debian's packages, as pyenv's and conda's do not."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", short_path / "bare"], check=True)
    python = str(short_path / "bare/bin/python")
    done = subprocess.run(
        [python, *DEMO[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "knockd: the demo cannot go on: knockd ended with status 1, see above\n"
    assert max(map(len, done.stdout.splitlines())) <= 100
    said = " ".join(done.stdout.split())
    assert f"No module named 'scapy' for {python}: use /usr/bin/python3 instead" in said
    assert "apt-get install --no-install-recommends python3-scapy" in said


PLANT = (
    "import os; open(os.environ['PLANTED'], 'w').close(); raise SystemExit('planted code ran')\n"
)
# As the installed program begins: isolated, the package found where it belongs.
INSTALLED = [
    *(sys.executable, "-I", "-c"),
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pyknockd; del sys.path[0];"
    " from pyknockd.cli import main; sys.exit(main(['--demo']))",
]


def test_no_code_is_taken_from_the_folder_the_environment_or_the_home(
    hosts: Lab, tmp_path: Path
) -> None:
    """Neither by the demo nor by the daemon that it starts."""
    for folder in ("here", "path", "home"):
        site = tmp_path / folder
        if folder == "home":
            site /= f".local/lib/python3.{sys.version_info.minor}/site-packages"
        (site / "pyknockd").mkdir(parents=True)
        for name in ("argparse", "usercustomize", "pyknockd/__init__", "pyknockd/__main__"):
            (site / f"{name}.py").write_text(PLANT)
    planted = tmp_path / "planted"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "path"),
        "HOME": str(tmp_path / "home"),
        "PLANTED": str(planted),
    }
    done = subprocess.run(
        INSTALLED, cwd=tmp_path / "here", env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "OPEN SESAME" in done.stdout
    assert not planted.exists()


@pytest.mark.parametrize("moment", ["two hosts", "starts knockd", "port 22 is SHUT"])
def test_an_interrupted_demo_leaves_nothing_behind(hosts: Lab, moment: str) -> None:
    running = subprocess.Popen(
        ["env", "--default-signal=INT", *DEMO],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    assert any(moment in line for line in running.stdout)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert namespaces(running.pid) == []
    leftover = ["pgrep", "-f", f"knockd-demo-{running.pid}-"]
    until(
        lambda: subprocess.run(leftover, capture_output=True).returncode == 1, "no process is left"
    )


def test_without_root_the_demo_says_so() -> None:
    done = as_nobody("--demo")
    assert done.returncode == 1
    assert done.stderr == "knockd: --demo needs root, to make network namespaces: try sudo\n"
