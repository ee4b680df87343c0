"""The real knockd as an oracle: see ``driver``; frames to feed it: ``frames``."""

from .driver import Entry, Network, Opening, Outcome, Packet, read_config, run

__all__ = ["Entry", "Network", "Opening", "Outcome", "Packet", "read_config", "run"]
