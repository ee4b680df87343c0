"""All measures. A new one is a function from a Bench to rows, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import clients, closing, floods, opening, reading, resources
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
    Measure("open-program", "the same where iptables-nft itself is run", opening.open_program),
    Measure("open-nft-5000", "open-nft with 5,000 rules in the table", opening.open_nft_5000),
    Measure("open-legacy-5000", "open-legacy with as many", opening.open_legacy_5000),
    Measure("open-program-5000", "open-program with as many", opening.open_program_5000),
    Measure("close-nft", "to delete a rule, by iptables-nft", closing.close_nft),
    Measure("close-nft-5000", "the same with 5,000 rules in the table", closing.close_nft_5000),
    Measure("close-legacy", "to delete a rule, by iptables-legacy", closing.close_legacy),
    Measure("doors-1000", "1000 doors opened in one second", clients.doors_1000),
    Measure("clients-20", "how many of 20 clients get in", clients.clients_20),
    Measure("clients-1000", "how many of 1000 clients get in", clients.clients_1000),
    Measure("floods", "honest clients in floods of first knocks", floods.floods),
    Measure("cpu", "CPU time a heard packet and an opened door", resources.cpu),
    Measure("memory", "resident memory when idle", resources.memory),
    Measure("start", "the start to listening", resources.start),
    Measure("read", "a capture of a million packets replayed", reading.read),
)
