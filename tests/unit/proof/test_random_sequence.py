"""Sequences that nobody else has, and no scan hits."""

from __future__ import annotations

import random
from itertools import pairwise, permutations

import pytest

from pyknockd.model import Door, Flags, Knock, Protocol
from pyknockd.model.events import Opened
from pyknockd.proof.random_sequence import random_sequence, usable_ports
from pyknockd.proof.sequence import Sequences


def drawn(seed: int) -> list[int]:
    below = random.Random(seed).randrange
    return [step.port for step in random_sequence(below, usable_ports({1194, 3306}))]


def test_each_draw_is_another() -> None:
    assert len({tuple(drawn(seed)) for seed in range(200)}) == 200


def test_neither_a_service_nor_an_ephemeral_port_is_drawn() -> None:
    ports = usable_ports({1024, 1026, 80}, ephemeral=1030)
    assert ports == [1025, 1027, 1028, 1029]
    assert all(1024 <= port < 32_768 for seed in range(200) for port in drawn(seed))


def test_no_two_knocks_in_a_row_are_at_one_port() -> None:
    for seed in range(200):
        ports = drawn(seed)
        assert len(ports) == 4
        assert len(set(ports)) == 3
        assert all(a != b for a, b in pairwise(ports))


@pytest.mark.parametrize("seed", range(20))
def test_a_scan_opens_it_in_no_order_however_often_it_is_repeated(seed: int) -> None:
    steps = random_sequence(random.Random(seed).randrange, usable_ports(()))
    for order in permutations({step.port for step in steps}):
        sequences = Sequences([Door("d", steps)])
        for number, port in enumerate(order * 4):
            knock = Knock(
                *("192.0.2.9", "192.0.2.1", True, Protocol.TCP, port),
                *(40_000, Flags.SYN, number, 1.0),
            )
            assert not any(isinstance(event, Opened) for event in sequences.feed(knock))
