"""The log: knockd's lines in syslog, in the file, on standard output."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyknockd.model.events import Side
from pyknockd.report import log as log_module
from pyknockd.report.lines import Audience, Line, Priority
from pyknockd.report.log import MOST_LINE_BYTES, Log
from tests.support.lab import PATIENCE, ROOT
from tests.support.syslog import syslogd

AFTER_A_CUT = f" … ({300_000 - MOST_LINE_BYTES} bytes more)"


@pytest.fixture
def syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the log looks for syslog; nobody is there yet."""
    path = tmp_path / "dev-log"
    monkeypatch.setattr(log_module, "_SYSLOG_SOCKET", str(path))
    return path


@pytest.fixture
def log(syslog: Path) -> Log:
    """One that writes to syslog."""
    log = Log()
    log.open(None, use_syslog=True)
    return log


def waits(log: Log) -> bool:
    """Whether syslog has not taken everything yet."""
    return log.next_deadline(0.0) is not None


def troubles(log: Log) -> list[str]:
    events = log.events()
    assert all(event.side is Side.LOG and not event.over for event in events)
    return [event.text for event in events]


def test_a_datagram_is_what_the_c_library_would_send(log: Log, syslog: Path) -> None:
    with syslogd(syslog) as server:
        log.write(Line("192.0.2.1: ssh: Stage 1"))
        log.write(Line("ssh: running command: true", line_feed=True))
        first, second = server.recv(4096), server.recv(4096)
    stamp = rb"<29>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d "
    assert re.fullmatch(stamp + rb"knockd: 192\.0\.2\.1: ssh: Stage 1", first)
    assert re.fullmatch(stamp + rb"knockd: ssh: running command: true\n", second)


def test_no_line_is_lost_while_syslog_is_away(log: Log, syslog: Path) -> None:
    log.write(Line("one"))
    with syslogd(syslog) as server:
        log.write(Line("two"))
        assert [server.recv(4096)[-3:] for _ in range(2)] == [b"one", b"two"]
    log.write(Line("three"))
    assert waits(log)
    with syslogd(syslog) as server:
        log.flush(0.0)
        assert server.recv(4096)[-5:] == b"three"
    assert not waits(log)


def test_a_syslog_that_does_not_read_blocks_nobody(log: Log, syslog: Path) -> None:
    with syslogd(syslog) as server:
        for number in range(500):
            log.write(Line(f"line {number}"))
        received = 0
        while received < 500:
            assert server.recv(4096).endswith(f" line {received}".encode())
            received += 1
            log.flush(0.0)


def test_a_syslog_whose_receiving_side_is_shut_blocks_nobody(log: Log, syslog: Path) -> None:
    with syslogd(syslog) as server:
        server.shutdown(socket.SHUT_RD)
        log.write(Line("one"))
        log.write(Line("two"))
        assert waits(log)
    with syslogd(syslog) as server:
        log.flush(0.0)
        assert [server.recv(4096)[-3:] for _ in range(2)] == [b"one", b"two"]


def test_what_was_lost_while_syslog_was_away_is_counted(log: Log, syslog: Path) -> None:
    for number in range(1005):
        log.write(Line(f"line {number}"))
    assert waits(log)
    with syslogd(syslog) as server:
        received: list[bytes] = []
        while waits(log) or len(received) < 1001:
            log.flush(0.0)
            received.append(server.recv(4096))
    assert received[0].endswith(b" line 5")
    assert received[-1].endswith(b"5 lines were lost while syslog did not take any")


def test_a_line_of_any_length_is_cut_and_the_next_goes_out(
    log: Log, syslog: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "knockd.log"
    log.open(str(path), use_syslog=True)
    with syslogd(syslog) as server:
        log.write(Line("x" * 300_000, audience=Audience.ALARM))
        log.write(Line("next"))
        long, following = server.recv(400_000), server.recv(4096)
    cut = "x" * MOST_LINE_BYTES + AFTER_A_CUT
    assert long.decode().endswith(f" knockd: {cut}")
    assert following.endswith(b" knockd: next")
    log.settle()
    first, second = path.read_text().splitlines()
    assert (first.partition("] ")[2], second.partition("] ")[2]) == (cut, "next")
    assert capfd.readouterr().err == f"{cut}\n"


@pytest.mark.parametrize("audience", [Audience.VERBOSE, Audience.DEBUG])
def test_a_line_to_standard_output_is_cut_too(
    audience: Audience, capfd: pytest.CaptureFixture[str]
) -> None:
    Log(verbose=True, debug=True).write(Line("x" * 300_000, audience=audience))
    assert capfd.readouterr().out == f"{'x' * MOST_LINE_BYTES}{AFTER_A_CUT}\n"


def test_a_line_is_cut_by_its_bytes_even_inside_a_letter(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = Log(verbose=True)
    log.write(Line("x" + "ü" * MOST_LINE_BYTES))
    log.write(Line("x" * MOST_LINE_BYTES))
    first, second = capfd.readouterr().out.splitlines()
    assert re.fullmatch(rf"xü+\ufffd … \({MOST_LINE_BYTES + 1} bytes more\)", first)
    assert second == "x" * MOST_LINE_BYTES


def test_a_line_too_long_for_the_socket_is_counted_and_the_next_goes_out(
    log: Log, syslog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SmallSocket(socket.socket):
        """Of the kernel's smallest send buffer, as with a low net.core.wmem_default."""

        def connect(self, address: object) -> None:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            super().connect(address)  # type: ignore[arg-type]

    with syslogd(syslog) as server:
        monkeypatch.setattr(socket, "socket", SmallSocket)
        log.write(Line("x" * MOST_LINE_BYTES))
        log.write(Line("next"))
        lost, following = server.recv(10_000), server.recv(10_000)
    assert lost.endswith(b"knockd: 1 lines were lost while syslog did not take any")
    assert following.endswith(b"knockd: next")


def test_a_socket_that_takes_nothing_at_all_is_survived(
    log: Log, syslog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(socket.socket):
        def send(self, data: object, flags: int = 0) -> int:
            raise OSError(90, "Message too long")

    with syslogd(syslog), monkeypatch.context() as patched:
        patched.setattr(socket, "socket", Refusing)
        log.write(Line("one"))
        log.write(Line("two"))


def test_the_log_file_has_the_time_to_the_minute(tmp_path: Path) -> None:
    path = tmp_path / "knockd.log"
    log = Log()
    log.open(str(path), use_syslog=False)
    log.write(Line("hello"))
    log.flush(0.0)
    log.settle()
    assert re.fullmatch(r"\[\d{4}-\d\d-\d\d \d\d:\d\d\] hello\n", path.read_text())


def test_trouble_with_the_log_file_silences_nothing_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = Log(verbose=True)
    log.open("/dev/full", use_syslog=False)
    for text in ("hello", "again"):
        log.write(Line(text))
        log.flush(0.0)
        log.settle()
    assert troubles(log) == ["log file /dev/full cannot be written: No space left on device"]
    assert capfd.readouterr().out.splitlines() == ["hello", "again"]


@pytest.mark.parametrize(
    ("audience", "out", "err", "logged"),
    [
        (Audience.LOG, "v", "", True),
        (Audience.ALARM, "v", "-", True),
        (Audience.VERBOSE, "v", "", False),
        (Audience.DEBUG, "d", "", False),
    ],
)
@pytest.mark.parametrize("asked", ["", "v", "d", "vd"])
def test_each_line_goes_to_those_who_are_to_read_it(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    asked: str,
    audience: Audience,
    out: str,
    err: str,
    logged: bool,
) -> None:
    """An alarm that -v has shown is not repeated on standard error."""
    path = tmp_path / "knockd.log"
    log = Log(verbose="v" in asked, debug="d" in asked)
    log.open(str(path), use_syslog=False)
    log.write(Line("hello", audience=audience))
    shown = capfd.readouterr()
    assert shown.out == ("hello\n" if out in asked else "")
    assert shown.err == ("hello\n" if err and "v" not in asked else "")
    log.settle()
    assert path.read_text().endswith("hello\n") is logged


def lead_to_journal(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard output or error be what systemd says leads to the journal."""
    status = os.fstat(descriptor)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


FAILED = Line("it failed", audience=Audience.ALARM, priority=Priority.ERROR)


def test_syslog_that_is_not_the_journals_knows_one_priority_as_knockd_does(
    log: Log, syslog: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with syslogd(syslog) as server:
        log.write(FAILED)
        assert server.recv(4096).startswith(b"<29>")
    assert capfd.readouterr().err == "it failed\n"


def test_in_the_journal_an_alarm_stands_once_and_with_its_priority(
    log: Log,
    syslog: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lead_to_journal(2, monkeypatch)
    with syslogd(syslog) as server:
        log.write(FAILED)
        log.write(Line("odd", priority=Priority.WARNING))
        log.write(Line("192.0.2.1: ssh: Stage 1"))
        stamps = [server.recv(4096)[:4] for _ in range(3)]
    assert stamps == [b"<27>", b"<28>", b"<29>"]
    assert capfd.readouterr().err == ""


def test_without_syslog_the_journal_gets_alarms_by_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to_journal(2, monkeypatch)
    Log().write(FAILED)
    assert capfd.readouterr().err == "<3>it failed\n"


def test_what_verbose_shows_in_the_journal_has_its_priority_too(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to_journal(1, monkeypatch)
    log = Log(verbose=True)
    log.write(FAILED)
    log.write(Line("fine"))
    assert tuple(capfd.readouterr()) == ("<3>it failed\n<5>fine\n", "")


def test_bytes_that_are_no_text_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / "knockd.log"
    log = Log()
    log.open(str(path), use_syslog=False)
    log.write(Line(b"caf\xe9".decode("utf-8", "surrogateescape")))
    log.settle()
    assert path.read_bytes().endswith(b"] caf\xe9\n")


def test_text_that_cannot_be_written_is_written_all_the_same(tmp_path: Path) -> None:
    r"""As YAML's "\ud800" is read, for one."""
    path = tmp_path / "knockd.log"
    log = Log()
    log.open(str(path), use_syslog=False)
    log.write(Line("eth\ud800"))
    log.settle()
    assert path.read_text().endswith("] eth\\ud800\n")


def test_nobody_at_the_other_end_of_standard_output_is_survived() -> None:
    script = (
        "import os\nfrom pyknockd.report.lines import Line\nfrom pyknockd.report.log import Log\n"
        "log = Log(verbose=True)\nfor _ in range(3): log.write(Line('x' * 100000))\n"
        "os.write(2, b'alive')"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.stderr == b"alive"


def test_a_reader_of_standard_output_who_has_fallen_asleep_blocks_nobody() -> None:
    """In the end the pipe has room for one page, less than a line may have bytes."""
    script = (
        "import os\nfrom pyknockd.report.lines import Line\nfrom pyknockd.report.log import Log\n"
        "log = Log(verbose=True)\nlog.write(Line('x' * 4095))\n"
        "for _ in range(100): log.write(Line('x' * 8000))\n"
        "os.write(2, b'alive')"
    )
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE
    ) as process:
        os.close(writer)
        try:
            assert process.communicate(timeout=PATIENCE)[1] == b"alive"
        finally:
            process.kill()
            os.close(reader)
