"""Which doors stand open, kept across restarts and crashes, and who opened what: SQLite.

A door is written down before its rule is made, so that there is no rule without a record. Nothing
waits for the disk: a killed process loses nothing that was written, and a power loss takes the rules
as well. Trouble with the disk is told once and keeps no door from opening or closing.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import EPERM
from pathlib import Path

from pyknockd.system.trust import others_can_change

_SCHEMA_VERSION = 1
_TRIM_EVERY = 100  # openings
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


@dataclass(frozen=True, slots=True)
class Record:
    """An opening to be written down: the commands with their address filled in.

    ``closing`` is None for a door that does not close by itself.
    """

    door: str
    source: str
    opening: str
    closing: str | None
    open_for: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A door that was left open, and how many seconds from now it is to be closed."""

    number: int
    record: Record
    seconds_left: float


class JournalError(Exception):
    """The journal cannot be used at all."""


class Journal:
    """One file. Its methods never raise: ``trouble`` is told once, until all is well again."""

    def __init__(self, path: Path | None, trouble: Callable[[str], None]) -> None:
        """``path`` None keeps everything in memory, for as long as the process lives."""
        self._trouble = trouble
        self._troubled = False
        self._since_trim = 0
        self._boot = _boot_id()
        self._path = path
        self._database = self._open()

    def opening(self, record: Record) -> int:
        """Write down that a door is about to be opened; its number."""
        row = (
            *(_blob(record.door), record.source, _blob(record.opening), _blob(record.closing)),
            *(record.open_for, "open" if record.closing is not None else "closed", self._boot),
            *(time.time(), _since_boot()),
        )
        done = self._do(
            "INSERT INTO openings (door, source, opening, closing, open_for, state, boot, opened,"
            " opened_since_boot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *row,
        )
        return done.lastrowid or 0 if done is not None else 0

    def opened(self, number: int, status: int) -> None:
        """The opening command has ended: the time of the door runs from now."""
        self._do(
            "UPDATE openings SET open_status = ?, opened = ?, opened_since_boot = ? WHERE id = ?",
            *(status, time.time(), _since_boot(), number),
        )

    def closing(self, number: int) -> None:
        """The closing command is about to run."""
        self._do("UPDATE openings SET state = 'closing' WHERE id = ?", number)

    def closed(self, number: int, status: int | None) -> None:
        """The door is closed; ``status`` None if nothing had to be run for it."""
        self._do(
            "UPDATE openings SET state = 'closed', closed = ?, close_status = ? WHERE id = ?",
            *(time.time(), status, number),
        )

    def standing(self) -> list[Standing]:
        """Every door that was written down as open and not yet as closed."""
        rows = self._do(
            "SELECT id, door, source, opening, closing, open_for, boot, opened, opened_since_boot"
            " FROM openings WHERE state != 'closed' ORDER BY id"
        )
        return [self._standing(row) for row in rows] if rows is not None else []

    def trim(self, rows: int, days: int) -> None:
        """Forget what is older than ``days`` and all but the last ``rows``; now and then."""
        self._since_trim += 1
        if self._since_trim < _TRIM_EVERY:
            return
        self._since_trim = 0
        self._do(
            "DELETE FROM openings WHERE state = 'closed' AND (opened < ? OR id <="
            " (SELECT max(id) FROM openings) - ?)",
            *(time.time() - days * 86_400, rows),
        )

    def close(self) -> None:
        self._database.close()

    def _standing(self, row: tuple[object, ...]) -> Standing:
        number, door, source, opening, closing, open_for, boot, opened, since_boot = row
        record = Record(_text(door), str(source), _text(opening), _text(closing), _number(open_for))
        if boot == self._boot:
            passed = _since_boot() - _number(since_boot)
        else:
            passed = time.time() - _number(opened)
        left = min(max(record.open_for - passed, 0.0), record.open_for)
        return Standing(int(_number(number)), record, left)

    def _do(self, statement: str, *values: object) -> sqlite3.Cursor | None:
        try:
            done = self._database.execute(statement, values)
        except sqlite3.Error as error:
            if not self._troubled:
                self._troubled = True
                self._trouble(f"the journal cannot be written, doors go on without it: {error}")
            return None
        if self._troubled:
            self._troubled = False
            self._trouble("the journal can be written again")
        return done

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            return _database(":memory:")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self._path.parent.resolve()
            if others_can_change(folder):
                # Whoever writes here says which commands root runs.
                raise PermissionError(EPERM, "others can change what is in it", str(folder))
            self._path = folder / self._path.name
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            return _database(str(self._path))
        except sqlite3.OperationalError as error:
            self._trouble(f"no journal, open doors are not remembered: {self._path}: {error}")
        except sqlite3.DatabaseError as error:
            aside = self._path.with_suffix(f".damaged-{int(time.time())}")
            self._path.rename(aside)
            self._trouble(
                f"the journal is damaged ({error}); it is kept as {aside}, a new one begun"
            )
            return self._open()
        except OSError as error:
            self._trouble(f"no journal, open doors are not remembered: {error}")
        return _database(":memory:")


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
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            database.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT"
            )
        elif version != _SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"version {version} is not known")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _blob(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
