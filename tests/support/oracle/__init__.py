"""The real knockd as an oracle, which ``driver`` runs."""

from tests.support.oracle.driver import (
    Entry,
    Kind,
    Network,
    Opening,
    Outcome,
    Packet,
    read_config,
    run,
)

__all__ = [
    "Entry",
    "Kind",
    "Network",
    "Opening",
    "Outcome",
    "Packet",
    "read_config",
    "run",
]
