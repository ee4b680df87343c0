"""Which rule hides which: whether a rule can ever be reached by a packet.

It says so only when it is certain: an earlier rule must decide, by itself and for good, each packet
that the later one speaks of. Jumps into other chains are not followed, several rules are not taken
together, and a rule with a condition that cannot be told hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pyknockd.firewall.conditions import Condition, Meaning, Unsaid, meaning_of, rule_of
from pyknockd.firewall.iptables import words
from pyknockd.firewall.rule import Family, Operation, Rule

# So many rules of a chain are looked at: more would take too long, and to say nothing is no lie.
MOST_RULES = 1000


# Whether a rule of the chain is the one that is asked about, so that those behind it do not matter.
Until = Callable[[Meaning], bool] | None


@dataclass(frozen=True, slots=True)
class View:
    """A chain: its rules in order, and whether packets can come to it at all.

    ``found``: the next rule is the one that was asked about.
    """

    rules: Sequence[Meaning]
    reachable: bool
    found: bool = False


def view(rules: Iterator[Meaning], reachable: bool, until: Until) -> View:
    """The first of ``rules``, those that are not looked at left out."""
    seen: list[Meaning] = []
    for rule in islice(rules, MOST_RULES):
        if until is not None and until(rule):
            return View(seen, reachable, found=True)
        seen.append(rule)
    return View(seen, reachable)


@dataclass(frozen=True, slots=True)
class Old:
    """A rule that is there already: ``warning`` is a line if it opens nothing.

    ``buried_by`` is a rule before it that may overrule it until it is added anew, or the empty text.
    """

    warning: str = ""
    buried_by: str = ""


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
    """One line on why ``rule``, just added or about to be, opens nothing; mostly empty."""
    count = len(chain.rules)
    if rule.operation is Operation.INSERT:
        count = min(count, max(rule.position - 1, 0))
    new = meaning_of(rule, family)
    others = [r for r in chain.rules[:count] if _essence(r) != _essence(new)]
    return _warning(rule, new, others, chain.reachable)


def is_it(old: Meaning) -> Callable[[Meaning], bool]:
    """Whether a rule of a chain may be ``old``: for ``view`` to end with."""

    def may_be(rule: Meaning) -> bool:
        if rule.verdict == old.verdict and rule.conditions == old.conditions:
            return True
        half_read = Unsaid.UNKNOWN in rule.unsaid and rule.verdict in ("", old.verdict)
        return half_read and rule.conditions <= old.conditions

    return may_be


def old(rule: Rule, meaning: Meaning, chain: View) -> Old:
    """What there is to say of ``rule``, which is in ``chain`` already, where ``is_it`` has found it.

    To move a rule that nothing hides does no harm, so what buries it need not be certain.
    """
    rivals = [
        other for other in chain.rules if _decides(other) and other.verdict != meaning.verdict
    ]
    is_certain = chain.found or meaning.exact
    if not chain.reachable or (is_certain and hidden_by(meaning, rivals) is not None):
        return Old(
            _warning(rule, meaning, chain.rules, chain.reachable), _buried_by(rule, meaning, chain)
        )
    return Old(buried_by=_buried_by(rule, meaning, chain) if rivals else "")


def _buried_by(rule: Rule, meaning: Meaning, chain: View) -> str:
    """What would stand no longer before ``rule`` if it were inserted anew, and may overrule it."""
    if rule.operation is not Operation.INSERT:
        return ""
    before = chain.rules[max(rule.position - 1, 0) :]
    found = next((other for other in before if _may_overrule(other, meaning)), None)
    return "" if found is None else _shown(words(rule_of(found, rule.table, rule.chain)))


def _decides(rule: Meaning) -> bool:
    return rule.verdict in _FINAL or rule.verdict.startswith(("jump ", "goto "))


def _may_overrule(rule: Meaning, later: Meaning) -> bool:
    """Whether ``rule`` may decide otherwise, by itself or in another chain, on a packet of ``later``."""
    if rule.verdict == later.verdict or not _decides(rule):
        return False
    return not any(_exclude(a, b) for a in rule.conditions for b in later.conditions)


def _warning(rule: Rule, meaning: Meaning, before: Sequence[Meaning], reachable: bool) -> str:
    text = _shown(words(rule))
    if not reachable:
        return f"the rule {text} opens nothing: no rule leads to the chain {rule.chain}"
    found = hidden_by(meaning, before)
    if found is None:
        return ""
    hiding = _shown(words(rule_of(before[found], rule.table, rule.chain)))
    return f"the rule {text} opens nothing: it stands behind {hiding}"


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
    if wide.what not in _OVERLAPS:
        return False
    holds, meet = _OVERLAPS[wide.what]
    if narrow.negated:
        return wide.negated and holds(narrow, wide)
    return not meet(narrow, wide) if wide.negated else holds(wide, narrow)


def _exclude(one: Condition, other: Condition) -> bool:
    """Whether no packet is one of which both are true; certain if so."""
    if one.what != other.what or one.what not in _OVERLAPS:
        return False
    holds, meet = _OVERLAPS[one.what]
    if one.negated:
        return not other.negated and holds(one, other)
    return holds(other, one) if other.negated else not meet(one, other)


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


def _equal(one: Condition, other: Condition) -> bool:
    return one.value == other.value


_Overlap = Callable[[Condition, Condition], bool]
# Whether one holds all that the other does, and whether they have anything in common.
_OVERLAPS: dict[str, tuple[_Overlap, _Overlap]] = {
    **dict.fromkeys(("saddr", "daddr"), (_network_holds, _networks_meet)),
    **dict.fromkeys(("sport", "dport"), (_ports_hold, _ports_meet)),
    **dict.fromkeys(("iif", "oif"), (_name_holds, _names_meet)),
    "protocol": (_equal, _equal),
}
