"""Which rule a command makes or takes away, so that two commands can be told to speak of the same.

Two commands mean one rule if they change the same chain of the same tables and say the same of a
packet, whatever the order and the way of writing: ``--dport ssh`` and ``22``, ``10.0.0.9`` and
``10.0.0.9/32``, another path of the program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyknockd.firewall.conditions import Condition, meaning_of
from pyknockd.firewall.rule import Extension, Family, Operation, Option, Rule


@dataclass(frozen=True, slots=True)
class RuleIdentity:
    """One rule. ``kind`` tells the tables; ``rest`` is what conditions and verdict do not say."""

    kind: str
    family: Family
    table: str
    chain: str
    conditions: frozenset[Condition]
    verdict: str
    rest: frozenset[Option | Extension]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a command does: it makes ``rule``, or takes it away."""

    rule: RuleIdentity
    makes: bool


def effect_of(rule: Rule, kind: str, family: Family) -> Effect | None:
    """The effect of a change whose ports are numbers; None if it says no more than a rule's number."""
    deletes = rule.operation is Operation.DELETE
    if deletes and rule.position:
        return None
    return Effect(_identity(rule, kind, family), makes=not deletes)


def _identity(rule: Rule, kind: str, family: Family) -> RuleIdentity:
    conditions: set[Condition] = set()
    rest: set[Option | Extension] = set()
    protocol = tuple(option for option in rule.basics if option.name == "protocol")
    for option in rule.basics:
        told = meaning_of(replace(rule, basics=(option,), matches=(), target=None), family)
        if told.complete:
            conditions |= told.conditions
        else:
            rest.add(option)
    for match in rule.matches:
        told = meaning_of(replace(rule, basics=protocol, matches=(match,), target=None), family)
        if told.exact:
            conditions |= told.conditions
        else:
            rest.add(_sorted(match))
    verdict = meaning_of(replace(rule, basics=(), matches=()), family).verdict
    if rule.target is not None and rule.target.options:
        rest.add(_sorted(rule.target))
    return RuleIdentity(
        kind, family, rule.table, rule.chain, frozenset(conditions), verdict, frozenset(rest)
    )


def _sorted(extension: Extension) -> Extension:
    """``extension`` with its options in one order, whatever order they were given in."""
    order = sorted(extension.options, key=lambda option: (option.name, option.values))
    return replace(extension, options=tuple(order))
