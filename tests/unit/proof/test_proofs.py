"""Proofs behind one face: sequences, and those that are good for one opening."""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from pyknockd.model import Door, Flags, InForce, Knock, Limits, Protocol, Step
from pyknockd.model.events import (
    AttemptEnded,
    AttemptEvent,
    EndCause,
    NotHeardCause,
    Opened,
    RefusalCause,
    Refused,
    SequenceChanged,
    StageReached,
)
from pyknockd.proof import Marked, Proofs, onetime
from pyknockd.system.worker import Worker
from tests.support.lab import PATIENCE

HERE = "192.0.2.1"
_numbers = count(1)


def steps(*ports: int) -> tuple[Step, ...]:
    return tuple(Step(port, Protocol.TCP) for port in ports)


def knocks(*ports: int, source: str = "198.51.100.1") -> Iterator[Knock]:
    for port in ports:
        number = next(_numbers)
        yield Knock(source, HERE, True, Protocol.TCP, port, 40_000, Flags.SYN, number, 1.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sequences"
    path.write_text("1,2\n3,4\n5,6\n")
    return path


class Guard:
    """Proofs, and the loop around them."""

    def __init__(self, *doors: Door) -> None:
        self.worker = Worker()
        self.marked: list[Marked] = []
        self.proofs = self.guarding(*doors)

    def guarding(self, *doors: Door) -> Proofs:
        return Proofs(doors, Limits(), self.worker, self.marked.append)

    def knock(self, *ports: int, source: str = "198.51.100.1") -> list[AttemptEvent]:
        return [e for one in knocks(*ports, source=source) for e in self.proofs.feed(one)]

    def settle(self) -> list[AttemptEvent]:
        """What comes once one job is done."""
        while not self.marked:
            assert select.select([self.worker], [], [], PATIENCE)[0]
            for tell in self.worker.done():
                tell()
        return self.proofs.settle(self.marked.pop(0))

    def opens(self, *ports: int) -> list[AttemptEvent]:
        return [*self.knock(*ports), *self.settle()]


def once(path: Path | str, *ports: int, name: str = "once") -> Door:
    return Door(name, steps(*ports), one_time_file=str(path))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """As by another program."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def kinds(events: list[AttemptEvent]) -> list[type]:
    return [type(event) for event in events]


def test_a_sequence_opens_its_door_at_once() -> None:
    guard = Guard(Door("d", steps(7, 8)))
    events = guard.knock(7, 8)
    assert kinds(events) == [StageReached, StageReached, Opened]
    assert not select.select([guard.worker], [], [], 0)[0]


def test_what_is_listened_for_remembered_and_over_is_the_sequences() -> None:
    guard = Guard(Door("d", steps(7, 8), timeout=5.0))
    assert [(one.low, one.high) for one in guard.proofs.listens()] == [(7, 7), (8, 8)]
    assert not guard.proofs.knows("198.51.100.1")
    assert guard.proofs.next_deadline() is None
    guard.knock(7)
    assert guard.proofs.knows("198.51.100.1")
    assert guard.proofs.next_deadline() == 6.0
    assert guard.proofs.expire(5.999) == []
    (ended,) = guard.proofs.expire(6.0)
    assert isinstance(ended, AttemptEnded) and ended.cause is EndCause.TOO_LATE


def test_what_is_near_to_the_sequence_in_force_is_told(file: Path) -> None:
    guard = Guard(once(file, 1, 2))
    (stray,) = knocks(7)
    assert guard.proofs.near(stray) == []
    guard.opens(1, 2)
    (near,) = guard.proofs.near(stray)
    assert near.cause is NotHeardCause.NEAR_PORT
    assert guard.proofs.elsewhere(next(knocks(4)))[0].cause is NotHeardCause.NOT_LISTENED_ON


def test_what_marks_a_sequence_may_be_another(file: Path) -> None:
    used = []

    def use(path: str, sequence: tuple[Step, ...]) -> InForce:
        used.append((path, sequence))
        return InForce()

    guard = Guard()
    guard.proofs = Proofs([once(file, 1, 2)], Limits(), guard.worker, guard.marked.append, use)
    assert Opened in kinds(guard.opens(1, 2))
    assert used == [(str(file), steps(1, 2))]
    assert file.read_text() == "1,2\n3,4\n5,6\n"


def test_the_end_of_a_capture_ends_what_is_under_way() -> None:
    guard = Guard(Door("d", steps(7, 8)))
    guard.knock(7)
    (ended,) = guard.proofs.end(2.0, EndCause.CAPTURE_ENDED)
    assert isinstance(ended, AttemptEnded) and ended.cause is EndCause.CAPTURE_ENDED


def test_where_other_doors_are_guarded_every_attempt_is_over() -> None:
    guard = Guard(Door("d", steps(7, 8)))
    guard.knock(7)
    (ended,) = guard.proofs.end(2.0)
    assert isinstance(ended, AttemptEnded) and ended.cause is EndCause.RELOAD


def test_a_one_time_sequence_opens_once_it_is_marked_as_used_and_the_next_is_in_force(
    file: Path,
) -> None:
    guard = Guard(once(file, 1, 2))
    assert kinds(guard.knock(1, 2)) == [StageReached, StageReached]
    opened, changed = guard.settle()
    assert isinstance(opened, Opened) and opened.door.steps == steps(1, 2)
    assert isinstance(changed, SequenceChanged) and changed.door.steps == steps(3, 4)
    assert changed.left == 2
    assert file.read_text() == "#,2\n3,4\n5,6\n"
    assert [one.low for one in guard.proofs.listens()] == [3, 4]
    assert Opened in kinds(guard.opens(3, 4))


def test_meanwhile_nobody_can_use_the_sequence_again(file: Path) -> None:
    guard = Guard(once(file, 1, 2))
    with locked(file):
        guard.knock(1, 2)
        assert guard.knock(1, 2, source="198.51.100.2") == []
        assert guard.knock(3, 4, source="198.51.100.3") == []
    guard.settle()
    assert guard.knock(1, 2, source="198.51.100.2") == []
    assert file.read_text() == "#,2\n3,4\n5,6\n"


def test_every_other_attempt_at_a_used_sequence_is_over(file: Path) -> None:
    guard = Guard(once(file, 1, 2))
    guard.knock(1, source="198.51.100.2")
    ended = [e for e in guard.knock(1, 2) if isinstance(e, AttemptEnded)]
    assert [(e.source, e.cause) for e in ended] == [("198.51.100.2", EndCause.ONE_TIME_USED)]


def test_after_the_last_sequence_the_door_is_told_to_have_none(file: Path) -> None:
    guard = Guard(once(file, 1, 2))
    for ports in ((1, 2), (3, 4)):
        assert Opened in kinds(guard.opens(*ports))
    opened, changed = guard.opens(5, 6)[-2:]
    assert isinstance(opened, Opened)
    assert isinstance(changed, SequenceChanged) and changed.door.steps == ()
    assert guard.proofs.listens() == ()
    assert guard.knock(5, 6) == []


def test_of_doors_with_one_file_one_opens_and_they_go_on_together(file: Path) -> None:
    guard = Guard(once(file, 1, 2, name="a"), once(file, 1, 2, name="b"))
    events = guard.opens(1, 2)
    assert [e.door.name for e in events if isinstance(e, Opened)] == ["a"]
    (refused,) = (e for e in events if isinstance(e, Refused))
    assert (refused.door.name, "used already" in refused.text) == ("b", True)
    changed = [e for e in events if isinstance(e, SequenceChanged)]
    assert [(e.door.name, e.door.steps) for e in changed] == [
        ("a", steps(3, 4)),
        ("b", steps(3, 4)),
    ]
    assert file.read_text() == "#,2\n3,4\n5,6\n"


def test_a_door_with_another_file_and_one_without_are_left_alone(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("1,2\n")
    guard = Guard(once(file, 1, 2), once(other, 1, 9, name="other"), Door("plain", steps(1, 2)))
    events = guard.knock(1, 2)
    assert [e.door.name for e in events if isinstance(e, Opened)] == ["plain"]
    assert [e.door.name for e in guard.settle()] == ["once", "once"]
    assert [one.low for one in guard.proofs.listens()] == [3, 4, 1, 9, 1, 2]


def test_a_sequence_that_somebody_else_has_marked_opens_nothing_and_the_next_is_in_force(
    file: Path,
) -> None:
    guard = Guard(once(file, 1, 2))
    file.write_text("#,2\n3,4\n")
    refused, changed = guard.opens(1, 2)[-2:]
    assert isinstance(refused, Refused) and refused.cause is RefusalCause.ONE_TIME_FILE
    assert refused.text == f"{file}: the sequence has been used already"
    assert isinstance(changed, SequenceChanged) and changed.door.steps == steps(3, 4)


def test_where_the_file_is_gone_the_door_stays_shut_and_has_no_sequence(file: Path) -> None:
    guard = Guard(once(file, 1, 2))
    file.unlink()
    refused, changed = guard.opens(1, 2)[-2:]
    assert isinstance(refused, Refused)
    assert refused.text == f"{file}: No such file or directory"
    assert isinstance(changed, SequenceChanged) and changed.door.steps == ()


def test_a_file_that_stays_locked_opens_nothing_and_its_sequence_stays_in_force(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onetime, "LOCK_SECONDS", 0.0)
    guard = Guard(once(file, 1, 2))
    with locked(file):
        refused, changed = guard.opens(1, 2)[-2:]
    assert isinstance(refused, Refused)
    assert refused.text == f"{file}: another program holds it locked"
    assert isinstance(changed, SequenceChanged) and changed.door.steps == steps(1, 2)
    assert Opened in kinds(guard.opens(1, 2))


def test_a_door_that_its_file_gave_no_sequence_is_told_to_be_disabled(file: Path) -> None:
    disabled = replace(once(file), problem="all are used")
    guard = Guard(disabled, once(file, 1, 2), Door("d", steps(7)))
    assert guard.proofs.disabled(3.0) == [SequenceChanged(3.0, disabled)]
    assert [one.low for one in guard.proofs.listens()] == [1, 2, 7]
    assert Opened in kinds(guard.knock(7))


def test_where_too_many_wait_the_door_stays_shut_and_at_its_sequence(file: Path) -> None:
    guard = Guard(once(file, 1, 2))
    guard.worker._most_waiting = 0
    refused = guard.knock(1, 2)[-1]
    assert isinstance(refused, Refused) and refused.cause is RefusalCause.ONE_TIME_FILE
    assert "too many" in refused.text
    guard.worker._most_waiting = 1
    assert Opened in kinds(guard.opens(1, 2))


def test_what_is_being_marked_settles_in_the_proofs_that_have_come_after(file: Path) -> None:
    """As by a reload: the file still had the sequence when the new proofs were made."""
    guard = Guard(once(file, 1, 2))
    with locked(file):
        guard.knock(1, 2)
        assert onetime.first_sequence(str(file)).steps == steps(1, 2)
        guard.proofs = guard.guarding(once(file, 1, 2))
        guard.knock(1, source="198.51.100.2")
    events = guard.settle()
    assert kinds(events) == [Opened, AttemptEnded, SequenceChanged]
    assert [one.low for one in guard.proofs.listens()] == [3, 4]
    assert Opened in kinds(guard.opens(3, 4))


def test_what_two_proofs_are_marking_opens_once_and_settles_at_the_next(file: Path) -> None:
    guard = Guard(once(file, 1, 2))
    with locked(file):
        guard.knock(1, 2)
        guard.proofs = guard.guarding(once(file, 1, 2))
        guard.knock(1, 2, source="198.51.100.2")
    events = [*guard.settle(), *guard.settle()]
    assert kinds(events).count(Opened) == 1
    assert kinds(events).count(Refused) == 1
    assert [one.low for one in guard.proofs.listens()] == [3, 4]
