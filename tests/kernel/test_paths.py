"""What `--check` does with the paths in a file, which may be another's, and where relative ones begin."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import INTERFACE, ROOT, Lab, until

ENTRY = (
    f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from pyknockd.cli import main; sys.exit(main())"
)
KNOCKD = [sys.executable, "-I", "-c", ENTRY]
DOORS = """[options]
LogFile = knockd.log
PidFile = knockd.pid
[once]
one_time_sequences = once
tcpflags = syn
command = true
[often]
sequence = 6000
tcpflags = syn
command = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration whose paths are relative."""
    made = tmp_path / "folder"
    made.mkdir()
    for name, text in (("knockd.conf", DOORS), ("once", "7000,7001\n8000,8001\n")):
        (made / name).write_text(text)
        (made / name).chmod(0o600)
    (made / "settings.yaml").write_text("limits:\n  commands: 3\n")
    return made


def check(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = [*KNOCKD, "--check", *options]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_check_runs_no_program_that_the_file_names(hosts: Lab, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    program = tmp_path / "xtables-nft-multi"
    program.write_text(f"#!/bin/sh\necho run >>{marker}\necho 'iptables v1.8.9 (nf_tables)'\n")
    program.chmod(0o755)
    (tmp_path / "iptables").symlink_to(program)
    config = hosts.config(
        f"[d]\nsequence = 7000\ncommand = {tmp_path}/iptables -A INPUT -s %IP% -j ACCEPT\n"
    )
    os.chown(config, 65534, 65534)
    checked = hosts.spawn([*KNOCKD, "--check", "-c", str(config)])
    assert checked.process.wait(30) == 0, checked.text()
    assert not marker.exists()


@pytest.fixture
def told_of_leases() -> Iterator[None]:
    """A broken lease is told with a signal, fcntl(2)."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


def test_a_check_opens_nothing_for_writing_and_makes_nothing(
    folder: Path, told_of_leases: None
) -> None:
    before = contents(folder)
    files = [(folder / name).open("rb") for name in before]
    for file in files:
        # Holds only as long as nobody opens the file for writing.
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    done = check(folder, "-c", "knockd.conf", "--settings", "settings.yaml")
    assert done.returncode == 0, done.stderr
    assert [fcntl.fcntl(file, fcntl.F_GETLEASE) for file in files] == [fcntl.F_RDLCK] * len(files)
    for file in files:
        file.close()
    assert contents(folder) == before


def test_relative_paths_begin_where_the_check_is_started(folder: Path) -> None:
    assert check(folder, "-c", "knockd.conf", "--settings", "settings.yaml").returncode == 0
    (folder / "settings.yaml").write_text("nonsense: 1\n")
    done = check(folder, "-c", "knockd.conf", "--settings", "settings.yaml")
    assert done.returncode == 1
    assert "\nsettings.yaml:1: " in done.stderr
    assert check(folder.parent, "-c", "knockd.conf").returncode == 1


@pytest.mark.parametrize("background", [False, True])
def test_relative_paths_begin_where_the_daemon_is_started(
    hosts: Lab, folder: Path, background: bool
) -> None:
    words = [*KNOCKD, "-i", INTERFACE, "-c", "knockd.conf", "--settings", "settings.yaml"]
    words += ["-d"] if background else []
    started = hosts.spawn(["env", f"--chdir={folder}", *words])
    if background:
        assert started.process.wait(10) == 0, started.text()
    log, pid = folder / "knockd.log", folder / "knockd.pid"
    until(lambda: log.exists() and "starting up" in log.read_text(), "the log is in the folder")
    process = int(pid.read_text()) if background else started.process.pid
    hosts.knock(7000, 7001)
    until(lambda: "once: OPEN SESAME" in log.read_text(), "the one-time sequence opens")
    until(lambda: (folder / "once").read_text().startswith("#"), "it is marked as used")
    (folder / "knockd.conf").write_text(DOORS.replace("often", "always"))
    os.kill(process, signal.SIGHUP)
    until(lambda: "re-opening log file" in log.read_text(), "the reload")
    hosts.knock(6000)
    until(lambda: "always: OPEN SESAME" in log.read_text(), "the door of the changed file")
    hosts.knock(8000, 8001)
    until(lambda: log.read_text().count("once: OPEN SESAME") == 2, "the next one-time sequence")
    assert "stays shut" not in log.read_text()
    (folder / "once").write_text("7000,7001\n8000,8001\n9000,9001\n")
    os.kill(process, signal.SIGHUP)
    until(lambda: log.read_text().count("re-opening log file") == 2, "the second reload")
    (folder / "once").unlink()
    hosts.knock(7000, 7001)
    # In the foreground too: a thread opens it, and the folder belongs to the whole process.
    until(lambda: f"the door stays shut: {folder}/once: " in log.read_text(), "it is missed there")
    os.kill(process, signal.SIGTERM)
    until(lambda: log.read_text().rstrip().endswith("shutting down"), "the end")
