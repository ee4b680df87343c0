"""The demo's screen, and how it follows the daemon, without two hosts."""

from __future__ import annotations

import fcntl
import pty
import struct
import sys
import termios
from contextlib import suppress

import pytest

from pyknockd.demo import Daemon, DemoError, Screen, need_programs, wait_until
from pyknockd.system.process import spawn

WAY = "nf_tables, by the program: python3-nftables cannot be loaded: No module named 'nftables'"
LONG = f"""\
firewall: /sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT: {WAY}
firewall: /sbin/ip6tables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT: {WAY}
openSSH: running command: /sbin/iptables -I INPUT -s 10.77.0.2 -p tcp --dport 22 -j ACCEPT
"""


def daemon_that(script: str) -> Daemon:
    """A program in the daemon's place."""
    return Daemon(spawn(["/bin/sh", "-c", script]), Screen().say)


def test_a_daemon_that_ends_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    daemon = daemon_that("echo cannot listen; exit 3")
    with pytest.raises(DemoError, match="knockd ended with status 3, see above"):
        wait_until(daemon, lambda: daemon.says("listening"), "knockd listens")
    assert "knockd  cannot listen" in capsys.readouterr().out


def test_a_daemon_that_ends_later_is_not_waited_for_either() -> None:
    daemon = daemon_that("echo listening; read nothing; exit 1")
    with pytest.raises(DemoError, match="knockd ended with status 1"):
        wait_until(daemon, lambda: False, "a port opens")


def test_long_lines_are_broken_at_blanks_and_nothing_is_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    daemon = daemon_that(f'cat <<"END"\n{LONG}END\n')
    with pytest.raises(DemoError):
        wait_until(daemon, lambda: False, "it has ended")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    said = " ".join(" ".join(lines).split())
    assert said.count(f"knockd firewall: {WAY}") == 1, "commands that run alike are one line"
    assert LONG.splitlines()[-1] in said
    assert not any(line.endswith("-") for line in lines), "an option is not broken at its hyphen"


def test_a_narrow_terminal_is_not_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
    with open(end, "w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        Screen().say("knockd", "words " * 40)
    written = b""
    # Once nobody has the other end open, Linux answers EIO.
    with open(terminal, "rb", buffering=0) as screen, suppress(OSError):
        while data := screen.read(4096):
            written += data
    lines = written.decode().splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 72


def test_programs_that_are_missing_are_named_with_their_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DemoError) as raised:
        need_programs()
    assert str(raised.value) == (
        "there is no ip and no iptables:"
        " try: apt-get install --no-install-recommends iproute2 iptables"
    )
