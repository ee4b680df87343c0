"""The journal of open doors."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pyknockd.doors.journal import Journal, Left
from pyknockd.doors.opening import Opening, Plan, State
from pyknockd.model import Change, ChangeKind
from pyknockd.model.events import ClosedCause

# What version 1.0.0 made.
FIRST_SCHEMA = """
CREATE TABLE openings (id INTEGER PRIMARY KEY, door BLOB NOT NULL, source TEXT NOT NULL,
    opening BLOB NOT NULL, closing BLOB, open_for REAL NOT NULL, state TEXT NOT NULL,
    boot TEXT NOT NULL, opened REAL NOT NULL, opened_since_boot REAL NOT NULL,
    open_status INTEGER, closed REAL, close_status INTEGER);
CREATE INDEX standing ON openings (state) WHERE state != 'closed';
PRAGMA user_version = 1;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "doors.sqlite"


def timed(journal: Journal, door: str = "ssh", source: str = "192.0.2.1") -> Opening:
    number = journal.number()
    opens = Change(number, ChangeKind.OPEN, door, source, f"open {source}")
    closes = Change(number, ChangeKind.CLOSE, door, source, f"close {source}")
    return Opening(Plan(opens, closes, 60.0))


def without_end(journal: Journal) -> Opening:
    number = journal.number()
    return Opening(
        Plan(Change(number, ChangeKind.OPEN, "d\udcfcr", "2001:db8::1", "open"), None, 10.0)
    )


def stands(journal: Journal, opening: Opening) -> Opening:
    """``opening`` as it is written down when its command has ended well."""
    journal.save(replace(opening, state=State.OPENING))
    until = None if opening.plan.closing is None else time.monotonic() + opening.plan.open_for
    stood = replace(opening, state=State.OPEN, until=until, status=0)
    journal.save(stood)
    return stood


def is_closed(journal: Journal, opening: Opening, status: int | None = 0) -> None:
    journal.save(replace(opening, state=State.CLOSED, cause=ClosedCause.TIME, status=status))


def reopened(path: Path, journal: Journal) -> list[Left]:
    """What the next daemon finds."""
    journal.close()
    following = Journal(path)
    left = following.left()
    assert following.events() == []
    following.close()
    return left


def test_a_timed_door_is_found_again_after_a_crash(path: Path) -> None:
    journal = Journal(path)
    opening = stands(journal, timed(journal))
    (left,) = reopened(path, journal)
    assert (left.number, left.door, left.source) == (opening.number, "ssh", "192.0.2.1")
    assert (left.opening, left.closing) == ("open 192.0.2.1", "close 192.0.2.1")
    assert 50 < left.seconds_left <= 60
    assert not left.rebooted


def test_a_door_counts_as_open_before_its_command_has_ended(path: Path) -> None:
    journal = Journal(path)
    journal.save(replace(timed(journal), state=State.OPENING))
    assert len(reopened(path, journal)) == 1


@pytest.mark.parametrize("state", [State.WAITING, State.LOOKING, State.GIVEN_UP, State.CLOSED])
def test_what_has_done_nothing_or_is_over_is_not_left_open(path: Path, state: State) -> None:
    journal = Journal(path)
    opening = timed(journal)
    if state is not State.WAITING:
        journal.save(replace(opening, state=State.OPENING))
    journal.save(replace(opening, state=state))
    assert reopened(path, journal) == []


@pytest.mark.parametrize(
    "state", [s for s in State if s not in (State.WAITING, State.CLOSED, State.OPENING)]
)
def test_every_state_can_be_written_down_and_is_found_as_itself(path: Path, state: State) -> None:
    journal = Journal(path)
    opening = stands(journal, timed(journal))
    journal.save(replace(opening, state=state))
    journal.close()
    with closing(sqlite3.connect(path)) as database:
        (found,) = database.execute("SELECT state FROM openings").fetchone()
    assert State(found) is state


def test_one_that_looked_first_is_written_down_once(path: Path) -> None:
    journal = Journal(path)
    opening = timed(journal)
    for state in (State.OPENING, State.LOOKING, State.OPENING, State.OPEN):
        journal.save(replace(opening, state=state, until=time.monotonic() + 60))
    assert journal.events() == []
    assert len(reopened(path, journal)) == 1


def test_a_closed_door_is_history(path: Path) -> None:
    journal = Journal(path)
    opening = stands(journal, timed(journal))
    journal.save(replace(opening, state=State.CLOSING))
    assert len(journal.left()) == 1
    is_closed(journal, opening, status=3)
    assert journal.left() == []
    journal.close()
    with closing(sqlite3.connect(path)) as database:
        row = database.execute("SELECT source, state, close_status, cause FROM openings").fetchone()
    assert row == ("192.0.2.1", "closed", 3, "time")


def test_a_door_without_end_is_left_open_as_such(path: Path) -> None:
    journal = Journal(path)
    stands(journal, without_end(journal))
    (left,) = reopened(path, journal)
    assert (left.door, left.closing) == ("d\udcfcr", None)


def test_the_time_of_a_door_runs_from_when_it_first_stood_open(path: Path) -> None:
    """Whatever is written of it later, such as that a command that hung has ended."""
    journal = Journal(path)
    opening = replace(timed(journal), until=time.monotonic() + 7.0)
    for state in (State.OPENING, State.OPENING_HUNG, State.OPEN):
        journal.save(replace(opening, state=state))
    (left,) = reopened(path, journal)
    assert 5 < left.seconds_left <= 7


@pytest.mark.parametrize(("passed", "left"), [(20, 40), (100, 0), (-500, 60)])
def test_across_a_reboot_the_wall_clock_counts(path: Path, passed: int, left: int) -> None:
    journal = Journal(path)
    stands(journal, timed(journal))
    journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE openings SET boot = 'another', opened = opened - ?", (passed,))
    (found,) = Journal(path).left()
    assert left - 2 <= found.seconds_left <= left
    assert found.rebooted


def test_numbers_go_on_where_the_last_daemon_left_them(path: Path) -> None:
    journal = Journal(path)
    last = stands(journal, timed(journal)).number
    journal.close()
    assert Journal(path).number() == last + 1


def test_a_damaged_file_is_set_aside_with_a_warning(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    journal = Journal(path)
    stands(journal, timed(journal))
    assert len(list(path.parent.glob("doors.damaged-*"))) == 1
    (event,) = journal.events()
    assert "damaged" in event.text
    assert len(journal.left()) == 1


def test_a_journal_of_the_first_version_is_gone_on_with(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(FIRST_SCHEMA)
        row = (b"ssh", "192.0.2.1", b"open", b"close", 60.0, "open", "", time.time(), 0.0)
        database.execute(
            "INSERT INTO openings (door, source, opening, closing, open_for, state, boot, opened,"
            " opened_since_boot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        database.commit()
    journal = Journal(path)
    assert [left.door for left in journal.left()] == ["ssh"]
    is_closed(journal, stands(journal, timed(journal)))
    assert journal.events() == []


def test_a_journal_of_a_later_version_is_gone_on_with_and_keeps_what_it_says(path: Path) -> None:
    journal = Journal(path)
    stands(journal, timed(journal))
    journal.close()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "ALTER TABLE openings ADD COLUMN proof TEXT DEFAULT 'x'; PRAGMA user_version = 7"
        )
    later = Journal(path)
    stands(later, timed(later))
    assert len(later.left()) == 2
    assert later.events() == []
    later.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (7,)


def test_a_second_daemon_keeps_its_hands_off(path: Path) -> None:
    first = Journal(path)
    stands(first, timed(first))
    second = Journal(path)
    assert second.left() == []
    assert len(second.events()) == 1
    assert not second.is_kept
    assert len(first.left()) == 1


def test_only_root_may_read_it(path: Path) -> None:
    Journal(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    journal = Journal(path)
    stands(journal, timed(journal))
    assert len(journal.events()) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_trouble_is_told_once_and_ends_nothing(path: Path) -> None:
    journal = Journal(path)
    journal._database.execute("PRAGMA query_only = 1")  # what a full disk comes to
    for _ in range(5):
        stands(journal, timed(journal))
    (event,) = journal.events()
    assert not event.over
    journal._database.execute("PRAGMA query_only = 0")
    stands(journal, timed(journal))
    (event,) = journal.events()
    assert (event.text, event.over) == ("the journal can be written again", True)


def test_history_is_bounded_and_open_doors_are_never_trimmed(path: Path) -> None:
    journal = Journal(path)
    standing = stands(journal, timed(journal))
    for _ in range(500):
        is_closed(journal, stands(journal, timed(journal)))
        journal.trim(50, 90)
    count = journal._database.execute("SELECT count(*) FROM openings").fetchone()[0]
    assert count <= 50 + 100 + 1
    assert [left.number for left in journal.left()] == [standing.number]
