"""What a rule says, whoever wrote it down and in whatever order: conditions and a verdict.

Both ways back are here as well: a ``Rule`` of a meaning, for people to read, is ``rule_of``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from ipaddress import ip_address

from pyknockd.firewall.extensions import TARGETS
from pyknockd.firewall.rule import Extension, Family, Operation, Option, Rule, network

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
_PLAIN_VERDICTS = ("ACCEPT", "DROP", "RETURN")


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

    def address(self) -> str:
        """A network, or an address where the mask is whole."""
        prefix = sum(byte.bit_count() for byte in self.more)
        whole = prefix == 8 * len(self.value)
        return f"{ip_address(self.value)}{'' if whole else f'/{prefix}'}"

    def ports(self) -> tuple[int, int]:
        """The first and the last."""
        return int.from_bytes(self.value, "big"), int.from_bytes(self.more, "big")


class Unsaid(IntFlag):
    """What a rule has besides its conditions and its verdict."""

    NOTHING = 0
    REMARK = 1  # a comment, an option of the target: no packet hangs on it
    CONDITION = 2  # a condition that only iptables can tell, or nft
    UNKNOWN = 4  # something of which it cannot be told whether it is a condition, and which one


@dataclass(frozen=True, slots=True)
class Meaning:
    """Conditions, and what is done where they hold: a target, `jump CHAIN`, `goto CHAIN`."""

    conditions: frozenset[Condition]
    verdict: str
    unsaid: Unsaid = Unsaid.NOTHING

    @property
    def complete(self) -> bool:
        """Whether there are no further conditions."""
        return not self.unsaid & (Unsaid.CONDITION | Unsaid.UNKNOWN)

    @property
    def exact(self) -> bool:
        """Two rules with the same meaning are the same to iptables if both are exact."""
        return not self.unsaid

    def may_be(self, exact: Meaning) -> bool:
        """Whether what is unknown here may be just what makes it the rule ``exact``."""
        return (
            self.unsaid == Unsaid.UNKNOWN
            and self.conditions <= exact.conditions
            and self.verdict in ("", exact.verdict)
        )


class _Unknown(Exception):
    """There is a condition that cannot be told."""


def meaning_of(rule: Rule, family: Family) -> Meaning:
    """What ``rule`` says, its ports given as numbers; what cannot be told makes it incomplete."""
    conditions: set[Condition] = set()
    unsaid = Unsaid.NOTHING
    protocol = next((o for o in rule.basics if o.name == "protocol"), None)
    for option in rule.basics:
        try:
            conditions |= set(_basic(option, family))
        except _Unknown:
            unsaid |= Unsaid.CONDITION
    for match in rule.matches:
        try:
            conditions |= set(_match(match, protocol))
        except _Unknown:
            unsaid |= Unsaid.REMARK if match.name == "comment" else Unsaid.CONDITION
    if rule.target is not None and not _is_plain(rule.target):
        unsaid |= Unsaid.REMARK
    return Meaning(frozenset(conditions), _verdict(rule), unsaid)


def _is_plain(target: Extension) -> bool:
    """Whether there is no more to say of it than its name."""
    extension = target.name in TARGETS and target.name not in _PLAIN_VERDICTS
    return not extension and not target.options


def _verdict(rule: Rule) -> str:
    if rule.target is None:
        return ""
    if rule.goto:
        return f"goto {rule.target.name}"
    return rule.target.name if rule.target.name in TARGETS else f"jump {rule.target.name}"


def _basic(option: Option, family: Family) -> Iterator[Condition]:
    value, negated = option.values[0], option.negated
    if option.name == "protocol":
        if value in ("all", "0") and not negated:
            return
        if value not in PROTOCOLS[family]:
            raise _Unknown
        yield Condition("protocol", negated, bytes([PROTOCOLS[family][value]]))
    elif option.name in ("source", "destination"):
        found = network(value, family)
        if found is None or (negated and not found.prefixlen):
            raise _Unknown
        if found.prefixlen:
            what = "saddr" if option.name == "source" else "daddr"
            mask = found.netmask.packed
            yield Condition(what, negated, found.network_address.packed, mask)
    else:
        if not _INTERFACE.fullmatch(value):
            raise _Unknown
        what = "iif" if option.name == "in-interface" else "oif"
        prefix = value.endswith("+")
        yield Condition(what, negated, value.removesuffix("+").encode(), _PREFIX if prefix else b"")


def _match(match: Extension, protocol: Option | None) -> Iterator[Condition]:
    """Raises _Unknown, before or after it has told some."""
    if match.name not in ("tcp", "udp") or not match.options or protocol is None:
        raise _Unknown
    if protocol.negated or protocol.values[0] != match.name:
        raise _Unknown
    for option in match.options:
        if option.name in _PORT_OPTIONS:
            yield _port(option)
        elif option.name in ("syn", "tcp-flags"):
            yield _tcp_flags(option)
        else:
            raise _Unknown
    names = [_PORT_OPTIONS.get(option.name, "flags") for option in match.options]
    if len(set(names)) < len(names):
        raise _Unknown


def _port(option: Option) -> Condition:
    found = _PORTS.fullmatch(option.values[0])
    if found is None:
        raise _Unknown
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high <= 65535 or (low, high) == (0, 65535):
        raise _Unknown
    what = _PORT_OPTIONS[option.name]
    return Condition(what, option.negated, low.to_bytes(2, "big"), high.to_bytes(2, "big"))


def _tcp_flags(option: Option) -> Condition:
    words = ("SYN,RST,ACK,FIN", "SYN") if option.name == "syn" else option.values
    try:
        mask, value = (sum({_FLAGS[flag] for flag in word.split(",")}) for word in words)
    except KeyError as error:
        raise _Unknown from error
    if not 0 < mask < 64 or value & ~mask:
        raise _Unknown
    return Condition("flags", option.negated, bytes([value]), bytes([mask]))


# --- and back, for people to read ---------------------------------------------------------------

_ORDER = ("saddr", "daddr", "iif", "oif", "protocol", "flags", "sport", "dport")
_BASIC_NAMES = {
    "saddr": "source",
    "daddr": "destination",
    "iif": "in-interface",
    "oif": "out-interface",
}


def rule_of(meaning: Meaning, table: str, chain: str) -> Rule:
    """The rule of a complete meaning, as iptables-save would write it."""
    names = {number: name for numbers in PROTOCOLS.values() for name, number in numbers.items()}
    basics, options = [], []
    protocol = ""
    for condition in sorted(meaning.conditions, key=lambda c: _ORDER.index(c.what)):
        if condition.what == "protocol":
            protocol = names.get(condition.value[0], str(condition.value[0]))
            basics.append(Option("protocol", (protocol,), condition.negated))
        elif condition.what in _BASIC_NAMES:
            text = _text(condition)
            basics.append(Option(_BASIC_NAMES[condition.what], (text,), condition.negated))
        elif condition.what == "flags":
            both = (_flag_names(condition.more), _flag_names(condition.value))
            options.append(Option("tcp-flags", both, condition.negated))
        else:
            options.append(Option(condition.what, (_text(condition),), condition.negated))
    matches = (Extension(protocol, tuple(options)),) if options else ()
    verb, _, target = meaning.verdict.rpartition(" ")
    return Rule(
        table,
        Operation.APPEND,
        chain,
        basics=tuple(basics),
        matches=matches,
        target=Extension(target) if target else None,
        goto=verb == "goto",
    )


def _text(condition: Condition) -> str:
    if condition.what in ("iif", "oif"):
        return (condition.value + condition.more).decode(errors="replace")
    if condition.what in ("saddr", "daddr"):
        return condition.address()
    low, high = condition.ports()
    return str(low) if low == high else f"{low}:{high}"


def _flag_names(flags: bytes) -> str:
    found = [name for name, bit in _FLAGS.items() if bit.bit_count() == 1 and bit & flags[0]]
    return ",".join(found) or "NONE"
