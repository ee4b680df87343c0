"""The journal's file."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from pyknockd.doors.store import Statement, Store, StoreError, read_past
from pyknockd.model import Past, Question

# What version 1.0.0 made.
FIRST_SCHEMA = """
CREATE TABLE openings (id INTEGER PRIMARY KEY, door BLOB NOT NULL, source TEXT NOT NULL,
    opening BLOB NOT NULL, closing BLOB, open_for REAL NOT NULL, state TEXT NOT NULL,
    boot TEXT NOT NULL, opened REAL NOT NULL, opened_since_boot REAL NOT NULL,
    open_status INTEGER, closed REAL, close_status INTEGER);
CREATE INDEX standing ON openings (state) WHERE state != 'closed';
PRAGMA user_version = 1;
"""


ROW = (b"ssh", "192.0.2.1", b"open", b"close", 60.0, "open", "", time.time(), 0.0)
INSERT = (
    "INSERT INTO openings (door, source, opening, closing, open_for, state, boot, opened,"
    " opened_since_boot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "doors.sqlite"


def holding_one(path: Path) -> Store:
    """A file with one open door."""
    store = Store(path)
    assert store.open().left == ()
    store.do(Statement(INSERT, ROW))
    return store


def test_what_was_done_is_found_by_the_next(path: Path) -> None:
    store = holding_one(path)
    store.do(Statement(INSERT, (*ROW[:5], "closed", *ROW[6:])))
    store.close()
    contents = Store(path).open()
    assert [left.number for left in contents.left] == [1]
    assert contents.last == 2
    assert contents.left[0].rebooted


def test_a_damaged_file_is_put_aside_and_a_new_one_begun(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    contents = Store(path).open()
    (aside,) = path.parent.glob("doors.damaged-*")
    assert "damaged" in contents.remark
    assert str(aside) in contents.remark
    assert (contents.left, contents.last) == ((), 0)


def test_a_file_of_the_first_version_is_gone_on_with(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(FIRST_SCHEMA)
        database.execute(INSERT, ROW)
        database.commit()
    store = Store(path)
    (left,) = store.open().left
    assert (left.door, left.source, left.closing) == ("ssh", "192.0.2.1", "close")
    store.do(Statement("UPDATE openings SET cause = 'time'"))


def test_a_file_of_a_later_version_is_gone_on_with_and_keeps_what_it_says(path: Path) -> None:
    holding_one(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "ALTER TABLE openings ADD COLUMN proof TEXT DEFAULT 'x'; PRAGMA user_version = 7"
        )
    later = Store(path)
    assert len(later.open().left) == 1
    later.do(Statement(INSERT, ROW))
    later.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (7,)
        assert database.execute("SELECT proof FROM openings").fetchall() == [("x",), ("x",)]


def test_a_file_that_another_has_is_a_passing_trouble(path: Path) -> None:
    first, second = holding_one(path), Store(path)
    with pytest.raises(StoreError) as error:
        second.open()
    assert error.value.passing
    first.close()
    assert len(second.open().left) == 1


def test_only_root_may_read_it(path: Path) -> None:
    Store(path).open()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError) as error:
        Store(path).open()
    assert not error.value.passing
    assert not (tmp_path / "elsewhere").exists()


def test_a_statement_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    store = holding_one(path)
    with pytest.raises(StoreError):
        store.do(Statement("UPDATE openings SET nothing = 1"))
    assert store.is_in_trouble
    store.do(Statement("UPDATE openings SET cause = 'time'"))
    assert not store.is_in_trouble


ANYTHING = Question(None, None, None, 100)


def remembering(path: Path) -> Store:
    """Four openings at moments 1 to 4: of two doors, one a name of any bytes, and two sources."""
    store = Store(path)
    store.open()
    for moment in (1.0, 2.0, 3.0, 4.0):
        door = b"ssh" if moment < 3 else b"d\xfcr"
        source = "192.0.2.1" if moment % 2 else "2001:db8::1"
        store.do(Statement(INSERT, (door, source, *ROW[2:7], moment, 0.0)))
    return store


@pytest.mark.parametrize(
    ("question", "moments"),
    [
        (ANYTHING, [1, 2, 3, 4]),
        (Question("192.0.2.1", None, None, 100), [1, 3]),
        (Question(None, "ssh", None, 100), [1, 2]),
        (Question(None, "d\udcfcr", None, 100), [3, 4]),
        (Question(None, None, 2.0, 100), [2, 3, 4]),
        (Question(None, None, None, 2), [3, 4]),
        (Question("192.0.2.1", "ssh", 2.0, 100), []),
        (Question(None, "' OR 1 --", None, 100), []),
    ],
)
def test_what_is_remembered_is_told_oldest_first(
    path: Path, question: Question, moments: list[float]
) -> None:
    store = remembering(path)
    assert [past.opened for past in store.ask(question)] == moments
    store.close()
    assert [past.opened for past in read_past(path, question)] == moments


def test_an_opening_is_remembered_with_its_end(path: Path) -> None:
    store = holding_one(path)
    store.do(
        Statement("UPDATE openings SET state='closed', closed=9, cause='time', close_status=1")
    )
    assert store.ask(ANYTHING) == [Past("ssh", "192.0.2.1", ROW[7], 9.0, "closed", "time", None, 1)]


def test_a_file_that_is_not_open_remembers_nothing(path: Path) -> None:
    assert Store(path).ask(ANYTHING) == []


@pytest.mark.parametrize("content", [None, b"no database" * 100])
def test_what_cannot_be_read_is_told(path: Path, content: bytes | None) -> None:
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=re.escape(str(path))):
        read_past(path, ANYTHING)
    assert path.exists() is (content is not None)


def test_while_a_daemon_has_it_nobody_else_reads_it(path: Path) -> None:
    store = remembering(path)
    with pytest.raises(StoreError, match="locked"):
        read_past(path, ANYTHING)
    store.close()
