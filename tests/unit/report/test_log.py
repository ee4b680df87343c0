"""The log: knockd's lines in syslog, in the file, on standard output."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyknockd.report import log as log_module
from pyknockd.report.log import Log, LogError
from tests.support.lab import CLIENT_4, INTERFACE, ROOT, SERVER_4, Lab, until
from tests.support.oracle import Network, Packet, run
from tests.support.packets import Route, ethernet, ipv4, tcp
from tests.support.realknockd import debian_knockd


@contextmanager
def syslogd(path: Path) -> Iterator[socket.socket]:
    """A syslog daemon's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(5)
        yield server
    path.unlink()


def test_a_datagram_is_what_the_c_library_would_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    log = Log()
    with syslogd(tmp_path / "log") as server:
        log.open(None, use_syslog=True)
        log.say("192.0.2.1: ssh: Stage 1")
        log.say("ssh: running command: true", own_line_feed=True)
        first, second = server.recv(4096), server.recv(4096)
    stamp = rb"<29>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d "
    assert re.fullmatch(stamp + rb"knockd: 192\.0\.2\.1: ssh: Stage 1", first)
    assert re.fullmatch(stamp + rb"knockd: ssh: running command: true\n", second)


def test_no_line_is_lost_while_syslog_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    log = Log()
    log.open(None, use_syslog=True)
    log.say("one")
    with syslogd(tmp_path / "log") as server:
        log.say("two")
        assert [server.recv(4096)[-3:] for _ in range(2)] == [b"one", b"two"]
    log.say("three")
    with syslogd(tmp_path / "log") as server:
        log.flush()
        assert server.recv(4096)[-5:] == b"three"


def test_a_syslog_that_does_not_read_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    log = Log()
    log.open(None, use_syslog=True)
    with syslogd(tmp_path / "log") as server:
        for number in range(500):
            log.say(f"line {number}")
        received = 0
        while received < 500:
            assert server.recv(4096).endswith(f" line {received}".encode())
            received += 1
            log.flush()


def test_the_log_file_has_the_time_to_the_minute(tmp_path: Path) -> None:
    path = tmp_path / "knockd.log"
    log = Log()
    log.open(str(path), use_syslog=False)
    log.say("hello")
    assert re.fullmatch(r"\[\d{4}-\d\d-\d\d \d\d:\d\d\] hello\n", path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


def test_a_log_file_that_cannot_be_opened_is_an_error_and_the_old_one_stays(tmp_path: Path) -> None:
    log = Log()
    log.open(str(tmp_path / "a"), use_syslog=False)
    with pytest.raises(LogError, match="cannot open log file /nowhere/x: No such file"):
        log.open("/nowhere/x", use_syslog=False)
    log.say("hello")
    assert (tmp_path / "a").read_text().endswith("hello\n")


def test_a_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "log").symlink_to(tmp_path / "precious")
    with pytest.raises(LogError):
        Log().open(str(shared / "log"), use_syslog=False)
    assert not (tmp_path / "precious").exists()


def test_a_full_disk_is_told_once_and_silences_nothing_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = Log(verbose=True)
    log.open("/dev/full", use_syslog=False)
    log.say("hello")
    log.say("again")
    trouble = "log file /dev/full cannot be written: No space left on device"
    assert capfd.readouterr().out.splitlines() == ["hello", trouble, "again"]


def test_what_was_lost_while_syslog_was_away_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    log = Log()
    log.open(None, use_syslog=True)
    for number in range(1005):
        log.say(f"line {number}")
    assert log.waits
    with syslogd(tmp_path / "log") as server:
        received = []
        while log.waits or len(received) < 1001:
            log.flush()
            received.append(server.recv(4096))
    assert received[0].endswith(b" line 5")
    assert received[-1].endswith(b"5 lines were lost while syslog did not take any")


def test_lines_reach_a_syslog_that_comes_back_though_nobody_knocks(
    hosts: Lab, tmp_path: Path
) -> None:
    config = hosts.config(DOOR.format("/dev/null").replace("[options]", "[options]\nUseSyslog"))
    script = (
        "mount -t tmpfs none /mnt && cp -a /dev/null /dev/urandom /mnt"
        f' && ln -s {tmp_path}/log /mnt/log && mount --move /mnt /dev && exec "$@"'
    )
    words = [sys.executable, "-m", "pyknockd", "-v", "-i", INTERFACE, "-c", str(config)]
    daemon = hosts.spawn(["unshare", "-m", "sh", "-c", script, "-", *words])
    daemon.wait_for("starting up")
    with syslogd(tmp_path / "log") as server:
        assert b"starting up, listening on" in server.recv(4096)


def test_nobody_at_the_other_end_of_standard_output_is_survived() -> None:
    script = (
        "import os\nfrom pyknockd.report.log import Log\nlog = Log(verbose=True)\n"
        "for _ in range(3): log.say('x' * 100000)\nos.write(2, b'alive')"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.stderr == b"alive"


DOOR = """
[options]
LogFile = {}
[door]
sequence = 7000,8000,9000
tcpflags = syn
seq_timeout = 3
command = exit 3
cmd_timeout = 1
stop_command = true %IP%
[other]
sequence = 6000,6001
seq_timeout = 1
command = true
"""


def test_the_file_says_what_knockds_file_says(hosts: Lab, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    daemon = hosts.start(DOOR.format(ours))
    hosts.knock(6000)
    daemon.wait_for("sequence timeout (stage 1)")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("running command", times=2)
    daemon.stop()
    route = Route(CLIENT_4, SERVER_4)
    times = [(0.0, 6000), (2.0, 7000), (2.0, 8000), (2.0, 9000)]
    packets = [Packet(time, ethernet(ipv4(tcp(port), route=route))) for time, port in times]
    network = Network(addresses=[SERVER_4], interface=INTERFACE)
    config = DOOR.format(theirs).replace("exit 3", "exit 3 #status=768")
    run(config, packets, options=["-i", INTERFACE], directory=tmp_path, network=network)

    def lines(path: Path) -> list[str]:
        text = path.read_text().replace(" #status=768", "")
        return [line[19:] for line in text.splitlines() if line.strip()]

    assert lines(ours)[:-1] == lines(theirs)
    assert lines(ours)[-1] == "shutting down"


def datagrams(hosts: Lab, folder: Path, words: list[str]) -> list[bytes]:
    """What a daemon on the server sends to its syslog when the same knocks come, stamps left out."""
    folder.mkdir()
    with syslogd(folder / "log") as server:
        script = (
            "mount -t tmpfs none /mnt && cp -a /dev/null /dev/urandom /mnt"
            f' && ln -s {folder}/log /mnt/log && mount --move /mnt /dev && exec "$@"'
        )
        daemon = hosts.spawn(["unshare", "-m", "sh", "-c", script, "-", *words])
        found = [server.recv(4096)]
        assert b"starting up, listening on" in found[0]
        hosts.knock(7000, 8000, 9000)
        hosts.knock(7000, 9000)
        hosts.knock(7000, 8000)
        while b": running command: true" not in found[-1]:
            found.append(server.recv(4096))
        daemon.stop()
    return [re.sub(rb"^(<\d+>)\w{3} [ \d]\d \d\d:\d\d:\d\d", rb"\1", line) for line in found]


def test_syslog_gets_the_same_datagrams_from_both_daemons(hosts: Lab, tmp_path: Path) -> None:
    config = hosts.config(DOOR.format("/dev/null").replace("[options]", "[options]\nUseSyslog"))
    options = ["-i", INTERFACE, "-c", str(config)]
    real = str(debian_knockd() / "usr/sbin/knockd")
    theirs = datagrams(hosts, tmp_path / "theirs", [real, *options])
    ours = datagrams(hosts, tmp_path / "ours", [sys.executable, "-m", "pyknockd", *options])
    assert len(ours) == 12
    assert sorted(ours) == sorted(theirs)
    of_knocks = [line for line in theirs if b" door: " in line and b"command" not in line]
    assert of_knocks == [line for line in ours if line in of_knocks]


def test_hup_opens_the_log_anew_as_logrotate_wants_it(hosts: Lab, tmp_path: Path) -> None:
    path = tmp_path / "knockd.log"
    daemon = hosts.start(DOOR.format(path))
    path.rename(tmp_path / "knockd.log.1")
    daemon.process.send_signal(signal.SIGHUP)
    until(path.exists, "the new file is there")
    hosts.knock(7000)
    until(lambda: "Stage 1" in path.read_text(), "it is written to")
    assert "re-opening log file" in (tmp_path / "knockd.log.1").read_text()


def test_names_stand_behind_the_addresses_and_hold_up_no_knock(hosts: Lab) -> None:
    folder = Path("/etc/netns") / hosts.server.name
    folder.mkdir(parents=True)
    try:
        (folder / "hosts").write_text(f"{CLIENT_4} visitor.example\n")
        daemon = hosts.start(DOOR.format("/dev/null"), "-l")
        hosts.knock(7000, 8000, 9000)
        daemon.wait_for(f"{CLIENT_4} (visitor.example): door: command timeout")
    finally:
        (folder / "hosts").unlink()
        folder.rmdir()
    label = f"{CLIENT_4} (visitor.example): door:"
    assert daemon.lines()[1:6] == [
        *(f"{label} Stage {stage}" for stage in (1, 2, 3)),
        f"{label} OPEN SESAME",
        "door: running command: exit 3",
    ]
