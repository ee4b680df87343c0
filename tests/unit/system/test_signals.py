"""Signals as something to wait for."""

from __future__ import annotations

import select
import signal
from collections.abc import Iterator

import pytest

from pyknockd.system.signals import Signals

WANTED = (signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in WANTED}
    yield Signals(WANTED)
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    """To this process, whose handlers have run when this returns."""
    for number in numbers:
        signal.raise_signal(number)


def readable(signals: Signals) -> bool:
    return bool(select.select([signals], [], [], 0)[0])


def test_a_signal_wakes_whoever_waits(signals: Signals) -> None:
    assert not readable(signals)
    send(signal.SIGUSR1)
    assert readable(signals)
    assert signals.arrived() == [signal.SIGUSR1]
    assert not readable(signals)
    assert signals.arrived() == []


def test_signals_are_told_in_their_order_and_each_once(signals: Signals) -> None:
    send(signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2)
    assert signals.arrived() == [signal.SIGUSR2, signal.SIGUSR1]


def test_a_flood_of_one_signal_loses_no_other(signals: Signals) -> None:
    send(*[signal.SIGUSR1] * 5000, signal.SIGUSR2)
    assert signals.arrived() == [signal.SIGUSR1, signal.SIGUSR2]
    assert not readable(signals)
