"""Root starts knockd among another user's traps, and none of that user's code runs.

A trap is what an environment that was kept (`sudo -E`, `su -m`), the home that it names, or the
folder where root happens to be would have root run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyknockd.doors.journal import Journal
from pyknockd.doors.opening import Opening, Plan, State
from pyknockd.model import Change, ChangeKind
from tests.support.lab import CLIENT_4, INTERFACE, ROOT, Lab, Running, until
from tests.support.stranger import (
    TRAPS,
    Start,
    Stranger,
    a_folder_of_libraries,
    a_path,
    a_stranger,
    pythons_traps,
)

# What a package installs: Python in isolated mode, and the entry point.
ENTRY = (
    f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from pyknockd.cli import main; sys.exit(main())"
)
KNOCKD = [sys.executable, "-I", "-W", "ignore", "-c", ENTRY]
DOOR = """[options]
[ssh]
sequence = 7000,8000,9000
seq_timeout = 5
tcpflags = syn
start_command = /usr/sbin/iptables-legacy -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
stop_command = /usr/sbin/iptables-legacy -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
cmd_timeout = 600
"""
RULE = f"-A INPUT -s {CLIENT_4}/32 -p tcp -m tcp --dport 22 -j ACCEPT"


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    with a_stranger() as made:
        yield made


def start(hosts: Lab, how: Start, *options: str) -> Running:
    """The installed program, on the server, started by root as ``how`` says."""
    own = ("--settings", "pyknockd.yaml"), ("--control", "control")
    settings = [word for option, name in own for word in (option, str(hosts.folder / name))]
    return hosts.spawn(how.words(*KNOCKD, "-v", "-i", INTERFACE, *settings, *options))


@pytest.mark.parametrize("name", TRAPS)
def test_a_daemon_starts_and_opens_and_runs_nobody_elses_code(
    hosts: Lab, stranger: Stranger, name: str
) -> None:
    assert hosts.rules("iptables-legacy") == []  # which makes the table
    daemon = start(hosts, TRAPS[name](stranger), "-l", "-c", str(hosts.config(DOOR)))
    daemon.wait_for("starting up, listening on")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("OPEN SESAME")
    until(lambda: hosts.rules("iptables-legacy") == [RULE], "the door is open")
    assert daemon.stop() == 0
    assert stranger.has_run() == "", daemon.text()


@pytest.mark.parametrize("name", TRAPS)
def test_a_check_runs_nobody_elses_code(hosts: Lab, stranger: Stranger, name: str) -> None:
    hosts.server.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
    checked = start(hosts, TRAPS[name](stranger), "--check", "-c", str(hosts.config(DOOR)))
    assert checked.process.wait(30) == 0, checked.text()
    assert stranger.has_run() == "", checked.text()


def test_a_journal_that_another_user_can_write_is_not_taken_over(
    hosts: Lab, stranger: Stranger, tmp_path: Path
) -> None:
    config = hosts.config(DOOR)
    digest = hashlib.sha256(os.fsencode(os.path.realpath(config))).hexdigest()[:12]
    journal = Journal(tmp_path / "planted.sqlite")
    opens = Change(1, ChangeKind.OPEN, "door", CLIENT_4, "true")
    closes = Change(1, ChangeKind.CLOSE, "door", CLIENT_4, f"echo journal >>{stranger.marker}")
    journal.save(Opening(Plan(opens, closes, 0.0), State.OPENING))
    journal.close()
    planted = (tmp_path / "planted.sqlite").read_bytes()
    trap = stranger.write(f"state/doors-{digest}.sqlite", planted)
    how = Start({"STATE_DIRECTORY": str(trap.parent)})
    daemon = start(hosts, how, "-c", str(config))
    daemon.wait_for(
        "no journal, open doors are not remembered: [Errno 1] others can change what is in it:"
        f" '{trap.parent}'"
    )
    daemon.wait_for("starting up, listening on")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("OPEN SESAME")
    until(lambda: hosts.rules("iptables-legacy") == [RULE], "the door is open")
    assert daemon.stop() == 0
    assert stranger.has_run() == ""


def test_commands_see_the_environment_and_the_folder_that_knockd_was_started_in(
    hosts: Lab, stranger: Stranger, tmp_path: Path
) -> None:
    """They are the admin's, and are found as his shell would find them."""
    (tmp_path / "bin").mkdir()
    own = tmp_path / "bin" / "own-program"
    own.write_text(f'#!/bin/sh\necho "$PWD $HOME $XTABLES_LIBDIR $1" >{tmp_path}/said\n')
    own.chmod(0o755)
    kept = {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "HOME": str(stranger.folder),
        "XTABLES_LIBDIR": "/kept",
        "NOTIFY_SOCKET": str(tmp_path / "nobody-listens"),
    }
    config = hosts.config(
        "[a]\nsequence = 7000\ncommand = own-program %IP%\n"
        f"[b]\nsequence = 7001\ncommand = env | cat >{tmp_path}/environment; true\n"
    )
    daemon = start(hosts, Start(kept, str(tmp_path)), "-c", str(config))
    daemon.wait_for("starting up, listening on")
    hosts.knock(7000, 7001)
    for name in ("said", "environment"):
        until((tmp_path / name).exists, f"the command has written {name}")
    until(lambda: (tmp_path / "said").read_text(), "it has said so")
    assert (tmp_path / "said").read_text() == f"{tmp_path} {stranger.folder} /kept {CLIENT_4}\n"
    assert daemon.stop() == 0
    environment = (tmp_path / "environment").read_text().splitlines()
    assert {f"{name}={kept[name]}" for name in ("PATH", "HOME", "XTABLES_LIBDIR")} <= set(
        environment
    )
    assert not any(line.startswith("NOTIFY_SOCKET=") for line in environment)


def test_without_a_path_programs_are_found_where_a_shell_finds_them(hosts: Lab) -> None:
    config = hosts.config(DOOR.replace("/usr/sbin/iptables-legacy", "iptables-nft"))
    words = ["env", "-u", "PATH", *KNOCKD, "-v", "-i", INTERFACE, "-c", str(config)]
    checked = hosts.spawn([*words, "--check"])
    assert checked.process.wait(30) == 0
    assert "no such program" not in checked.text()
    daemon = hosts.spawn(words)
    daemon.wait_for("starting up, listening on")
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-nft") == [RULE], "the door is open")
    assert daemon.stop() == 0


def test_the_helper_for_commands_runs_nobody_elses_code(hosts: Lab, stranger: Stranger) -> None:
    program = [str(ROOT / "debian/knock_helper_ipt.sh"), "-f", CLIENT_4, "-d", "22"]
    for trap in (a_path(""), a_path("."), a_folder_of_libraries("XTABLES_LIBDIR")):
        how = trap(stranger)
        for action in ("-i", "-x"):
            words = how.words("/bin/sh", *program, action)
            done = subprocess.run([*hosts.server.prefix, *words], check=False)
            assert done.returncode == 0
        for path in stranger.folder.iterdir():
            path.unlink() if path.is_file() else None
    assert stranger.has_run() == ""


def python_programs() -> list[Path]:
    """Everything of ours without .py that Python runs, but for what installers write anew."""
    found = [path for folder in ("debian", "systemd") for path in (ROOT / folder).glob("*")]
    return [path for path in found if path.is_file() and b"python" in _first_line(path)]


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        line = file.readline()
    return line if line.startswith(b"#!") else b""


def test_every_program_that_python_runs_is_isolated() -> None:
    programs = python_programs()
    assert {path.name for path in programs} == {
        "close-doors",
        "first-doors",
        "swap",
        "knockd-options",
    }
    assert {_first_line(path) for path in programs} == {b"#!/usr/bin/python3 -I\n"}


def test_the_services_helper_runs_nobody_elses_code(stranger: Stranger) -> None:
    how = pythons_traps(stranger)
    program = str(ROOT / "systemd/knockd-options")
    subprocess.run(how.words(program, "--signal", "CONT"), check=False, capture_output=True)
    done = subprocess.run(how.words(program, "--init"), check=False, capture_output=True)
    assert done.returncode in (0, 1)
    assert stranger.has_run() == ""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has put the programs: the ``bin`` of a virtual environment."""
    folder = tmp_path_factory.mktemp("pip")
    source = folder / "source"
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pyknockd", source / "pyknockd", ignore=leave)
    for name in ("pyproject.toml", "README.md", "knockd.conf.example"):
        shutil.copy(ROOT / name, source)
    python = folder / "venv/bin/python3"
    words = [sys.executable, "-m", "venv", "--system-site-packages", str(folder / "venv")]
    subprocess.run(words, check=True)
    # With scapy and the like from where this Python has them, be that a virtual environment too.
    (packages,) = (folder / "venv/lib").glob("python3.*/site-packages")
    (packages / "parent.pth").write_text("\n".join(site.getsitepackages()))
    has_setuptools = [str(python), "-c", "import setuptools, wheel"]
    pip = [str(python), "-m", "pip", "install", "-q", "--no-deps", str(source)]
    if subprocess.run(has_setuptools, check=False, capture_output=True).returncode == 0:
        pip.append("--no-build-isolation")  # needs no network
    subprocess.run(pip, check=True)
    return python.parent


def test_what_pip_installs_runs_nobody_elses_code(
    hosts: Lab, stranger: Stranger, installed: Path
) -> None:
    how = pythons_traps(stranger)
    for words in (["knock", "-V"], ["knockd", "-V"], ["knockd", "--check", "-c", "/dev/null"]):
        program = [str(installed / words[0]), *words[1:]]
        done = subprocess.run(how.words(*program), check=False, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert stranger.has_run() == "", words
    link = stranger.folder / "link"
    link.symlink_to(installed / "knockd")
    words = how.words(str(link), "-v", "-i", INTERFACE, "-c", str(hosts.config(DOOR)))
    daemon = hosts.spawn(words)
    daemon.wait_for("starting up, listening on")
    assert Path(f"/proc/{daemon.process.pid}/comm").read_text() == "knockd\n"
    assert daemon.stop() == 0
    assert stranger.has_run() == ""
