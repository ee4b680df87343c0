"""A sequence of one's own: random, and not what a port scan hits.

A scan goes to each port once, in whatever order, and then perhaps again in the same one. So one port
is in the sequence twice, with just one other in between: a scan has all others in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from pyknockd.model import Protocol, Step

LOWEST_PORT = 1_024
# Linux begins here with the ports that its own connections have: what is answered to them is no knock.
EPHEMERAL_PORT = 32_768
# Which of three ports is knocked at when.
_ORDERS = ((0, 1, 0, 2), (0, 1, 2, 1))


def usable_ports(taken: Collection[int], ephemeral: int = EPHEMERAL_PORT) -> list[int]:
    """The ports for a sequence: those of no service in ``taken``, and below the ``ephemeral`` ones."""
    return [port for port in range(LOWEST_PORT, ephemeral) if port not in taken]


def random_sequence(below: Callable[[int], int], ports: list[int]) -> tuple[Step, ...]:
    """Four TCP steps at three of ``ports``; ``below(n)`` draws a number from 0 to n - 1."""
    left = list(ports)
    three = [left.pop(below(len(left))) for _ in range(3)]
    return tuple(Step(three[place], Protocol.TCP) for place in _ORDERS[below(len(_ORDERS))])
