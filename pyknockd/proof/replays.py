"""Which packets were used, on the disk: each is good for one opening, across restarts and reboots.

A packet's digest is on the disk before it is said to be new. It stays there for as long as the packet
would be in time, so that the file is as small as what came within the window. What has been forgotten
cannot come back when the clock is set back: nothing stamped as early as anything forgotten is good any
more. Where the file is not as it was left, and nobody knows what was used, that is so of all that is
stamped before we started. The calls wait for the disk: a worker makes them, always the same thread.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from errno import EPERM
from pathlib import Path

from pyknockd.system.trust import others_can_change

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE used (digest BLOB PRIMARY KEY, stamped INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX by_time ON used (stamped);
CREATE TABLE forgotten (until INTEGER NOT NULL);
"""
_LOCK_SECONDS = 0.1  # how long another daemon is waited for


class ReplaysError(Exception):
    """The file cannot be used, so that no packet can; the text says why."""


class Use(Enum):
    """What the file says to a packet. Only NEW may open anything."""

    NEW = "new"
    REPLAYED = "replayed"
    FORGOTTEN = "forgotten"  # stamped at a time of which it is not known any more what was used


@dataclass(frozen=True, slots=True)
class Opened:
    """What there is to say of the file: ``remark`` says what was lost, empty if nothing was."""

    remark: str = ""


class Replays:
    """The file at ``path``. ``window`` is for how many seconds a packet is in time, before and after."""

    def __init__(self, path: Path, window: int) -> None:
        self._path = path
        self._window = window
        self._database: sqlite3.Connection | None = None

    def open(self, now: float) -> Opened:
        """Open the file, or make it; one that is damaged is put aside. Raises ReplaysError.

        ``now`` is Unix time. In a new file all is forgotten that is stamped up to then.
        """
        try:
            self._open(now)
        except sqlite3.OperationalError as error:
            raise ReplaysError(f"{self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            return self._begin_anew(error, now)
        except OSError as error:
            raise ReplaysError(f"{self._path}: {error.strerror}") from error
        return Opened()

    def use(self, digest: bytes, stamped: int, now: float) -> Use:
        """Whether a packet may be used, for the first and only time. Raises ReplaysError.

        ``stamped`` is the time in the packet, which has been found right by ``now``. NEW is on the disk.
        """
        database = self._database
        if database is None:
            raise ReplaysError(f"{self._path}: it is not open")
        try:
            database.execute("BEGIN IMMEDIATE")
            if stamped <= database.execute("SELECT max(until) FROM forgotten").fetchone()[0]:
                answer = Use.FORGOTTEN
            else:
                row = (digest, stamped)
                added = database.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", row).rowcount
                answer = Use.NEW if added == 1 else Use.REPLAYED
            if answer is Use.NEW:
                _forget(database, int(now) - self._window)
            database.execute("COMMIT")  # returns once it is on the disk
        except (sqlite3.Error, TypeError) as error:
            # What is not known to be on the disk has not been said to be new.
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise ReplaysError(f"{self._path}: {error}") from error
        return answer

    def close(self) -> None:
        """What has been used is in the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self, now: float) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._path.parent.resolve()
        if others_can_change(folder):
            # Whoever writes here can have a packet used twice.
            raise PermissionError(EPERM, "others can change what is in its folder", str(folder))
        self._path = folder / self._path.name
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        _sync(folder)
        self._database = _database(str(self._path), int(now))

    def _begin_anew(self, error: sqlite3.DatabaseError, now: float) -> Opened:
        aside = self._path.with_suffix(f".damaged-{int(time.time())}")
        try:
            self._path.rename(aside)
            for ending in ("-wal", "-shm"):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
            self._open(now)
        except (OSError, sqlite3.Error) as second:
            raise ReplaysError(f"{self._path}: {error}; and then: {second}") from second
        return Opened(
            f"the file of used packets is damaged ({error}); it is kept as {aside}, a new one begun,"
            " and no packet good that was stamped before"
        )


def _forget(database: sqlite3.Connection, before: int) -> None:
    """Leave out what was stamped ``before`` that time, and all other packets as old."""
    last = database.execute("SELECT max(stamped) FROM used WHERE stamped < ?", (before,)).fetchone()
    if last[0] is not None:
        database.execute("DELETE FROM used WHERE stamped < ?", (before,))
        database.execute("UPDATE forgotten SET until = max(until, ?)", (last[0],))


def _database(path: str, now: int) -> sqlite3.Connection:
    # The worker that uses it may not be the thread that opens it.
    database = sqlite3.connect(
        path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        # EXCLUSIVE keeps a second daemon from having a packet used a second time.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            database.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} INSERT INTO forgotten VALUES ({now});"
                f" PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT"
            )
        problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        if database.execute("SELECT max(until) FROM forgotten").fetchone()[0] is None:
            raise sqlite3.DatabaseError("it does not say what has been forgotten")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _sync(folder: Path) -> None:
    """A new file's name is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
