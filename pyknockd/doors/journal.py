"""Which doors stand open, kept across restarts and crashes, and who opened what.

An opening is written down before its command runs, so that there is no rule without a record: a
killed process loses nothing that was written, and a power loss takes the rules as well. The file is
written beside the loop, which waits for it for a moment only; a disk that hangs, and every other
trouble with it, is told once and keeps no door from opening or closing.

A file that another daemon has, which may be about to end, is tried again. The states in it are those
of ``opening.State``. Columns may be added and never change their meaning, so that an older version
goes on with what a newer one has written.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyknockd.doors.opening import Opening, State
from pyknockd.doors.store import (
    Contents,
    Left,
    Statement,
    Store,
    StoreError,
    blob,
    boot_id,
    since_boot,
)
from pyknockd.model import Past, Question
from pyknockd.model.events import Side, Trouble
from pyknockd.system.worker import Worker

OPEN_SECONDS = 3.0  # that a start waits for the file
WRITE_SECONDS = 0.05  # that an opening waits until it is written down
CLOSE_SECONDS = 5.0  # that a stop waits until everything is
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0
MOST_WAITING = 10_000  # statements
_TRIM_EVERY = 100  # openings
_STANDING = frozenset((State.OPENING_HUNG, State.OPEN))
# ?1 and ?2 are now, by the wall clock and since the boot; ?5 is when it is to be closed, since the boot.
_STANDS = """
UPDATE openings SET state = ?3, open_status = ?4,
    opened = CASE state WHEN 'opening' THEN ?1 ELSE opened END,
    opened_since_boot = CASE state WHEN 'opening' THEN ?2 ELSE opened_since_boot END,
    open_for = coalesce(?5 - CASE state WHEN 'opening' THEN ?2 ELSE opened_since_boot END, open_for)
WHERE id = ?6
"""
_INSERT = (
    "INSERT INTO openings (id, door, source, opening, closing, open_for, state, boot,"
    " opened, opened_since_boot) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET state = excluded.state"  # it has looked meanwhile
)
_CLOSE = "UPDATE openings SET state = ?, closed = ?, close_status = ?, cause = ? WHERE id = ?"
_CHANGE = "UPDATE openings SET state = ? WHERE id = ?"
_TRIM = (
    "DELETE FROM openings WHERE state = 'closed' AND (opened < ? OR id <="
    " (SELECT id FROM openings ORDER BY id DESC LIMIT 1 OFFSET ?))"
)


class Journal:
    """One file. Its methods never raise: what goes wrong is told once, until all is well again."""

    def __init__(self, path: Path | None) -> None:
        """``path`` None: nothing is remembered."""
        self._events: list[Trouble] = []
        self._worker = Worker(MOST_WAITING)
        self._store = None if path is None else Store(path)
        self._is_open = False
        self._waiting: deque[Statement] = deque()  # until the file is open
        self._left: tuple[Left, ...] = ()
        self._is_slow = False
        self._lost = 0  # statements, for which there was no room
        self._retry_at: float | None = None
        self._delay = FIRST_RETRY_SECONDS
        self._since_trim = 0
        self._boot = boot_id()
        # Until the file is open: later than any number in it.
        self._last = 0 if path is None else int(time.time() * 1000)
        if self._store is not None:
            self._worker.submit(partial(_open, self._store, self._opened, self._not_opened))
            self._worker.settle(OPEN_SECONDS)
            self._take_note()

    @property
    def is_kept(self) -> bool:
        """Whether what is written down outlives this process."""
        return self._is_open

    def number(self) -> int:
        """The number of the next opening."""
        self._last += 1
        return self._last

    def save(self, opening: Opening) -> None:
        """Write down how ``opening`` is now. What only waits for its turn has changed nothing yet."""
        state, number = opening.state, opening.number
        if state is State.WAITING:
            return
        if state is State.OPENING:
            self._do(_INSERT, *self._row(opening))
            self._wait()
        elif state is State.CLOSED:
            cause = opening.cause.value if opening.cause else None
            self._do(_CLOSE, state.value, time.time(), opening.status, cause, number)
        elif state in _STANDING:
            # Its time runs from when it first stood open.
            ends = (
                None if opening.until is None else opening.until - time.monotonic() + since_boot()
            )
            now = (time.time(), since_boot())
            self._do(_STANDS, *now, state.value, opening.status, ends, number)
        else:
            self._do(_CHANGE, state.value, number)

    def left(self) -> tuple[Left, ...]:
        """Every opening that had begun to do something and was not closed, once the file is open.

        Each is given out once.
        """
        left, self._left = self._left, ()
        return left

    def forget(self, left: Left) -> None:
        """It is over, though nothing was done."""
        self._do(_CHANGE, State.CLOSED.value, left.number)

    def trim(self, rows: int, days: int) -> None:
        """Forget what is older than ``days`` and all but the last ``rows``; now and then."""
        self._since_trim += 1
        if self._since_trim >= _TRIM_EVERY:
            self._since_trim = 0
            self._do(_TRIM, time.time() - days * 86_400, rows)

    def ask(self, question: Question, answer: Callable[[list[Past] | StoreError], None]) -> bool:
        """Have ``answer`` called in ``work`` with what is remembered, or why it cannot be read.

        False if nothing is remembered, or its disk has not answered for long.
        """
        if not self._is_open or self._store is None:
            return False
        return self._worker.submit(partial(_ask, self._store, question, answer))

    def work(self, now: float) -> None:
        """Take note of what has been done, and try again what is to be tried again."""
        self._take_note()
        if self._is_slow and self._worker.settle(0.0):
            self._is_slow = False
            lost, self._lost = self._lost, 0
            said = f", {lost} changes of doors were not written down" if lost else ""
            self._tell(f"the journal's disk answers again{said}", over=True)
        if self._retry_at is not None and now >= self._retry_at and self._store is not None:
            self._retry_at = None
            self._worker.submit(partial(_open, self._store, self._opened, self._not_opened))

    def fileno(self) -> int:
        """Readable when ``work`` has something to take note of."""
        return self._worker.fileno()

    def next_deadline(self) -> float | None:
        """When ``work`` is to be called at the latest, or None."""
        return self._retry_at

    def events(self) -> list[Trouble]:
        """What there is to tell since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Everything is in the file, if its disk answers in time."""
        if self._store is not None:
            self._worker.submit(partial(_close, self._store))
            self._worker.settle(CLOSE_SECONDS)

    def _row(self, opening: Opening) -> tuple[object, ...]:
        plan, change = opening.plan, opening.plan.opening
        closing = plan.closing.command if plan.closing else None
        who = (opening.number, blob(change.door), change.source)
        what = (blob(change.command), blob(closing), plan.open_for)
        return (*who, *what, opening.state.value, self._boot, time.time(), since_boot())

    def _do(self, text: str, *values: object) -> None:
        statement = Statement(text, values)
        if self._is_open:
            self._submit(statement)
        elif self._store is not None:
            # The oldest is the first that no longer matters.
            self._waiting.append(statement)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()

    def _submit(self, statement: Statement) -> None:
        assert self._store is not None
        if not self._worker.submit(partial(_do, self._store, statement, self._turned)):
            self._lost += 1

    def _wait(self) -> None:
        """Until everything is written down, or for a moment."""
        if self._is_open and not self._is_slow and not self._worker.settle(WRITE_SECONDS):
            self._is_slow = True
            self._tell("the journal's disk does not answer, doors do not wait for it")

    def _take_note(self) -> None:
        for tell in self._worker.done():
            tell()

    def _opened(self, contents: Contents) -> None:
        if self._waiting or self._delay > FIRST_RETRY_SECONDS:
            self._tell("the journal is there now", over=True)
        if contents.remark:
            self._tell(contents.remark)
        self._is_open = True
        self._left = contents.left
        self._last = max(self._last, contents.last) if self._waiting else contents.last
        while self._waiting:
            self._submit(self._waiting.popleft())

    def _not_opened(self, error: StoreError) -> None:
        if not error.passing:
            self._tell(f"no journal, open doors are not remembered: {error}")
            self._store = None
            self._waiting.clear()
            return
        if self._delay == FIRST_RETRY_SECONDS:
            self._tell(
                f"no journal until another daemon lets go of it, doors go on without it: {error}"
            )
        self._retry_at = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, LAST_RETRY_SECONDS)

    def _turned(self, problem: str) -> None:
        """It could be written and cannot any more, or the other way round."""
        if problem:
            self._tell(f"the journal cannot be written, doors go on without it: {problem}")
        else:
            self._tell("the journal can be written again", over=True)

    def _tell(self, text: str, *, over: bool = False) -> None:
        self._events.append(Trouble(time.monotonic(), Side.JOURNAL, text, over))


# What follows is done in the worker's thread; what it returns is called in the loop.


def _open(
    store: Store, opened: Callable[[Contents], None], not_opened: Callable[[StoreError], None]
) -> Callable[[], None]:
    try:
        return partial(opened, store.open())
    except StoreError as error:
        return partial(not_opened, error)


def _do(
    store: Store, statement: Statement, turned: Callable[[str], None]
) -> Callable[[], None] | None:
    was_in_trouble = store.is_in_trouble
    try:
        store.do(statement)
    except StoreError as error:
        return None if was_in_trouble else partial(turned, str(error))
    return partial(turned, "") if was_in_trouble else None


def _ask(
    store: Store, question: Question, answer: Callable[[list[Past] | StoreError], None]
) -> Callable[[], None]:
    try:
        return partial(answer, store.ask(question))
    except StoreError as error:
        return partial(answer, error)


def _close(store: Store) -> None:
    store.close()
