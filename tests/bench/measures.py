"""All measures. A new one is a function from a Bench to rows, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import clients, opening, resources
from tests.bench.arena import Bench
from tests.bench.report import Row


@dataclass(frozen=True, slots=True)
class Measure:
    """``take`` runs both programs; ``about`` is a line for ``--help``."""

    name: str
    about: str
    take: Callable[[Bench], list[Row]]


MEASURES = (
    Measure("open-nft", "the last knock to the open door, by iptables-nft", opening.open_nft),
    Measure("open-legacy", "the same by iptables-legacy", opening.open_legacy),
    Measure("clients-20", "how many of 20 clients get in", clients.clients_20),
    Measure("clients-1000", "how many of 1000 clients get in", clients.clients_1000),
    Measure("cpu", "CPU time a heard packet and an opened door", resources.cpu),
    Measure("memory", "resident memory when idle", resources.memory),
    Measure("start", "the start to listening", resources.start),
)
