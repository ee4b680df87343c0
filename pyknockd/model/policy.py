"""What pyknockd.yaml says of a door beyond what knockd.conf has words for."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may open a door, how often, and what ends an attempt.

    ``allow`` are the only networks whose knocks are heard, everybody's if there is none, and those of
    ``deny`` are not. ``cooldown`` is for how many seconds a source that has opened the door is not
    heard. ``strict``: a SYN to any other port than the next step's ends an attempt. ``forgive`` is how
    often the step just done may come again. ``max_open`` openings stand at a time, any number if it is
    0. ``command_timeout`` is after how many seconds a command is killed, None for never.
    ``interfaces`` are the only ones that are listened on for this door, all if there is none. ``v4``
    and ``v6`` are the lengths of the prefix of the network around a source, ``%NET%`` in commands.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    cooldown: float = 0.0
    strict: bool = False
    forgive: int = 0
    max_open: int = 0
    command_timeout: float | None = None
    interfaces: tuple[str, ...] = ()
    v4: int = 32
    v6: int = 128

    def admits(self, source: str) -> bool:
        """Whether the knocks of this address are heard."""
        if not self.allow and not self.deny:
            return True
        address = ip_address(source)
        if any(address in network for network in self.deny):
            return False
        return not self.allow or any(address in network for network in self.allow)

    def network(self, source: str) -> str:
        """The network around ``source``, as iptables and nft read it: ``192.0.2.0/24``."""
        length = self.v6 if ":" in source else self.v4
        return str(ip_network(f"{source}/{length}", strict=False))
