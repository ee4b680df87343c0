"""The journal of open doors."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pyknockd.doors import Left
from pyknockd.doors import journal as journal_module
from pyknockd.doors.journal import FIRST_RETRY_SECONDS, Journal
from pyknockd.doors.opening import Opening, Plan, State
from pyknockd.doors.store import Statement, StoreError
from pyknockd.model import Change, ChangeKind, Past, Question
from pyknockd.model.events import ClosedCause
from tests.support.lab import PATIENCE


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


def settled(journal: Journal) -> None:
    """Everything is written down, and taken note of."""
    assert journal._worker.settle(PATIENCE)
    journal.work(0.0)


def pragma(journal: Journal, text: str) -> None:
    """Behind the journal's back, in the thread that may."""

    def set_it() -> None:
        assert journal._store is not None
        assert journal._store._database is not None
        journal._store._database.execute(f"PRAGMA {text}")

    assert journal._worker.submit(set_it)


def reopened(path: Path, journal: Journal) -> list[Left]:
    """What the next daemon finds."""
    journal.close()
    following = Journal(path)
    left = following.left()
    assert following.events() == []
    following.close()
    return list(left)


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
    is_closed(journal, opening, status=3)
    assert reopened(path, journal) == []
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


def test_a_second_daemon_keeps_its_hands_off_until_the_first_has_ended(path: Path) -> None:
    first, now = Journal(path), time.monotonic()
    of_first = stands(first, timed(first))
    second = Journal(path)
    assert second.left() == ()
    assert [event.over for event in second.events()] == [False]
    assert not second.is_kept
    of_second = stands(second, timed(second, "web"))
    retry = second.next_deadline()
    assert retry is not None
    assert retry <= time.monotonic() + FIRST_RETRY_SECONDS
    second.work(now)
    assert second.next_deadline() == retry

    second.work(retry)  # in vain, and not told again
    settled(second)
    again = second.next_deadline()
    assert again is not None
    assert again > retry
    assert second.events() == []

    first.close()
    second.work(again)
    settled(second)
    assert second.is_kept
    assert [left.number for left in second.left()] == [of_first.number]
    assert second.left() == ()
    assert [event.over for event in second.events()] == [True]
    assert second.next_deadline() is None
    # What it opened meanwhile is written down as well.
    left = [left.number for left in reopened(path, second)]
    assert left == [of_first.number, of_second.number]


def test_while_the_file_cannot_be_had_no_more_than_so_much_is_kept_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MOST_WAITING", 10)
    first, second = Journal(path), None
    second = Journal(path)
    for _ in range(20):
        stands(second, timed(second))
    assert len(second._waiting) == 10
    first.close()


def test_a_disk_that_hangs_is_waited_for_once_and_said(path: Path) -> None:
    journal, hangs = Journal(path), threading.Event()

    def hang() -> None:
        hangs.wait(PATIENCE)

    assert journal._worker.submit(hang)
    for _ in range(20):
        stands(journal, timed(journal))
    (event,) = journal.events()
    assert (event.text, event.over) == (
        "the journal's disk does not answer, doors do not wait for it",
        False,
    )
    journal.work(time.monotonic())
    assert journal.events() == []
    hangs.set()
    settled(journal)
    (event,) = journal.events()
    assert (event.text, event.over) == ("the journal's disk answers again", True)
    assert len(reopened(path, journal)) == 20


def test_what_a_disk_that_hangs_has_no_room_for_is_counted(path: Path) -> None:
    journal, hangs = Journal(path), threading.Event()
    journal._worker._most_waiting = 10

    def hang() -> None:
        hangs.wait(PATIENCE)

    assert journal._worker.submit(hang)
    for _ in range(20):
        stands(journal, timed(journal))
    hangs.set()
    settled(journal)
    assert journal.events()[-1].text == (
        "the journal's disk answers again, 31 changes of doors were not written down"
    )


def test_trouble_is_told_once_and_ends_nothing(path: Path) -> None:
    journal = Journal(path)
    pragma(journal, "query_only = 1")  # what a full disk comes to
    for _ in range(5):
        stands(journal, timed(journal))
    settled(journal)
    (event,) = journal.events()
    assert not event.over
    pragma(journal, "query_only = 0")
    stands(journal, timed(journal))
    settled(journal)
    (event,) = journal.events()
    assert (event.text, event.over) == ("the journal can be written again", True)


def test_history_is_bounded_and_open_doors_are_never_trimmed(path: Path) -> None:
    journal = Journal(path)
    standing = stands(journal, timed(journal))
    for _ in range(500):
        is_closed(journal, stands(journal, timed(journal)))
        journal.trim(50, 90)
    (left,) = reopened(path, journal)
    assert left.number == standing.number
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute("SELECT count(*) FROM openings").fetchone()
    assert 50 < count <= 50 + 100 + 1


ANYTHING = Question(None, None, None, 100)


def test_what_is_asked_is_answered_in_the_loop_after_what_was_written_before(path: Path) -> None:
    journal = Journal(path)
    stands(journal, timed(journal, source="192.0.2.1"))
    is_closed(journal, stands(journal, timed(journal, source="192.0.2.2")))
    answers: list[list[Past] | StoreError] = []
    assert journal.ask(ANYTHING, answers.append)
    settled(journal)
    (found,) = answers
    assert isinstance(found, list)
    assert [(past.source, past.state, past.cause) for past in found] == [
        ("192.0.2.1", "open", None),
        ("192.0.2.2", "closed", "time"),
    ]
    journal.close()


def test_a_journal_that_keeps_nothing_cannot_be_asked() -> None:
    answers: list[object] = []
    assert not Journal(None).ask(ANYTHING, answers.append)
    assert answers == []


def test_what_cannot_be_read_is_answered_with_why(path: Path) -> None:
    journal = Journal(path)
    assert journal._worker.submit(lambda: _drop(journal))
    answers: list[list[Past] | StoreError] = []
    assert journal.ask(ANYTHING, answers.append)
    settled(journal)
    (found,) = answers
    assert isinstance(found, StoreError)
    assert "no such table" in str(found)


def _drop(journal: Journal) -> None:
    assert journal._store is not None
    journal._store.do(Statement("DROP TABLE openings"))
