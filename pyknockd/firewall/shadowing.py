"""Which rule hides which: whether a rule can ever be reached by a packet.

It says so only when it is certain: an earlier rule must decide, by itself and for good, each packet
that the later one speaks of. Jumps into other chains are not followed, several rules are not taken
together, and a rule with a condition that cannot be told hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyknockd.firewall.conditions import Condition, Meaning, meaning_of, rule_of
from pyknockd.firewall.iptables import words
from pyknockd.firewall.rule import Family, Operation, Rule

# So many rules of a chain are looked at: more would take too long, and to say nothing is no lie.
MOST_RULES = 1000


@dataclass(frozen=True, slots=True)
class View:
    """A chain: its rules in order, and whether packets can come to it at all."""

    rules: Sequence[Meaning]
    reachable: bool


# With these a packet does not go on to the next rule of the chain.
_FINAL = ("ACCEPT", "DROP", "REJECT", "RETURN")


def hidden_by(new: Meaning, earlier: Sequence[Meaning]) -> int | None:
    """The index of the first of ``earlier`` that decides every packet of ``new``, or None.

    ``new`` may be incomplete: further conditions only make its packets fewer.
    """
    for index, rule in enumerate(earlier):
        final = rule.verdict in _FINAL or rule.verdict.startswith("goto ")
        if final and rule.complete and _covers(rule, new):
            return index
    return None


def is_first(rule: Rule) -> bool:
    """Whether nothing stands before ``rule`` in its chain."""
    return rule.operation is Operation.INSERT and rule.position <= 1


def warning(rule: Rule, family: Family, chain: View) -> str:
    """One line on why ``rule``, which is in ``chain`` or about to be, opens nothing; mostly empty."""
    text = _shown(words(rule))
    if not chain.reachable:
        return f"the rule {text} opens nothing: no rule leads to the chain {rule.chain}"
    count = len(chain.rules)
    if rule.operation is Operation.INSERT:
        count = min(count, max(rule.position - 1, 0))
    new = meaning_of(rule, family)
    others = [r for r in chain.rules[:count] if (r.conditions, r.verdict) != _essence(new)]
    found = hidden_by(new, others)
    if found is None:
        return ""
    before = _shown(words(rule_of(others[found], rule.table, rule.chain)))
    return f"the rule {text} opens nothing: it stands behind {before}"


def _shown(command: Sequence[str]) -> str:
    return " ".join(f'"{word}"' if " " in word else word for word in command)


def _essence(meaning: Meaning) -> tuple[frozenset[Condition], str]:
    return meaning.conditions, meaning.verdict


def _covers(rule: Meaning, new: Meaning) -> bool:
    return all(any(_implies(own, wide) for own in new.conditions) for wide in rule.conditions)


def _implies(narrow: Condition, wide: Condition) -> bool:
    """Whether each packet of which ``narrow`` is true is one of which ``wide`` is."""
    if narrow == wide:
        return True
    if narrow.what != wide.what:
        return False
    if wide.what in ("saddr", "daddr"):
        return _within(narrow, wide, _network_holds, _networks_meet)
    if wide.what in ("sport", "dport"):
        return _within(narrow, wide, _ports_hold, _ports_meet)
    if wide.what in ("iif", "oif"):
        return _within(narrow, wide, _name_holds, _names_meet)
    if wide.what == "protocol":
        # Another protocol than the one that is excluded.
        return wide.negated and not narrow.negated and narrow.value != wide.value
    return False


def _within(
    narrow: Condition,
    wide: Condition,
    holds: Callable[[Condition, Condition], bool],
    meet: Callable[[Condition, Condition], bool],
) -> bool:
    if narrow.negated:
        return wide.negated and holds(narrow, wide)
    return not meet(narrow, wide) if wide.negated else holds(wide, narrow)


def _network_holds(outer: Condition, inner: Condition) -> bool:
    known = bytes(a & b for a, b in zip(outer.more, inner.more, strict=True))
    return known == outer.more and _networks_meet(outer, inner)


def _networks_meet(one: Condition, other: Condition) -> bool:
    """Whether they agree in each bit that both have."""
    masks = zip(one.more, other.more, strict=True)
    common = int.from_bytes(bytes(a & b for a, b in masks), "big")
    values = (int.from_bytes(condition.value, "big") for condition in (one, other))
    return len({value & common for value in values}) == 1


def _ports_hold(outer: Condition, inner: Condition) -> bool:
    return outer.value <= inner.value and inner.more <= outer.more


def _ports_meet(one: Condition, other: Condition) -> bool:
    return one.value <= other.more and other.value <= one.more


def _name_holds(outer: Condition, inner: Condition) -> bool:
    if outer.more:
        return inner.value.startswith(outer.value)
    return not inner.more and inner.value == outer.value


def _names_meet(one: Condition, other: Condition) -> bool:
    return _name_holds(one, other) or _name_holds(other, one)
