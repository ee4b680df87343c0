"""Faults of the program itself."""

from __future__ import annotations

import pytest

from pyknockd.system import faults as faults_module
from pyknockd.system.faults import AGAIN_SECONDS, Fault, Faults


def here(text: str = "here") -> Exception:
    """An error that was raised at one place."""
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def there() -> Exception:
    """The same kind of error, raised at another place."""
    try:
        raise ValueError("there")
    except ValueError as error:
        return error


def either(kind: type[Exception]) -> Exception:
    """Errors of several types from one line."""
    try:
        raise kind("either")
    except kind as error:
        return error


def count_of(fault: Fault | None) -> int:
    return 0 if fault is None else fault.count


def test_a_fault_is_told_with_its_traceback() -> None:
    fault = Faults().note(here(), 0.0)
    assert fault is not None
    assert fault.count == 1
    assert fault.lines[0] == "Traceback (most recent call last):"
    assert fault.lines[-1] == "ValueError: here"
    assert not any("\n" in line for line in fault.lines)


def test_the_same_fault_is_told_once_a_minute_with_its_count() -> None:
    faults = Faults()
    told = [count_of(faults.note(here(str(second)), float(second))) for second in range(121)]
    assert [second for second in range(121) if told[second]] == [0, 60, 120]
    assert (told[0], told[60], told[120]) == (1, 60, 60)


def test_a_fault_that_comes_back_much_later_is_told_at_once() -> None:
    faults = Faults()
    faults.note(here(), 0.0)
    assert faults.note(here(), 59.9) is None
    assert count_of(faults.note(here(), 1000.0)) == 2
    assert faults.note(here(), 1000.0 + AGAIN_SECONDS - 0.1) is None


def test_a_fault_at_another_place_or_of_another_type_is_told_at_once() -> None:
    faults = Faults()
    assert faults.note(here(), 0.0)
    assert faults.note(there(), 0.0)
    assert faults.note(either(ValueError), 0.0)
    assert faults.note(either(KeyError), 0.0)
    assert not faults.note(here(), 1.0)
    assert not faults.note(there(), 1.0)
    assert not faults.note(either(KeyError), 1.0)


def test_only_so_many_kinds_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_module, "_MOST_KINDS", 2)
    faults = Faults()
    kinds = [ValueError, KeyError, OSError, RuntimeError, TypeError]
    assert all(faults.note(either(kind), 0.0) for kind in kinds)
    assert len(faults._kinds) <= 2
    assert not faults.note(either(TypeError), 1.0)


def test_pauses_grow_with_every_fault_in_a_row_and_are_bounded() -> None:
    faults = Faults()
    pauses = []
    for _ in range(2_000):
        faults.note(here(), 0.0)
        pauses.append(faults.pause())
    assert pauses[:4] == [0.001, 0.002, 0.004, 0.008]
    assert pauses == sorted(pauses)
    assert pauses[-1] == max(pauses) == 1.0


def test_after_a_turn_that_went_well_pauses_begin_anew() -> None:
    faults = Faults()
    assert faults.pause() == 0.0
    for _ in range(5):
        faults.note(here(), 0.0)
    faults.none()
    assert faults.pause() == 0.0
    faults.note(here(), 0.0)
    assert faults.pause() == 0.001
