"""Faults of the program itself: told once a minute, and survived without haste."""

from __future__ import annotations

import pytest

from pyknockd.system import faults as faults_module
from pyknockd.system.faults import AGAIN_SECONDS, Fault, Faults


def fault(number: int = 0) -> Exception:
    """An error raised here; each number has a place of its own."""
    try:
        if number == 0:
            raise ValueError("zero")
        if number == 1:
            raise ValueError("one")
        raise KeyError(number)
    except Exception as error:  # noqa: BLE001 - it is what is tested
        return error


def raised_at(place: int) -> Exception:
    """An error whose traceback ends at another line for each ``place``."""
    source = "\n" * place + "raise RuntimeError('x')"
    try:
        exec(compile(source, "<test>", "exec"), {})
    except RuntimeError as error:
        return error
    raise AssertionError


def test_a_fault_is_told_with_its_traceback() -> None:
    told = Faults().note(fault(), 5.0)
    assert told is not None
    assert told.count == 1
    assert told.lines[0] == "Traceback (most recent call last):"
    assert told.lines[-1] == "ValueError: zero"
    assert any(__file__ in line for line in told.lines)
    assert all("\n" not in line for line in told.lines)


def test_the_same_fault_is_told_once_a_minute_with_its_count() -> None:
    faults = Faults()
    assert faults.note(fault(), 100.0) is not None
    for number in range(999):
        assert faults.note(fault(), 100.0 + number * 0.06) is None
    told = faults.note(fault(), 100.0 + AGAIN_SECONDS)
    assert told is not None and told.count == 1_000
    assert faults.note(fault(), 101.0 + AGAIN_SECONDS) is None
    told = faults.note(fault(), 100.0 + 3 * AGAIN_SECONDS)
    assert told is not None and told.count == 2


def test_another_fault_is_told_meanwhile() -> None:
    faults = Faults()
    told = [faults.note(fault(number), 0.0) for number in (0, 1, 2, 0, 1, 2)]
    assert [one is not None for one in told] == [True] * 3 + [False] * 3


def test_at_the_time_0_too_the_first_is_told() -> None:
    assert isinstance(Faults().note(fault(), 0.0), Fault)


def test_only_so_many_kinds_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_module, "_MOST_KINDS", 10)
    faults = Faults()
    told = [faults.note(raised_at(place), 0.0) for place in range(1_000)]
    assert all(one is not None for one in told)
    assert len(faults._kinds) <= 10


def test_each_fault_in_a_row_makes_the_pause_longer_up_to_a_second() -> None:
    faults = Faults()
    assert faults.pause() == 0.0
    pauses = []
    for _ in range(40):
        faults.note(fault(), 0.0)
        pauses.append(faults.pause())
    assert pauses[0] == 0.001
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    assert sum(pause < 1.0 for pause in pauses) == 10


def test_after_a_turn_that_went_well_the_pause_is_short_again() -> None:
    faults = Faults()
    for _ in range(40):
        faults.note(fault(), 0.0)
    faults.none()
    assert faults.pause() == 0.0
    faults.note(fault(), 0.0)
    assert faults.pause() == 0.001
