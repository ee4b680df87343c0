"""The real knockd as an oracle: ``driver`` runs it, ``frames`` makes packets to feed it."""

from tests.oracle.driver import Entry, Kind, Network, Opening, Outcome, Packet, read_config, run
from tests.oracle.frames import Route, tcp, udp

__all__ = [
    "Entry",
    "Kind",
    "Network",
    "Opening",
    "Outcome",
    "Packet",
    "Route",
    "read_config",
    "run",
    "tcp",
    "udp",
]
