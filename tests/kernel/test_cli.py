"""The command line where it takes root: detached, without privileges, on what interface."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.doors import GOOD
from tests.support.lab import INTERFACE, PATIENCE, Lab, until
from tests.support.nobody import as_nobody

NEEDS = "needs CAP_NET_RAW: run it as root, or with that capability"


def test_check_needs_no_root() -> None:
    done = as_nobody("--check", config=GOOD)
    assert done.returncode == 0
    assert "everybody can read" in done.stderr


def test_without_the_capability_one_line_says_so() -> None:
    done = as_nobody("-i", "lo", config=GOOD)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"knockd: listening on lo {NEEDS}"


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
    assert starter.process.wait(PATIENCE) == 0
    assert f"starting up, listening on {INTERFACE}" in log.read_text()
    pid = int(pid_file.read_text())
    try:
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
        second = hosts.spawn(words)
        assert second.process.wait(PATIENCE) == 1
        said = f"knockd: another knockd (PID {pid}) guards the doors of {config}; to watch it: "
        assert second.lines()[-1].startswith(said)
        assert int(pid_file.read_text()) == pid
        hosts.knock(7000, 8000)
        until(lambda: "OPEN SESAME" in log.read_text(), "the door opens")
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not pid_file.exists(), "the pid file is gone")
    until(lambda: not Path(f"/proc/{pid}").exists(), "the daemon is gone")


def test_a_second_configuration_is_guarded_without_a_pid_file(hosts: Lab, tmp_path: Path) -> None:
    pid_file = tmp_path / "knockd.pid"
    first, second = hosts.config(GOOD), hosts.config(GOOD.replace("7000,8000", "9000"))
    log = tmp_path / "log"
    words = [sys.executable, "-m", "pyknockd", "-d", "-i", INTERFACE, "-p", str(pid_file)]
    assert hosts.spawn([*words, "-c", str(first)]).process.wait(PATIENCE) == 0
    pid = int(pid_file.read_text())
    starter = hosts.spawn([*words, "-c", str(second), "-g", str(log)])
    assert starter.process.wait(PATIENCE) == 0
    said = f"pid file {pid_file} is that of process {pid}: going on without one"
    assert starter.lines() == [said]
    hosts.knock(9000)
    until(lambda: "OPEN SESAME" in log.read_text(), "the second one's door opens")
    assert int(pid_file.read_text()) == pid


def test_the_last_good_file_guards_the_doors_until_the_mistake_is_mended(hosts: Lab) -> None:
    (hosts.folder / "pyknockd.yaml").write_text("last_good: true\n")
    config = hosts.config(GOOD)
    assert hosts.start(config).stop() == 0
    config.write_text(GOOD.replace("tcpflags", "tcpflag"))
    daemon = hosts.start(config)
    assert "MISTAKES: the doors are those of the last good file, of " in daemon.text()
    assert daemon.text().count(f"{config}:5: no directive tcpflag") == 1
    hosts.knock(7000, 8000)
    daemon.wait_for("OPEN SESAME")
    config.write_text(GOOD.replace("7000,8000", "9000"))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("re-reading")
    hosts.knock(9000)
    daemon.wait_for("OPEN SESAME", 2)
    config.write_text("[")
    assert daemon.stop() == 0
    again = hosts.start(config)
    hosts.knock(9000)
    again.wait_for("OPEN SESAME")


def test_where_nobody_asks_for_the_last_good_file_a_mistake_ends_the_start(hosts: Lab) -> None:
    config = hosts.config(GOOD)
    assert hosts.start(config).stop() == 0
    config.write_text(GOOD.replace("tcpflags", "tcpflag"))
    assert hosts.start(config, wait=False).process.wait(PATIENCE) == 78


def test_in_two_network_namespaces_one_file_is_guarded_twice(hosts: Lab) -> None:
    config = hosts.config(GOOD)
    first = hosts.start(config)
    words = [sys.executable, "-m", "pyknockd", "-v", "-i", INTERFACE, "-c", str(config)]
    second = hosts.spawn(["unshare", "--net", *words])
    second.wait_for(f"there is no interface {INTERFACE} (there are: lo): waiting for it")
    said = f"another knockd (PID {first.process.pid}) guards the doors of {config} on {INTERFACE}"
    assert said in second.text()
    assert second.process.poll() is None


def test_a_file_that_is_no_pid_file_outlives_the_daemon(hosts: Lab, tmp_path: Path) -> None:
    precious, log = tmp_path / "precious", tmp_path / "log"
    precious.write_text("kept\n")
    config = hosts.config(GOOD)
    options = ["-d", "-p", str(precious), "-g", str(log), "-i", INTERFACE, "-c", str(config)]
    starter = hosts.spawn([sys.executable, "-m", "pyknockd", *options])
    assert starter.process.wait(PATIENCE) == 0
    assert starter.lines() == [
        f"{precious} is there and no pid file: it stays, going on without one"
    ]
    found = subprocess.run(
        ["pgrep", "-f", "--", f"-c {config}"], capture_output=True, text=True, check=True
    )
    os.kill(int(found.stdout), signal.SIGTERM)
    until(lambda: "shutting down" in log.read_text(), "it ends")
    assert precious.read_text() == "kept\n"


def test_doors_of_a_configuration_that_is_moved_are_closed_on_time(hosts: Lab) -> None:
    text = (
        "[d]\nsequence = 7000\ntcpflags = syn\nstart_command = echo opened\ncmd_timeout = 2\n"
        "stop_command = echo closed"
    )
    config = hosts.config(text)
    daemon = hosts.start(config)
    hosts.knock(7000)
    daemon.wait_for("d: opened")
    assert daemon.stop() == 0
    moved = config.rename(config.with_name("elsewhere.conf"))
    again = hosts.start(moved)
    again.wait_for(f"what the knockd of {config} left open is taken over")
    again.wait_for("d: closed")
    assert again.text().count("command timeout") == 1


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
    assert starter.process.wait(PATIENCE) == 1
    assert starter.lines()[-1] == f"knockd: listening on server0 {NEEDS}"
    assert not pid_file.exists()


def test_a_pid_file_that_cannot_be_written_does_not_stop_it(hosts: Lab, tmp_path: Path) -> None:
    log = tmp_path / "knockd.log"
    options = ["-d", "-p", "/nowhere/knockd.pid", "-g", str(log), "-i", INTERFACE]
    config = hosts.config(GOOD)
    starter = hosts.spawn([sys.executable, "-m", "pyknockd", *options, "-c", str(config)])
    assert starter.process.wait(PATIENCE) == 0
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
