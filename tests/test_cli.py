"""The command line, and what is said when something is wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyknockd.cli import main
from tests.lab import INTERFACE, ROOT, Lab, until
from tests.oracle import read_config
from tests.realknockd import debian_knockd
from tests.support.nobody import as_nobody

GOOD = (
    "[options]\nInterface = nowhere0\n[ssh]\nsequence = 7000,8000\ntcpflags = syn\ncommand = true\n"
)
BAD = "[ssh]\nsequense = 7000\ntcpflags = syn, ack\n[web]\nsequence = 70000\ncommand = true\n"


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "good.conf"
    path.write_text(GOOD)
    path.chmod(0o640)
    return str(path)


def knockd(*options: str, **more: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pyknockd", *options]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload, no-any-return]


def test_the_version_begins_with_knockds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-V"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "knockd 0.8"


def test_help_names_every_option_of_knockd(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-h"])
    assert ended.value.code == 0
    ours = capsys.readouterr().out
    theirs = subprocess.run(
        [debian_knockd() / "usr/sbin/knockd", "-h"], capture_output=True, text=True, check=False
    )
    options = re.findall(r"^  (-\w), (--[\w-]+)", theirs.stdout, re.MULTILINE)
    assert len(options) == 11
    assert all(f"{short}" in ours and long in ours for short, long in options)


@pytest.mark.parametrize("words", [["-x"], ["--nonsense"], ["-c"], ["-Dx"]])
def test_an_unknown_option_prints_the_usage_and_ends_with_2(words: list[str]) -> None:
    done = knockd(*words)
    assert done.returncode == 2
    assert "usage: knockd" in done.stderr


def test_operands_are_ignored_as_knockd_ignores_them(good: str) -> None:
    assert main(["--check", "-c", good, "stray"]) == 0


def test_every_mistake_is_reported_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.conf"
    path.write_text(BAD)
    path.chmod(0o600)
    assert main(["--check", "-c", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{n}" for n in (1, 2, 3, 4, 5)]
    assert "sequence" in lines[1]
    assert "expected" in lines[1]


def test_a_file_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "/nowhere/knockd.conf"]) == 1
    expected = "knockd: cannot read /nowhere/knockd.conf: No such file or directory\n"
    assert capsys.readouterr().err == expected


def test_check_prints_what_knockd_prints_and_starts_nothing(
    good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", "-D", "-c", good]) == 0
    theirs = [line for line in read_config(GOOD).stdout if line.startswith("config: ")]
    assert capsys.readouterr().out.splitlines() == theirs


def test_check_needs_no_root() -> None:
    done = as_nobody("--check", config=GOOD)
    assert done.returncode == 0
    assert "everybody can read" in done.stderr


def test_without_root_one_line_says_so() -> None:
    done = as_nobody("-i", "lo", config=GOOD)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "knockd: listening on lo needs root"


def test_warnings_are_told_and_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.conf"
    path.write_text("[a]\nsequence = 7000,ssh,9000 # mine\nseq_timeout = 0\n")
    assert main(["--check", "-c", str(path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert f"{path}:2: warning: 'ssh' is read as port 0" in lines
    assert any("9000" in line and "ignored" in line for line in lines)
    assert any(line.startswith(f"{path}:3: warning: a timeout of 0") for line in lines)


def test_what_is_surely_not_meant_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.conf"
    path.write_text("[a]\nsequence = 1\ncommand = /sbin/iptabels -I INPUT -s %ip% -j ACCEPT\n")
    path.chmod(0o600)
    assert main(["--check", "-c", str(path)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"{path}:3: warning: %ip% stays as it is; only %IP% is replaced"
    assert told[1] == f"{path}: warning: no such program: /sbin/iptabels"


def test_bytes_that_are_no_text_are_printed_as_they_are(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "bytes.conf"
    path.write_bytes(b"[d\xfcr]\nsequence = 1\n")
    assert main(["--check", "-D", "-c", str(path)]) == 0
    assert b"config: new section: 'd\xfcr'\n" in capfdbinary.readouterr().out


def test_a_file_that_others_can_read_or_change_is_a_warning(
    good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chmod(good, 0o600)
    assert main(["--check", "-c", good]) == 0
    assert capsys.readouterr().err == ""
    os.chmod(good, 0o666)
    assert main(["--check", "-c", good]) == 0
    told = capsys.readouterr().err
    assert f"{good}: warning: everybody can read the sequences; try: chmod o-r {good}" in told
    assert f"{good}: warning: others can change what root runs; try: chmod go-w {good}" in told


def test_a_missing_interface_is_named_with_those_there_are(hosts: Lab, good: str) -> None:
    daemon = hosts.spawn([sys.executable, "-m", "pyknockd", "-v", "-c", good])
    text = f"there is no interface nowhere0 (there are: lo, {INTERFACE}): waiting for it"
    daemon.wait_for(text)
    assert daemon.stop() == 0
    assert daemon.lines() == [text, "shutting down"]


def test_detached_it_returns_when_it_listens(hosts: Lab, tmp_path: Path) -> None:
    pid_file, log = tmp_path / "knockd.pid", tmp_path / "knockd.log"
    config = hosts.config(f"[options]\nPidFile = {pid_file}\nLogFile = {log}\n{GOOD}")
    words = [sys.executable, "-m", "pyknockd", "-d", "-i", INTERFACE, "-c", str(config)]
    starter = hosts.spawn(words)
    assert starter.process.wait(10) == 0
    assert f"starting up, listening on {INTERFACE}" in log.read_text()
    pid = int(pid_file.read_text())
    try:
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
        second = hosts.spawn(words)
        assert second.process.wait(10) == 1
        assert second.lines()[-1] == f"knockd: already running: process {pid} holds {pid_file}"
        assert int(pid_file.read_text()) == pid
        hosts.knock(7000, 8000)
        until(lambda: "OPEN SESAME" in log.read_text(), "the door opens")
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not pid_file.exists(), "the pid file is gone")
    until(lambda: not Path(f"/proc/{pid}").exists(), "the daemon is gone")


def test_under_a_service_manager_it_stays_where_it_is(hosts: Lab, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pyknockd", "-d", "-v", "-i", INTERFACE]
    config = hosts.config(GOOD)
    daemon = hosts.spawn(["env", f"NOTIFY_SOCKET={tmp_path}/none", *words, "-c", str(config)])
    daemon.wait_for("starting up, listening on")
    assert daemon.process.poll() is None
    assert daemon.stop() == 0


def test_detached_a_failure_shows_in_the_status(hosts: Lab, tmp_path: Path) -> None:
    pid_file = tmp_path / "knockd.pid"
    config = hosts.config(GOOD.replace("nowhere0", INTERFACE))
    words = [sys.executable, "-m", "pyknockd", "-d", "-p", str(pid_file), "-c", str(config)]
    starter = hosts.spawn(["setpriv", "--bounding-set=-net_raw", *words])
    assert starter.process.wait(10) == 1
    assert starter.lines()[-1] == "knockd: listening on server0 needs root"
    assert not pid_file.exists()


def test_a_pid_file_that_cannot_be_written_does_not_stop_it(hosts: Lab, tmp_path: Path) -> None:
    log = tmp_path / "knockd.log"
    options = ["-d", "-p", "/nowhere/knockd.pid", "-g", str(log), "-i", INTERFACE]
    config = hosts.config(GOOD)
    starter = hosts.spawn([sys.executable, "-m", "pyknockd", *options, "-c", str(config)])
    assert starter.process.wait(10) == 0
    lines = log.read_text()
    assert "could not create pid file /nowhere/knockd.pid: No such file or directory" in lines
    found = subprocess.run(
        ["pgrep", "-f", "--", f"-c {config}"], capture_output=True, text=True, check=True
    )
    os.kill(int(found.stdout), signal.SIGTERM)
    until(lambda: "shutting down" in log.read_text(), "it ends")


def test_the_file_wins_over_the_options_but_for_the_interface(hosts: Lab, tmp_path: Path) -> None:
    first, second = tmp_path / "file.log", tmp_path / "option.log"
    daemon = hosts.start(
        f"[options]\nLogFile = {first}\nInterface = nowhere0\n{GOOD}", "-g", str(second)
    )
    until(lambda: "starting up" in first.read_text(), "the line is in the file")
    assert not second.exists()
    assert daemon.stop() == 0
