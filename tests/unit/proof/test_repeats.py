"""The SYNs that are remembered."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice
from time import process_time

import pytest

from pyknockd.model import Flags, Knock, Protocol
from pyknockd.proof.repeats import MOST_REMEMBERED, RETRANSMISSION_SECONDS, Repeats

SYN = Knock("192.0.2.9", "192.0.2.1", True, Protocol.TCP, 7000, 40_000, Flags.SYN, 12345)


def test_a_syn_that_came_before_is_known_for_as_long_as_kernels_repeat_it() -> None:
    repeats = Repeats()
    assert not repeats.has(SYN)
    repeats.add(SYN)
    assert repeats.has(replace(SYN, time=RETRANSMISSION_SECONDS - 0.01))
    assert not repeats.has(replace(SYN, time=RETRANSMISSION_SECONDS))


@pytest.mark.parametrize(
    "other",
    [
        replace(SYN, source="192.0.2.8"),
        replace(SYN, destination="192.0.2.2"),
        replace(SYN, port=7001),
        replace(SYN, source_port=40_001),
        replace(SYN, sequence_number=12346),
        replace(SYN, flags=Flags.ACK),
    ],
)
def test_another_connection_is_none_that_came_before(other: Knock) -> None:
    repeats = Repeats()
    repeats.add(SYN)
    assert not repeats.has(other)


def test_only_syns_are_remembered() -> None:
    repeats = Repeats()
    repeats.add(replace(SYN, flags=Flags.ACK))
    repeats.add(replace(SYN, protocol=Protocol.UDP, flags=0, sequence_number=0))
    assert len(repeats) == 0


def test_its_time_runs_from_the_first() -> None:
    repeats = Repeats()
    repeats.add(SYN)
    repeats.add(replace(SYN, time=60.0))
    assert not repeats.has(replace(SYN, time=RETRANSMISSION_SECONDS))


def test_of_all_sources_together_only_so_many_are_remembered() -> None:
    repeats = Repeats(most=100)
    for number in range(1_000):
        repeats.add(replace(SYN, source=f"10.0.{number // 250}.{number % 250}"))
    assert len(repeats) == 100
    assert repeats.has(replace(SYN, source="10.0.3.249"))
    assert not repeats.has(replace(SYN, source="10.0.0.0"))


def test_to_forget_the_oldest_costs_the_same_however_many_have_come() -> None:
    """A dictionary that loses its first keys looks for the next one at the same place, and further."""
    repeats = Repeats()
    syns = (replace(SYN, sequence_number=number) for number in count())

    def seconds() -> float:
        some = list(islice(syns, 20_000))
        began = process_time()
        for one in some:
            repeats.add(one)
        return process_time() - began

    at_first = sum(seconds() for _ in range(3))
    while len(repeats) < MOST_REMEMBERED:
        seconds()
    assert sum(seconds() for _ in range(6)) < 2 * 4 * at_first  # thirty times as much otherwise
    assert len(repeats) == MOST_REMEMBERED
