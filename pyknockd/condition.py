"""What a rule says, whoever wrote it down and in whatever order: conditions and a verdict.

Both ways back are here as well: a ``Rule`` of a meaning, for people to read, is ``rule_of``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from pyknockd.rule import Extension, Family, Operation, Option, Rule, network

PROTOCOLS = {
    Family.IPV4: {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "sctp": 132},
    Family.IPV6: {"tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58},
}
_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63, "NONE": 0}
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,13}[A-Za-z0-9+]|[A-Za-z0-9]")
_PORTS = re.compile(r"(\d{1,5})(?::(\d{1,5}))?")
_PORT_OPTIONS = {
    **dict.fromkeys(("sport", "source-port"), "sport"),
    **dict.fromkeys(("dport", "destination-port"), "dport"),
}
_PREFIX = b"+"  # of an interface's name
_NO_PLAIN_VERDICT = "?"


@dataclass(frozen=True, slots=True)
class Condition:
    """``[!] what value``; ``more`` is an address's mask, a range's end, or `+` for a prefix.

    ``what`` is iif, oif, protocol, saddr, daddr, flags, sport or dport. The values are bytes as
    they stand in packets.
    """

    what: str
    negated: bool
    value: bytes
    more: bytes = b""


@dataclass(frozen=True, slots=True)
class Meaning:
    """All conditions, and what is done where they hold: a target, `jump CHAIN`, `goto CHAIN`.

    Two rules with the same meaning are the same to iptables, if both are ``exact``: else there are
    further conditions, or the verdict has options.
    """

    conditions: frozenset[Condition]
    verdict: str
    exact: bool


class _Unknown(Exception):
    """There is a condition that cannot be told."""


def meaning_of(rule: Rule, family: Family) -> Meaning:
    """What ``rule`` says, its ports given as numbers; what cannot be told makes it inexact."""
    conditions: set[Condition] = set()
    exact = True
    protocol = next((o for o in rule.basics if o.name == "protocol"), None)
    for option in rule.basics:
        try:
            conditions |= set(_basic(option, family))
        except _Unknown:
            exact = False
    for match in rule.matches:
        try:
            conditions |= set(_match(match, protocol))
        except _Unknown:
            exact = False
    verdict = "" if rule.target is None else rule.target.name
    if rule.target is not None and rule.target.options:
        exact = False
    elif rule.target is not None and not rule.target.name.isupper():
        # An own chain in capitals is indistinguishable from a target: see ``plain_verdict``.
        pass
    if rule.goto:
        verdict = f"goto {verdict}"
    return Meaning(frozenset(conditions), verdict, exact)
