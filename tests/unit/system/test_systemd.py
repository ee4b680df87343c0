"""What the service manager is told."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyknockd.system.systemd import Notify, is_fenced, is_journal, level


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A service manager's socket, which the environment names."""
    address = f"{tmp_path}/notify"
    if request.param == "abstract":
        address = f"@pyknockd-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address.replace("@", "\0"))
        server.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield server


def heard(manager: socket.socket) -> list[str]:
    found = []
    try:
        while True:
            found.append(manager.recv(4096).decode())
    except BlockingIOError:
        return found


def test_each_turn_of_its_life_is_told(manager: socket.socket) -> None:
    notify = Notify()
    notify.ready()
    notify.reloading()
    notify.stopping()
    ready, reloading, stopping = heard(manager)
    assert (ready, stopping) == ("READY=1", "STOPPING=1")
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)


def test_a_status_is_one_line_whatever_it_holds(manager: socket.socket) -> None:
    Notify().status("DEAF: waiting for \udcff\nREADY=1")
    assert heard(manager) == ["STATUS=DEAF: waiting for \\xff\\nREADY=1"]


def test_only_a_change_of_the_status_is_told(manager: socket.socket) -> None:
    notify = Notify()
    for text in ("0 doors open", "0 doors open", "1 door open", "0 doors open"):
        notify.status(text)
    assert heard(manager) == [
        "STATUS=0 doors open",
        "STATUS=1 door open",
        "STATUS=0 doors open",
    ]


def test_a_program_that_it_starts_is_not_taken_for_it(manager: socket.socket) -> None:
    assert "NOTIFY_SOCKET" in os.environ
    Notify()
    assert "NOTIFY_SOCKET" not in os.environ


def test_the_watchdog_is_fed_at_half_its_time(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notify = Notify()
    notify.feed_watchdog(100.0)
    assert notify.next_deadline() == 102.0
    notify.feed_watchdog(101.9)
    assert heard(manager) == ["WATCHDOG=1"]
    notify.feed_watchdog(102.0)
    assert heard(manager) == ["WATCHDOG=1"]
    assert "WATCHDOG_USEC" not in os.environ


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"}],
)
def test_a_watchdog_of_somebody_else_is_not_fed(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notify = Notify()
    notify.feed_watchdog(100.0)
    assert notify.next_deadline() is None
    assert heard(manager) == []


def test_without_a_manager_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notify().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    Notify().ready()


def test_what_leads_to_the_journal_is_told_by_its_device_and_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    status = os.fstat(writer)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert is_journal(writer)
    assert level(writer, 3) == "<3>"
    for other in (f"{status.st_dev}:{status.st_ino + 1}", "", "x"):
        monkeypatch.setenv("JOURNAL_STREAM", other)
        assert not is_journal(writer)
        assert level(writer, 3) == ""
    os.close(reader)
    os.close(writer)
    assert not is_journal(writer)


@pytest.mark.parametrize(
    ("service", "status", "fenced"),
    [
        (True, "NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t9\n", True),
        (True, "NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t2\n", False),
        (True, None, False),
        (False, "Seccomp:\t2\n", False),
    ],
)
def test_a_service_is_fenced_in_if_its_system_calls_are_filtered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: bool, status: str | None, fenced: bool
) -> None:
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    if service:
        monkeypatch.setenv("INVOCATION_ID", "0123456789abcdef")
    if status is not None:
        (tmp_path / "status").write_text(status)
    assert is_fenced(str(tmp_path / "status")) is fenced
