"""The log: knockd's lines in syslog, in the file, on standard output."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyknockd.report import log as log_module
from pyknockd.report.lines import Audience, Line
from pyknockd.report.log import MOST_LINE_BYTES, Log
from tests.support.lab import ROOT
from tests.support.syslog import syslogd


def test_a_datagram_is_what_the_c_library_would_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    log = Log()
    with syslogd(tmp_path / "log") as server:
        log.open(None, use_syslog=True)
        log.write(Line("192.0.2.1: ssh: Stage 1"))
        log.write(Line("ssh: running command: true", line_feed=True))
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
    log.write(Line("one"))
    with syslogd(tmp_path / "log") as server:
        log.write(Line("two"))
        assert [server.recv(4096)[-3:] for _ in range(2)] == [b"one", b"two"]
    log.write(Line("three"))
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
            log.write(Line(f"line {number}"))
        received = 0
        while received < 500:
            assert server.recv(4096).endswith(f" line {received}".encode())
            received += 1
            log.flush()


def test_the_log_file_has_the_time_to_the_minute(tmp_path: Path) -> None:
    path = tmp_path / "knockd.log"
    log = Log()
    log.open(str(path), use_syslog=False)
    log.write(Line("hello"))
    assert re.fullmatch(r"\[\d{4}-\d\d-\d\d \d\d:\d\d\] hello\n", path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


def test_a_log_file_that_cannot_be_opened_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    log = Log()
    log.open(str(tmp_path / "a"), use_syslog=False)
    log.open("/nowhere/x", use_syslog=False)
    (event,) = log.events()
    assert event.text == "cannot open log file /nowhere/x: No such file or directory"
    log.write(Line("hello"))
    assert (tmp_path / "a").read_text().endswith("hello\n")


def test_a_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "log").symlink_to(tmp_path / "precious")
    log = Log()
    log.open(str(shared / "log"), use_syslog=False)
    assert len(log.events()) == 1
    log.write(Line("hello"))
    assert not (tmp_path / "precious").exists()


def test_a_full_disk_is_told_once_and_silences_nothing_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = Log(verbose=True)
    log.open("/dev/full", use_syslog=False)
    log.write(Line("hello"))
    log.write(Line("again"))
    (event,) = log.events()
    assert event.text == "log file /dev/full cannot be written: No space left on device"
    assert capfd.readouterr().out.splitlines() == ["hello", "again"]


def test_what_was_lost_while_syslog_was_away_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    log = Log()
    log.open(None, use_syslog=True)
    for number in range(1005):
        log.write(Line(f"line {number}"))
    assert log.waits
    with syslogd(tmp_path / "log") as server:
        received = []
        while log.waits or len(received) < 1001:
            log.flush()
            received.append(server.recv(4096))
    assert received[0].endswith(b" line 5")
    assert received[-1].endswith(b"5 lines were lost while syslog did not take any")


def test_nobody_at_the_other_end_of_standard_output_is_survived() -> None:
    script = (
        "import os\nfrom pyknockd.report.lines import Line\nfrom pyknockd.report.log import Log\n"
        "log = Log(verbose=True)\n"
        "for _ in range(3): log.write(Line('x' * 100000))\nos.write(2, b'alive')"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.stderr == b"alive"


def test_a_line_over_all_bounds_is_cut_everywhere_and_the_next_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    log = Log(verbose=True)
    with syslogd(tmp_path / "log") as server:
        log.open(str(tmp_path / "file"), use_syslog=True)
        log.write(Line("x" * 300_000))
        log.write(Line("next"))
        first, second = server.recv(1 << 20), server.recv(4096)
    assert second.endswith(b": next")
    told = [first.decode(), *(tmp_path / "file").read_text().splitlines()[:1]]
    told += capfd.readouterr().out.splitlines()[:1]
    for line in told:
        assert line.endswith(f"x … ({300_000 - MOST_LINE_BYTES} bytes more)")
        assert line.count("x") == MOST_LINE_BYTES


def test_a_datagram_that_syslog_never_takes_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(tmp_path / "log"))
    monkeypatch.setattr(log_module, "MOST_LINE_BYTES", 10_000_000)  # as if nothing were cut
    log = Log()
    with syslogd(tmp_path / "log") as server:
        log.open(None, use_syslog=True)
        log.write(Line("x" * 1_000_000))
        log.write(Line("next"))
        received = [server.recv(4096) for _ in range(2)]
    assert any(b"1 lines were lost" in one for one in received)
    assert any(one.endswith(b": next") for one in received)


@pytest.mark.parametrize(
    ("audience", "out", "err"),
    [
        (Audience.LOG, "", ""),
        (Audience.ALARM, "", "hello\n"),
        (Audience.VERBOSE, "", ""),
        (Audience.DEBUG, "", ""),
    ],
)
def test_without_options_only_an_alarm_is_seen_by_who_started_it(
    audience: Audience, out: str, err: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Log().write(Line("hello", audience=audience))
    assert tuple(capfd.readouterr()) == (out, err)
