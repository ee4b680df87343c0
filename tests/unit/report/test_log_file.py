"""The log file, and whatever may be wrong with it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from pyknockd.model.events import Side
from pyknockd.report import log_file as log_file_module
from pyknockd.report.log_file import HANGS_SECONDS, LogFile
from tests.support.lab import PATIENCE


def opened(path: Path | str) -> LogFile:
    file = LogFile()
    file.open(str(path))
    return file


def write(file: LogFile, *lines: str) -> None:
    """Until they are there."""
    for line in lines:
        file.write(f"{line}\n".encode())
    file.settle(PATIENCE)


def troubles(file: LogFile) -> list[str]:
    events = file.events()
    assert all(event.side is Side.LOG and not event.over for event in events)
    return [event.text for event in events]


def test_lines_come_out_in_their_order(tmp_path: Path) -> None:
    file = opened(tmp_path / "log")
    for number in range(1_000):
        file.write(f"{number}\n".encode())
        if not number % 7:
            file.flush(0.0)
    file.settle(PATIENCE)
    assert (tmp_path / "log").read_text() == "".join(f"{number}\n" for number in range(1_000))


def test_others_than_its_group_cannot_read_it(tmp_path: Path) -> None:
    opened(tmp_path / "log")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) & 0o137 == 0


def test_one_that_was_moved_away_is_begun_anew_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = opened(path)
    path.rename(tmp_path / "log.1")
    write(file, "old")
    file.write(b"old too\n")  # not written yet when the next is opened
    file.open(str(path))
    write(file, "new")
    assert (tmp_path / "log.1").read_text() == "old\nold too\n"
    assert path.read_text() == "new\n"
    assert file.events() == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nowhere/x", "No such file or directory"),
        ("/proc", "Is a directory"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_one_that_cannot_be_opened_is_told_and_the_old_one_stays(
    tmp_path: Path, path: str, reason: str
) -> None:
    file = opened(tmp_path / "a")
    file.open(path)
    assert troubles(file) == [f"cannot open log file {path}: {reason}"]
    assert file.events() == []
    write(file, "hello")
    assert (tmp_path / "a").read_text() == "hello\n"


def test_one_that_is_closed_gets_no_more(tmp_path: Path) -> None:
    file = opened(tmp_path / "log")
    file.write(b"before\n")
    file.close()
    write(file, "after")
    assert (tmp_path / "log").read_text() == "before\n"


def test_a_pipe_that_nobody_reads_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    file = opened(tmp_path / "fifo")
    assert troubles(file) == [f"cannot open log file {tmp_path}/fifo: No such device or address"]


def test_a_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "log").symlink_to(tmp_path / "precious")
    assert len(troubles(opened(shared / "log"))) == 1
    assert not (tmp_path / "precious").exists()


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    file = LogFile()
    for path in ("/dev/full", str(tmp_path / "full")):
        file.open(path)
        write(file, "hello")
        write(file, "again")
        trouble = f"log file {path} cannot be written: No space left on device"
        assert troubles(file) == [trouble]


def test_a_disk_that_hangs_is_told_once_and_lines_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file_module, "MOST_WAITING", 10)
    file, hangs = opened(tmp_path / "log"), threading.Event()

    def hang() -> None:
        hangs.wait(PATIENCE)

    file.write(b"first\n")
    assert file._worker.submit(hang)
    file.flush(0.0)  # it waits: the disk has been busy before
    hangs.set()
    file._worker.settle(PATIENCE)
    hangs.clear()
    file.flush(10.0)
    file._worker.settle(PATIENCE)
    assert (tmp_path / "log").read_text() == "first\n"

    assert file._worker.submit(hang)
    file._handed_over = 20.0
    for number in range(15):
        file.write(f"{number}\n".encode())
        file.flush(20.0)
    assert file.events() == []
    for _ in range(3):
        file.flush(20.0 + HANGS_SECONDS)
    assert troubles(file) == [f"log file {tmp_path}/log does not answer: lines wait for it"]
    hangs.set()
    file._worker.settle(PATIENCE)
    file.flush(30.0)
    file.settle(PATIENCE)
    (event,) = file.events()
    said = f"log file {tmp_path}/log takes lines again, 5 lines were lost"
    assert (event.text, event.over) == (said, True)
    assert (tmp_path / "log").read_text().split() == ["first", *map(str, range(10))]
