"""Which doors stand open, kept across restarts and crashes, and who opened what: SQLite.

An opening is written down before its command runs, so that there is no rule without a record. Nothing
waits for the disk: a killed process loses nothing that was written, and a power loss takes the rules
as well. Trouble with the disk is told once and keeps no door from opening or closing.

The states in it are those of ``opening.State``. Columns may be added and never change their meaning,
so that an older version goes on with what a newer one has written.
"""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from errno import EPERM
from pathlib import Path

from pyknockd.doors.opening import Opening, State
from pyknockd.model.events import Side, Trouble
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
_ADDED = ("cause TEXT",)
_STANDING = frozenset((State.OPENING_HUNG, State.OPEN))
# ?1 and ?2 are now, by the wall clock and since the boot; ?5 is when it is to be closed, since the boot.
_STANDS = """
UPDATE openings SET state = ?3, open_status = ?4,
    opened = CASE state WHEN 'opening' THEN ?1 ELSE opened END,
    opened_since_boot = CASE state WHEN 'opening' THEN ?2 ELSE opened_since_boot END,
    open_for = coalesce(?5 - CASE state WHEN 'opening' THEN ?2 ELSE opened_since_boot END, open_for)
WHERE id = ?6
"""


@dataclass(frozen=True, slots=True)
class Left:
    """An opening that was left open: its commands, their address filled in.

    ``closing`` is None for one that does not close by itself; otherwise it is to be closed
    ``seconds_left`` from now. ``rebooted``: it was opened before the host was booted.
    """

    number: int
    door: str
    source: str
    opening: str
    closing: str | None
    open_for: float
    seconds_left: float
    rebooted: bool


class Journal:
    """One file. Its methods never raise: what goes wrong is told once, until all is well again."""

    def __init__(self, path: Path | None) -> None:
        """``path`` None keeps everything in memory, for as long as the process lives."""
        self._events: list[Trouble] = []
        self._troubled = False
        self._since_trim = 0
        self._boot = _boot_id()
        self._path = path
        self._database = self._open()
        rows = self._do("SELECT max(id) FROM openings")
        self._last = next((row[0] or 0 for row in rows), 0) if rows is not None else 0

    @property
    def is_kept(self) -> bool:
        """Whether what is written down outlives this process."""
        return self._path is not None

    def number(self) -> int:
        """The number of the next opening."""
        self._last += 1
        return int(self._last)

    def save(self, opening: Opening) -> None:
        """Write down how ``opening`` is now. What only waits for its turn has changed nothing yet."""
        if opening.state is State.WAITING:
            return
        state = opening.state
        if state is State.OPENING:
            self._insert(opening)
        elif state is State.CLOSED:
            self._do(
                "UPDATE openings SET state = ?, closed = ?, close_status = ?, cause = ? WHERE id = ?",
                *(state.value, time.time(), opening.status),
                *(opening.cause.value if opening.cause else None, opening.number),
            )
        elif state in _STANDING:
            # Its time runs from when it first stood open.
            ends = (
                None if opening.until is None else opening.until - time.monotonic() + _since_boot()
            )
            self._do(
                _STANDS,
                time.time(),
                _since_boot(),
                state.value,
                opening.status,
                ends,
                opening.number,
            )
        else:
            self._do("UPDATE openings SET state = ? WHERE id = ?", state.value, opening.number)

    def _insert(self, opening: Opening) -> None:
        plan, change = opening.plan, opening.plan.opening
        closing = plan.closing.command if plan.closing else None
        self._do(
            "INSERT INTO openings (id, door, source, opening, closing, open_for, state, boot,"
            " opened, opened_since_boot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state",  # it has looked meanwhile
            *(opening.number, _blob(change.door), change.source, _blob(change.command)),
            *(_blob(closing), plan.open_for, opening.state.value, self._boot),
            *(time.time(), _since_boot()),
        )

    def left(self) -> list[Left]:
        """Every opening that had begun to do something and was not closed."""
        rows = self._do(
            "SELECT id, door, source, opening, closing, open_for, boot, opened, opened_since_boot"
            " FROM openings WHERE state NOT IN ('closed', 'looking', 'given-up') ORDER BY id"
        )
        return [self._left(row) for row in rows] if rows is not None else []

    def forget(self, left: Left) -> None:
        """It is over, though nothing was done."""
        closed = State.CLOSED.value
        self._do("UPDATE openings SET state = ? WHERE id = ?", closed, left.number)

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

    def events(self) -> list[Trouble]:
        """What there is to tell since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self._database.close()

    def _left(self, row: tuple[object, ...]) -> Left:
        number, door, source, opening, closing, open_for, boot, opened, since_boot = row
        rebooted = boot != self._boot
        passed = time.time() - _number(opened) if rebooted else _since_boot() - _number(since_boot)
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

    def _tell(self, text: str, *, over: bool = False) -> None:
        self._events.append(Trouble(time.monotonic(), Side.JOURNAL, text, over))

    def _do(self, statement: str, *values: object) -> sqlite3.Cursor | None:
        try:
            done = self._database.execute(statement, values)
        except sqlite3.Error as error:
            if not self._troubled:
                self._troubled = True
                self._tell(f"the journal cannot be written, doors go on without it: {error}")
            return None
        if self._troubled:
            self._troubled = False
            self._tell("the journal can be written again", over=True)
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
            self._tell(f"no journal, open doors are not remembered: {self._path}: {error}")
        except sqlite3.DatabaseError as error:
            return self._begin_anew(self._path, error)
        except OSError as error:
            self._tell(f"no journal, open doors are not remembered: {error}")
        self._path = None
        return _database(":memory:")

    def _begin_anew(self, path: Path, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        aside = path.with_suffix(f".damaged-{int(time.time())}")
        try:
            path.rename(aside)
        except OSError as failure:
            self._tell(
                f"the journal is damaged ({error}) and cannot be put aside ({failure.strerror}):"
                " open doors are not remembered"
            )
            self._path = None
            return _database(":memory:")
        self._tell(f"the journal is damaged ({error}); it is kept as {aside}, a new one begun")
        return self._open()


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


def _blob(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _text(value: object) -> str | None:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
