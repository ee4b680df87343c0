"""A rule as nf_tables expressions, for the forms that iptables-nft itself writes with nothing else.

iptables writes most matches (conntrack, comment, multiport…) and targets (REJECT, LOG…) as its own
blobs, which libnftables can list but not make; what it offers instead (`ct state`, sets) iptables
would not recognise, so such rules are left to iptables. iptables-translate is no judge of what can
be done: it drops the negation of `! --dport 22:33`. So the form is made here, in the order in which
iptables writes it, and tests compare what comes of it with what iptables makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyknockd.firewall.meaning import Condition, Meaning
from pyknockd.rule import Extension, Family, Option, Rule, network

PROTOCOLS = {
    Family.IPV4: {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "sctp": 132},
    Family.IPV6: {"tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58},
}
_WORDS = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63, "NONE": 0}
_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "RETURN": "return"}
# What libnftables reads as a name; one that is also a word of its language it refuses.
CHAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,27}")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,13}[A-Za-z0-9+]|[A-Za-z0-9]")
_PORTS = re.compile(r"(\d{1,5})(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Form:
    """A rule in nft's language, its meaning, and bytes that each rule of that meaning contains."""

    text: str
    meaning: Meaning
    needle: bytes


def form(rule: Rule, family: Family) -> Form | None:
    """The form of ``rule``, whose ports and protocols are numbers; None if iptables must write it."""
    parts: list[tuple[str, Condition]] = []
    basics = {option.name: option for option in rule.basics}
    try:
        for name in ("in-interface", "out-interface"):
            parts += _interface(basics.get(name))
        parts += _protocol(basics.get("protocol"), family)
        for name in ("source", "destination"):
            parts += _address(basics.get(name), family)
        for match in rule.matches:
            parts += _ports_and_flags(match, basics.get("protocol"))
        verdict = _verdict(rule)
    except _Unknown:
        return None
    conditions = frozenset(condition for _, condition in parts)
    text = " ".join([*(text for text, _ in parts), "counter", verdict]).rstrip()
    return Form(text, Meaning(conditions, verdict), _needle(conditions))


class _Unknown(Exception):
    """There is no form that is certain."""


def _interface(option: Option | None) -> Iterator[tuple[str, Condition]]:
    if option is None:
        return
    name = option.values[0]
    if not _INTERFACE.fullmatch(name):
        raise _Unknown
    prefix = name.endswith("+")
    what = "iif" if option.name == "in-interface" else "oif"
    bare = name.removesuffix("+")
    yield (
        f'{what}name {_not(option)}"{bare}{"*" if prefix else ""}"',
        Condition(what, option.negated, bare.encode(), b"+" if prefix else b""),
    )


def _protocol(option: Option | None, family: Family) -> Iterator[tuple[str, Condition]]:
    if option is None:
        return
    name = option.values[0]
    number = PROTOCOLS[family].get(name)
    if number is None:
        raise _Unknown
    yield (
        f"meta l4proto {_not(option)}{number}",
        Condition("protocol", option.negated, bytes([number])),
    )


def _address(option: Option | None, family: Family) -> Iterator[tuple[str, Condition]]:
    if option is None:
        return
    value = network(option.values[0], family)
    if value is None or value.prefixlen == 0:
        raise _Unknown
    what = "saddr" if option.name == "source" else "daddr"
    address = value.network_address
    shown = str(value) if value.prefixlen < value.max_prefixlen else str(address)
    yield (
        f"{_WORDS[family]} {what} {_not(option)}{shown}",
        Condition(what, option.negated, address.packed, value.netmask.packed),
    )


def _ports_and_flags(match: Extension, protocol: Option | None) -> Iterator[tuple[str, Condition]]:
    if match.name not in ("tcp", "udp") or not match.options or protocol is None:
        raise _Unknown
    if protocol.negated or protocol.values[0] != match.name:
        raise _Unknown
    options = {option.name: option for option in match.options}
    known = {"sport", "source-port", "dport", "destination-port", "syn", "tcp-flags"}
    if set(options) - known or len(options) > len({name[0] for name in options}):
        raise _Unknown
    for name in ("tcp-flags", "syn"):
        if name in options:
            yield _tcp_flags(options[name])
    for name in ("source-port", "sport", "destination-port", "dport"):
        if name in options:
            yield _port(options[name], match.name)


def _tcp_flags(option: Option) -> tuple[str, Condition]:
    words = ("SYN,RST,ACK,FIN", "SYN") if option.name == "syn" else option.values
    try:
        mask, value = (sum({_FLAGS[flag] for flag in word.split(",")}) for word in words)
    except KeyError as error:
        raise _Unknown from error
    if not 0 < mask < 64 or value & ~mask:
        raise _Unknown
    sign = "!=" if option.negated else "=="
    return (
        f"tcp flags & {mask:#x} {sign} {value:#x}",
        Condition("flags", option.negated, bytes([value]), bytes([mask])),
    )


def _port(option: Option, protocol: str) -> tuple[str, Condition]:
    found = _PORTS.fullmatch(option.values[0])
    if found is None:
        raise _Unknown
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high <= 65535 or (low, high) == (0, 65535):
        raise _Unknown
    what = "sport" if option.name in ("source-port", "sport") else "dport"
    shown = str(low) if low == high else f"{low}-{high}"
    condition = Condition(what, option.negated, low.to_bytes(2, "big"), high.to_bytes(2, "big"))
    return f"{protocol} {what} {_not(option)}{shown}", condition


def _verdict(rule: Rule) -> str:
    if rule.target is None:
        return ""
    name = rule.target.name
    if rule.target.options:
        raise _Unknown
    if name in _VERDICTS:
        if rule.goto:
            raise _Unknown
        return _VERDICTS[name]
    if not CHAIN_NAME.fullmatch(name):
        raise _Unknown
    return f"{'goto' if rule.goto else 'jump'} {name}"


def _not(option: Option) -> str:
    return "!= " if option.negated else ""


def _needle(conditions: frozenset[Condition]) -> bytes:
    found = [b""]
    for condition in conditions:
        if condition.what in ("saddr", "daddr"):
            # Of an address behind a mask, iptables keeps only the bytes that the mask has whole.
            found.append(condition.value[: condition.more.count(0xFF)])
        elif condition.what in ("sport", "dport"):
            found.append(condition.value)
    return max(found, key=len)
