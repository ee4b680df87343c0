"""One-time sequences: each line of the file opens its door once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.lab import CLIENT_6, PATIENCE, SERVER_6, Lab, until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sequences"
    path.write_text("# mine\n1,70000\n\n 7001,7002\n7003,7004:udp\n")
    return path


def door(path: Path, name: str = "once") -> str:
    return f"[{name}]\none_time_sequences = {path}\ncommand = grep -c '^#' {path}\n"


def test_each_sequence_opens_once_over_either_family(hosts: Lab, file: Path) -> None:
    daemon = hosts.start(door(file))
    hosts.knock(7001, 7002)
    daemon.wait_for("OPEN SESAME")
    hosts.knock(7001, 7002)
    hosts.knock(7003, "7004:udp", host=SERVER_6)
    daemon.wait_for("disabling the door")
    assert f"{CLIENT_6}: once: OPEN SESAME" in daemon.lines()
    assert daemon.text().count("OPEN SESAME") == 2
    hosts.knock(7003, "7004:udp")
    assert daemon.stop() == 0
    assert daemon.text().count("OPEN SESAME") == 2


def test_the_line_is_marked_before_the_command_runs(hosts: Lab, file: Path) -> None:
    daemon = hosts.start(door(file))
    hosts.knock(7001, 7002)
    daemon.wait_for("once: 2\n")  # what the command counts: the comment and the marked line


def test_a_restart_and_a_reload_go_on_where_it_was(hosts: Lab, file: Path) -> None:
    config = hosts.config(door(file))
    daemon = hosts.start(config)
    hosts.knock(7001, 7002)
    daemon.wait_for("OPEN SESAME")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("re-reading")
    daemon.stop()
    again = hosts.start(config)
    hosts.knock(7001, 7002)
    hosts.knock(7003, "7004:udp")
    again.wait_for("OPEN SESAME")
    assert again.text().count("Stage 1") == 1


def test_two_doors_never_use_one_line_twice(hosts: Lab, file: Path) -> None:
    daemon = hosts.start(door(file, "a") + door(file, "b"))
    hosts.knock(7001, 7002)
    daemon.wait_for("b: the door stays shut")
    assert daemon.text().count("running command") == 1
    hosts.knock(7003, "7004:udp")
    daemon.wait_for("running command", times=2)


def test_a_file_that_cannot_be_written_keeps_the_door_shut(hosts: Lab, file: Path) -> None:
    daemon = hosts.start(door(file))
    file.rename(file.with_name("gone"))
    hosts.knock(7001, 7002)
    daemon.wait_for(f"once: the door stays shut: {file}: No such file or directory")
    until(lambda: "disabling the door" in daemon.text(), "it is disabled")
    assert "running command" not in daemon.text()


def test_an_unreadable_file_rejects_the_configuration(hosts: Lab, tmp_path: Path) -> None:
    daemon = hosts.start(door(tmp_path / "missing"), wait=False)
    assert daemon.process.wait(PATIENCE) == 1
    assert "2: the one-time sequences cannot be used: " in daemon.text()
    assert os.strerror(2) in daemon.text()
