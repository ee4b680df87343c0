"""Frames as they come in on an interface that has the addresses that packets go to by default."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from pyknockd.capture.decode import Frame, Ingress, no_peers_on_wire
from pyknockd.model import Link, Listen
from tests.support.packets import OWN


def packed(*addresses: str) -> frozenset[bytes]:
    """The bytes of addresses."""
    return frozenset(ip_address(address).packed for address in addresses)


OWN_BYTES = packed(*OWN)
_ON_WIRE = no_peers_on_wire(OWN_BYTES)
_TEXTS = {ip_address(address).packed: address for address in OWN}
INGRESS = {link: Ingress(f"{link.value}0", link, _TEXTS, _ON_WIRE) for link in Link}


def came_in(
    data: bytes, link: Link = Link.ETHERNET, time: float = 0.0, payloads: tuple[Listen, ...] = ()
) -> Frame:
    """What came in on the interface of that kind; ``payloads`` are wanted."""
    return Frame(data, replace(INGRESS[link], payloads=payloads), time)
