"""An iptables rule as a value: what ``syntax`` reads and writes, and ``firewall`` applies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network


class Family(Enum):
    """The address family whose tables a command changes; the value is its IP version."""

    IPV4 = 4
    IPV6 = 6


class Operation(Enum):
    """What is to be done with a rule."""

    APPEND = "append"
    INSERT = "insert"
    DELETE = "delete"


class Adding(Enum):
    """What adding a rule means where the chain has it already."""

    ONCE = "once"  # nothing
    ANEW = "anew"  # the first there is of it goes
    AGAIN = "again"  # it is there twice


@dataclass(frozen=True, slots=True)
class Option:
    """``[!] --name value…``; ``name`` is the long name without dashes."""

    name: str
    values: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Extension:
    """A match or a target and its options, in the order given."""

    name: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One change of one chain.

    ``basics`` are the conditions that need no extension: protocol, source, destination,
    in-interface, out-interface. ``position`` counts from 1 and is 0 where none was given; with
    ``DELETE`` it stands for all the rest.
    """

    table: str
    operation: Operation
    chain: str
    position: int = 0
    basics: tuple[Option, ...] = ()
    matches: tuple[Extension, ...] = ()
    target: Extension | None = None
    goto: bool = False


_V4_ADDRESS = re.compile(r"(\d{1,3})(?:\.\d{1,3}){3}")
_V6_ADDRESS = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:.]*")


def network(text: str, family: Family) -> IPv4Network | IPv6Network | None:
    """An address and its mask as iptables reads them, host bits cleared; None for anything else."""
    address, slash, mask = text.partition("/")
    if slash and not re.fullmatch(r"\d{1,3}" if family is Family.IPV6 else r"\d{1,2}|[\d.]+", mask):
        return None
    try:
        if family is Family.IPV6:
            if not _V6_ADDRESS.fullmatch(address):
                return None
            return IPv6Network(text, strict=False)
        if not _V4_ADDRESS.fullmatch(address):
            return None
        found = IPv4Network(text, strict=False)
    except ValueError:
        return None
    # What ipaddress takes for an inverted mask is another mask to iptables.
    return found if "." not in mask or str(found.netmask) == mask else None
