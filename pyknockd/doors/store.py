"""The journal's file: SQLite, and the only room that imports it. Its calls may wait for the disk."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from errno import EPERM
from pathlib import Path
from urllib.parse import quote

from pyknockd.model import Past, Question
from pyknockd.system.trust import others_can_change

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE openings (
    id INTEGER PRIMARY KEY,
    door BLOB NOT NULL,
    source TEXT NOT NULL,
    opening BLOB NOT NULL,
    closing BLOB,
    open_for REAL NOT NULL,
    state TEXT NOT NULL,
    boot TEXT NOT NULL,
    opened REAL NOT NULL,
    opened_since_boot REAL NOT NULL,
    open_status INTEGER,
    closed REAL,
    close_status INTEGER
);
CREATE INDEX standing ON openings (state) WHERE state != 'closed';
"""
_ADDED = ("cause TEXT",)
_LEFT = (
    "SELECT id, door, source, opening, closing, open_for, boot, opened, opened_since_boot"
    " FROM openings WHERE state NOT IN ('closed', 'looking', 'given-up') ORDER BY id"
)


_PAST = (
    "SELECT door, source, opened, closed, state, cause, open_status, close_status FROM openings"
    " WHERE (? IS NULL OR source = ?) AND (? IS NULL OR opened >= ?) AND (? IS NULL OR door = ?)"
    " ORDER BY id DESC LIMIT ?"
)


class StoreError(Exception):
    """The file cannot be used; ``passing``: another daemon has it, and may be about to end."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Left:
    """An opening that was left open: its commands, their address filled in.

    ``closing`` is None for one that does not close by itself; otherwise it is to be closed
    ``seconds_left`` from when it was read. ``rebooted``: it was opened before the host was booted.
    """

    number: int
    door: str
    source: str
    opening: str
    closing: str | None
    open_for: float
    seconds_left: float
    rebooted: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and what its question marks stand for."""

    text: str
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file held when it was opened: the openings left open, and the last one's number.

    ``remark`` is what there is to say of it.
    """

    left: tuple[Left, ...]
    last: int
    remark: str = ""


class Store:
    """The file at ``path``; to be used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_in_trouble = False  # whether the last statement could not be carried out
        self._database: sqlite3.Connection | None = None

    def open(self) -> Contents:
        """Open the file, or make it; one that is damaged is put aside. Raises StoreError."""
        try:
            return self._opened()
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._path}: {error}", passing=_is_locked(error)) from error
        except sqlite3.DatabaseError as error:
            remark = self._put_aside(error)
            try:
                return self._opened(remark)
            except sqlite3.Error as second:
                raise StoreError(f"{remark}; {self._path}: {second}") from second
        except OSError as error:
            raise StoreError(str(error)) from error

    def do(self, statement: Statement) -> None:
        """Carry ``statement`` out. Raises StoreError."""
        try:
            if self._database is not None:
                self._database.execute(statement.text, statement.values)
        except sqlite3.Error as error:
            self.is_in_trouble = True
            raise StoreError(str(error)) from error
        self.is_in_trouble = False

    def ask(self, question: Question) -> list[Past]:
        """The openings of ``question``, oldest first; none if the file is not open. Raises StoreError."""
        try:
            return [] if self._database is None else _past(self._database, question)
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    def close(self) -> None:
        """What has been done is in the file."""
        if self._database is not None:
            self._database.close()

    def _opened(self, remark: str = "") -> Contents:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._path.parent.resolve()
        if others_can_change(folder):
            # Whoever writes here says which commands root runs.
            raise PermissionError(EPERM, "others can change what is in it", str(folder))
        self._path = folder / self._path.name
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        self._database = _database(str(self._path))
        boot = boot_id()
        left = tuple(_left(row, boot) for row in self._database.execute(_LEFT))
        last = self._database.execute("SELECT max(id) FROM openings").fetchone()[0]
        return Contents(left, last or 0, remark)

    def _put_aside(self, error: sqlite3.DatabaseError) -> str:
        aside = self._path.with_suffix(f".damaged-{int(time.time())}")
        try:
            self._path.rename(aside)
        except OSError as failure:
            raise StoreError(
                f"it is damaged ({error}) and cannot be put aside ({failure.strerror})"
            ) from failure
        return f"the journal is damaged ({error}); it is kept as {aside}, a new one begun"


def read_past(path: Path, question: Question) -> list[Past]:
    """The openings of ``question`` in a file that no daemon has. Raises StoreError."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            return _past(database, question)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def _past(database: sqlite3.Connection, question: Question) -> list[Past]:
    wanted = (question.source, question.source, question.since, question.since)
    door = blob(question.door)
    rows = database.execute(_PAST, (*wanted, door, door, question.most)).fetchall()
    return [Past(_text(door) or "", *rest) for door, *rest in reversed(rows)]


def blob(text: str | None) -> bytes | None:
    """How texts that may hold any bytes are kept."""
    return None if text is None else text.encode("utf-8", "surrogateescape")


def since_boot() -> float:
    """Seconds, of a clock that all daemons of one boot share."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """What tells this boot from others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _database(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=0.1, isolation_level=None)
    try:
        # EXCLUSIVE keeps a second daemon from closing what it has not opened.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            database.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT"
            )
        columns = {row[1] for row in database.execute("PRAGMA table_info(openings)")}
        for column in _ADDED:
            if column.partition(" ")[0] not in columns:
                database.execute(f"ALTER TABLE openings ADD COLUMN {column}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _is_locked(error: sqlite3.Error) -> bool:
    # Python 3.10 does not tell the code.
    return "locked" in str(error)


def _left(row: tuple[object, ...], boot: str) -> Left:
    number, door, source, opening, closing, open_for, opened_in, opened, opened_since_boot = row
    rebooted = opened_in != boot
    passed = (
        time.time() - _number(opened) if rebooted else since_boot() - _number(opened_since_boot)
    )
    left = min(max(_number(open_for) - passed, 0.0), _number(open_for))
    return Left(
        int(_number(number)),
        _text(door) or "",
        str(source),
        _text(opening) or "",
        _text(closing),
        _number(open_for),
        left,
        rebooted,
    )


def _text(value: object) -> str | None:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
