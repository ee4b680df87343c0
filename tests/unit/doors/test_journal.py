"""The journal of open doors."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from pyknockd.doors.journal import Journal, Record

TIMED = Record("ssh", "192.0.2.1", "open 192.0.2.1", "close 192.0.2.1", 60.0)
UNTIMED = Record("d\udcfcr", "2001:db8::1", "open", None, 10.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "doors.sqlite"


def never(text: str) -> None:
    raise AssertionError(text)


def test_a_timed_door_is_found_again_after_a_crash(path: Path) -> None:
    journal = Journal(path, never)
    number = journal.opening(TIMED)
    journal.opened(number, 0)
    journal.close()
    (standing,) = Journal(path, never).standing()
    assert (standing.number, standing.record) == (number, TIMED)
    assert 50 < standing.seconds_left <= 60


def test_a_door_counts_as_open_before_its_command_has_ended(path: Path) -> None:
    journal = Journal(path, never)
    journal.opening(TIMED)
    assert len(journal.standing()) == 1


def test_a_closed_door_is_history(path: Path) -> None:
    journal = Journal(path, never)
    number = journal.opening(TIMED)
    journal.closing(number)
    assert len(journal.standing()) == 1
    journal.closed(number, 3)
    assert journal.standing() == []
    journal.close()
    row = (
        sqlite3.connect(path).execute("SELECT source, state, close_status FROM openings").fetchone()
    )
    assert row == ("192.0.2.1", "closed", 3)


def test_a_door_that_does_not_close_by_itself_is_only_history(path: Path) -> None:
    journal = Journal(path, never)
    journal.opening(UNTIMED)
    assert journal.standing() == []


@pytest.mark.parametrize(("passed", "left"), [(20, 40), (100, 0), (-500, 60)])
def test_across_a_reboot_the_wall_clock_counts(path: Path, passed: int, left: int) -> None:
    journal = Journal(path, never)
    journal.opened(journal.opening(TIMED), 0)
    journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE openings SET boot = 'another', opened = opened - ?", (passed,))
    (standing,) = Journal(path, never).standing()
    assert left - 2 <= standing.seconds_left <= left


def test_a_damaged_file_is_set_aside_with_a_warning(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    told: list[str] = []
    journal = Journal(path, told.append)
    assert journal.opening(TIMED)
    assert len(list(path.parent.glob("doors.damaged-*"))) == 1
    assert len(told) == 1
    assert "damaged" in told[0]


def test_a_second_daemon_keeps_its_hands_off(path: Path) -> None:
    first = Journal(path, never)
    first.opening(TIMED)
    told: list[str] = []
    second = Journal(path, told.append)
    assert second.standing() == []
    assert len(told) == 1
    assert len(first.standing()) == 1


def test_only_root_may_read_it(path: Path) -> None:
    Journal(path, never).opening(TIMED)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    told: list[str] = []
    Journal(path, told.append).opening(TIMED)
    assert len(told) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_trouble_is_told_once_and_ends_nothing(path: Path) -> None:
    told: list[str] = []
    journal = Journal(path, told.append)
    journal._database.execute("PRAGMA query_only = 1")  # what a full disk comes to
    for _ in range(5):
        assert journal.opening(TIMED) == 0
    assert len(told) == 1
    journal._database.execute("PRAGMA query_only = 0")
    assert journal.opening(TIMED)
    assert told[1:] == ["the journal can be written again"]


def test_history_is_bounded_and_open_doors_are_never_trimmed(path: Path) -> None:
    journal = Journal(path, never)
    standing = journal.opening(TIMED)
    for _ in range(500):
        journal.opening(UNTIMED)
        journal.trim(50, 90)
    count = journal._database.execute("SELECT count(*) FROM openings").fetchone()[0]
    assert count <= 50 + 100 + 1
    assert [door.number for door in journal.standing()] == [standing]
