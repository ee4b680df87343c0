"""A rule in nft's language, for the forms that iptables-nft itself writes with nothing else.

iptables writes most matches (conntrack, comment, multiport…) and targets (REJECT, LOG…) as its own
blobs, which libnftables can list but not make; what it offers instead (`ct state`, sets) iptables
would not recognise, so such rules are left to iptables. iptables-translate is no judge of what can
be done: it drops the negation of `! --dport 22:33`. So the form is made here, in the order in which
iptables writes it, and tests compare what comes of it with what iptables makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pyknockd.firewall.conditions import Condition, Meaning, meaning_of
from pyknockd.firewall.rule import Family, Rule

_ORDER = ("iif", "oif", "protocol", "saddr", "daddr", "flags", "sport", "dport")
_ADDRESS_WORDS = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "RETURN": "return", "": ""}
_TRANSPORT_PROTOCOLS = {6: "tcp", 17: "udp"}
# What libnftables reads as a name; one that is also a word of its language it refuses.
CHAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,27}")


@dataclass(frozen=True, slots=True)
class Form:
    """A rule for libnftables, its meaning, and bytes that each rule of that meaning contains."""

    text: str
    meaning: Meaning
    needle: bytes


def form(rule: Rule, family: Family) -> Form | None:
    """The form of ``rule``, whose ports are numbers; None if iptables must write it."""
    meaning = meaning_of(rule, family)
    verdict = _verdict(meaning.verdict)
    if verdict is None or not meaning.exact or _is_misread(meaning.conditions):
        return None
    conditions = sorted(meaning.conditions, key=lambda c: _ORDER.index(c.what))
    protocol = next((c.value[0] for c in conditions if c.what == "protocol"), 0)
    words = [_text(condition, family, protocol) for condition in conditions]
    return Form(" ".join([*words, "counter", verdict]).rstrip(), meaning, _needle(conditions))


def _text(condition: Condition, family: Family, protocol: int) -> str:
    sign = "!= " if condition.negated else ""
    value = condition.value
    if condition.what in ("iif", "oif"):
        return f'{condition.what}name {sign}"{value.decode()}{"*" if condition.more else ""}"'
    if condition.what == "protocol":
        return f"meta l4proto {sign}{value[0]}"
    if condition.what in ("saddr", "daddr"):
        return f"{_ADDRESS_WORDS[family]} {condition.what} {sign}{condition.address()}"
    if condition.what == "flags":
        return f"tcp flags & {condition.more[0]:#x} {sign or '== '}{value[0]:#x}"
    low, high = condition.ports()
    shown = str(low) if low == high else f"{low}-{high}"
    return f"{_TRANSPORT_PROTOCOLS[protocol]} {condition.what} {sign}{shown}"


def _is_misread(conditions: Iterable[Condition]) -> bool:
    """Whether a release of iptables does not find again what it has written itself.

    Of two ports that are excluded, 1.8.9 and 1.8.10 make one comparison; what is not 0:N is
    N+1:65535 once it is written, and 1.8.11 looks for the former.
    """
    excluded = [c.ports() for c in conditions if c.what in ("sport", "dport") and c.negated]
    return len(excluded) > 1 or any(low == 0 < high for low, high in excluded)


def _verdict(verdict: str) -> str | None:
    verb, _, name = verdict.rpartition(" ")
    if not verb:
        return _VERDICTS.get(verdict)
    return f"{verb} {name}" if CHAIN_NAME.fullmatch(name) else None


def _needle(conditions: Iterable[Condition]) -> bytes:
    # Of an address behind a mask, iptables keeps only the bytes that the mask has whole. Ports
    # have no bytes that are sure to be there: they may be said by what they are not, or in a match.
    addresses = [condition for condition in conditions if condition.what in ("saddr", "daddr")]
    return max((c.value[: c.more.count(0xFF)] for c in addresses), key=len, default=b"")
